// A tool whose definition changes at a real server, seen through two replicas of one gateway.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Browser } from '../browser.mjs';
import { MemoryProvider } from './provider.mjs';
import { Report } from './report.mjs';

/** How long a replica may not know what another one was told, where it hears of it. */
const HEARD_WITHIN = 5000;

export class Onlooker {
  constructor(gateway, server) {
    this.gateway = gateway;
    this.url = new URL(gateway.url(server));
    this.report = new Report(gateway.secretsFile);
  }

  person(user) {
    return new Browser({ user, password: user, onSecret: this.report.secret });
  }

  /** The browser of somebody whom the gateway knows. */
  async signedIn(user) {
    const browser = this.person(user);
    await browser.visit(`${this.gateway.origin}/?sign-in`);
    return browser;
  }

  /** Lets a client act for somebody. */
  async signIn(user) {
    this.provider = new MemoryProvider({ name: 'onlooker', report: this.report });
    const transport = this.#transport();
    await new Client({ name: 'onlooker', version: '1.0.0' }).connect(transport).catch(() => undefined);
    const { redirect } = await this.person(user).authorize(this.provider.authorizationUrl);
    await transport.finishAuth(new URL(redirect).searchParams.get('code'));
  }

  #transport() {
    // No connection outlives its request: the next one may be for the other replica.
    const once = (url, init) => fetch(url, { ...init, headers: { ...Object.fromEntries(new Headers(init?.headers)), connection: 'close' } });
    return new StreamableHTTPClientTransport(this.url, { authProvider: this.provider, fetch: once });
  }

  /** Does something as a client of one replica. */
  async at(replica, act) {
    this.gateway.turnTo(replica);
    const client = new Client({ name: 'onlooker', version: '1.0.0' });
    await client.connect(this.#transport());
    try {
      return await act(client);
    } finally {
      await client.close();
    }
  }

  lists(replica, tool) {
    return this.at(replica, async (client) => (await client.listTools()).tools.find(({ name }) => name === tool));
  }

  /** Whether a call gets through, without a look at the list. */
  calls(replica, tool) {
    return this.at(replica, (client) => client.callTool({ name: tool, arguments: { message: 'hello' } })).then(
      ({ content }) => content[0].text === 'Echo: hello',
      (error) => {
        assert.match(error.message, /Unknown tool/);
        return false;
      },
    );
  }

  /** How long it took until `what` is so. */
  async until(what) {
    const begun = performance.now();
    while (!await what()) {
      assert.ok(performance.now() - begun < HEARD_WITHIN, `not within ${HEARD_WITHIN} ms: ${what}`);
      await pause(20);
    }
    return Math.round(performance.now() - begun);
  }
}
