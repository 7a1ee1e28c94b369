// Two people, each with connections of their own to several MCP servers with authorization servers of their own, seen from
// real clients: TypeScript SDK v1, and v2 at revision 2026-07-28, which opens the link by itself and calls again.
import { Client as ClientV2, StreamableHTTPClientTransport as TransportV2, UnauthorizedError as UnauthorizedV2 } from '@modelcontextprotocol/client';
import { UnauthorizedError as UnauthorizedV1 } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { UrlElicitationRequiredError } from '@modelcontextprotocol/sdk/types.js';
import { setTimeout as pause } from 'node:timers/promises';
import { Browser } from '../browser.mjs';
import { args } from '../lib/args.mjs';
import { MemoryProvider } from '../lib/provider.mjs';
import { check, Report } from '../lib/report.mjs';

const options = args({ url: undefined, routes: undefined, secrets: null });
const origin = options.url;
const routes = JSON.parse(options.routes);
const report = new Report(options.secrets);
const PARALLEL = 16;
/** How long the upstreams' access tokens are used: nine tenths of five seconds. */
const IN_USE_MS = 4500;

const SDKS = {
  v1: {
    transport: (route, authProvider) => new TransportV1(new URL(route), { authProvider }),
    client: () => new ClientV1({ name: 'upstreams', version: '1.0.0' }, { capabilities: { elicitation: { url: {} } } }),
    finish: (wire, answer) => wire.finishAuth(answer.get('code')),
    Unauthorized: UnauthorizedV1,
  },
  v2: {
    transport: (route, authProvider) => new TransportV2(new URL(route), { authProvider }),
    client(person) {
      const client = new ClientV2({ name: 'upstreams', version: '1.0.0' }, {
        versionNegotiation: { mode: { pin: '2026-07-28' } }, capabilities: { elicitation: { url: {} } },
      });
      client.setRequestHandler('elicitation/create', async ({ params }) => {
        check(params.mode === 'url', `asked for ${params.mode}`);
        await follow(person, params.url);
        return { action: 'accept' };
      });
      return client;
    },
    finish: (wire, answer) => wire.finishAuth(answer),
    Unauthorized: UnauthorizedV2,
  },
};

/** A person opens a link of the gateway and connects where it leads. */
async function follow(person, link) {
  report.secret(new URL(link).searchParams.get('browserTicket'));
  check(new URL(link).origin === origin, `the link goes to ${new URL(link).origin}`);
  const { response } = await person.browser.visit(link);
  check(response.status === 200, `connecting ended with ${response.status}`);
  person.followed++;
}

/** One person's client at one route, after the first connection was made on the consent page. */
async function signIn(person, route) {
  const sdk = SDKS[route.sdk];
  const provider = new MemoryProvider({ name: `${person.name} at ${route.name}`, report });
  const wire = sdk.transport(route.url, provider);
  const refused = await sdk.client(person).connect(wire).then(() => undefined, (error) => error);
  check(refused instanceof sdk.Unauthorized, `without a token: ${refused?.message ?? 'connected'}`);
  const { redirect, visited } = await person.browser.authorize(provider.authorizationUrl);
  check(visited.some(({ page }) => page === 'connect'), 'the consent page did not ask to connect');
  await sdk.finish(wire, new URL(redirect).searchParams);
  const client = sdk.client(person);
  await client.connect(sdk.transport(route.url, provider));
  return { person, route, provider, client };
}

async function echo({ client }) {
  const message = `hello ${Math.random()}`;
  const { content, isError } = await client.callTool({ name: 'echo', arguments: { message } });
  check(!isError && content[0].text === `Echo: ${message}`, `echo said ${content[0].text}`);
}

/** The upstream's word on who calls, from the token that it was shown. */
async function isHerself({ client, person, route }) {
  const { content } = await client.callTool({ name: 'whoami', arguments: {} });
  const { subject, scopes } = JSON.parse(content[0].text);
  check(subject === person.name, `${route.name} takes ${person.name} for ${subject}`);
  check(scopes.join() === 'tools', `${route.name} granted ${scopes}`);
}

async function command(route, path, body) {
  const response = await fetch(new URL(path, route.upstream), { method: 'POST', body });
  check(response.status === 200, `${path} answered ${response.status}`);
}

const seen = async (route, endpoint) => (await (await fetch(new URL('/test/issued', route.upstream))).json()).seen
  .filter((request) => request.endpoint === endpoint);
const refreshes = async (route) => (await seen(route, 'token')).filter(({ grantType }) => grantType === 'refresh_token').length;
const revocations = async (route) => (await seen(route, 'revocation')).length;

/** Whoever has lost a connection is led to a new one, and then the call works. */
async function reconnects(connection) {
  const { person, route } = connection;
  const before = person.followed;
  if (route.sdk === 'v1') {
    const error = await echo(connection).then(() => undefined, (error) => error);
    check(error instanceof UrlElicitationRequiredError && error.code === -32042, `without a connection: ${error?.code ?? 'an answer'} ${error?.message ?? ''}`);
    const [{ mode, url }] = error.elicitations;
    check(mode === 'url', `asked for ${mode}`);
    await follow(person, url);
  }
  await echo(connection);
  check(person.followed === before + 1, `${person.followed - before} links were followed`);
  await isHerself(connection);
}

/**
 * A client that starts while nothing is connected can start: it sees one tool, which gives the link. When the person has
 * connected, its session has ended, and it initializes anew with the upstream.
 */
async function beganWithout({ person, route, provider }) {
  await person.browser.press(new URL('/account', origin), 'disconnect', route.name);
  const sdk = SDKS[route.sdk];
  const start = async () => {
    const client = sdk.client(person);
    const wire = sdk.transport(route.url, provider);
    await client.connect(wire);
    return { client, wire, person, route, tools: (await client.listTools()).tools.map(({ name }) => name) };
  };
  const early = await start();
  check(early.wire.sessionId, 'no session');
  check(early.tools.join() === 'connect', `without a connection there are the tools ${early.tools}`);
  check(early.client.getInstructions()?.includes('/connect?browserTicket='), 'the instructions hold no link');
  const asked = await early.client.callTool({ name: 'connect', arguments: {} }).then(() => undefined, (error) => error);
  check(asked instanceof UrlElicitationRequiredError, `the tool connect: ${asked?.message ?? 'an answer'}`);
  await follow(person, asked.elicitations[0].url);

  const over = await echo(early).then(() => undefined, (error) => error);
  check(over?.code === 404, `the old session: ${over?.code ?? 'an answer'} ${over?.message ?? ''}`);
  await early.client.close();
  const late = await start();
  check(late.tools.includes('whoami') && !late.tools.includes('connect'), `afterwards there are the tools ${late.tools}`);
  await echo(late);
  await isHerself(late);
  await late.client.close();
}

const people = ['ada', 'bob'].map((name) => ({ name, followed: 0, browser: new Browser({ user: name, password: name, onSecret: report.secret }) }));

for (const route of routes) {
  const at = (name) => `${name} (${route.name})`;
  let ada;
  let bob;

  await report.step(at('connect'), async () => {
    ada = await signIn(people[0], route);
    bob = await signIn(people[1], route);
  });
  await report.step(at('own_account'), () => Promise.all([ada, bob].map(isHerself)));
  await report.step(at('ahead_of_the_end'), async () => {
    const before = await refreshes(route);
    for (let tries = 0; await refreshes(route) === before; tries++) {
      check(tries < 200, 'tokens that live for seconds were not refreshed');
      await echo(ada);
      await pause(50);
    }
    await isHerself(ada);
  });
  await report.step(at('refused'), async () => {
    const [before, begun] = [await refreshes(route), performance.now()];
    await command(route, '/test/expire');
    await Promise.all(Array.from({ length: PARALLEL }, () => echo(ada)));
    const made = await refreshes(route) - before;
    // One for the refusal, and one more whenever the few seconds of a token were over.
    const most = 2 + Math.floor((performance.now() - begun) / IN_USE_MS);
    check(made >= 1 && made <= most, `${made} refreshes for ${PARALLEL} calls with one refused token`);
    await Promise.all([ada, bob].map(isHerself));
  });
  await report.step(at('ended_there'), async () => {
    await command(route, '/test/end', 'ada');
    await isHerself(bob);
    await reconnects(ada);
  });
  await report.step(at('disconnect'), async () => {
    const [before, followed] = [await revocations(route), ada.person.followed];
    const page = await ada.person.browser.press(new URL('/account', origin), 'disconnect', route.name);
    check(page.status === 200, `the account page answered ${page.status}`);
    check(await revocations(route) === before + 1, 'the upstream was not told');
    await isHerself(bob);
    check(ada.person.followed === followed, 'a link was followed early');
    await reconnects(ada);
  });
  if (route.sdk === 'v1') await report.step(at('began_without'), () => beganWithout(ada));
  await report.step(at('no_replay'), async () => {
    const failed = (await seen(route, 'token')).filter(({ status }) => status >= 400);
    check(failed.length <= 1, `the token endpoint refused ${failed.length} times: ${JSON.stringify(failed)}`);
  });
  await Promise.all([ada.client.close(), bob.client.close()]);
}
process.exit(0);
