// Two people with connections of their own to an OAuth-protected upstream, seen from a client (TypeScript SDK v1):
// whose token arrives there, what happens when it expires, and how a revoked connection is repaired.
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { UrlElicitationRequiredError } from '@modelcontextprotocol/sdk/types.js';
import { Browser } from '../browser.mjs';
import { Chromium } from '../chromium.mjs';
import { args } from '../lib/args.mjs';
import { MemoryProvider } from '../lib/provider.mjs';
import { check, Report } from '../lib/report.mjs';

const options = args({ url: undefined, upstream: undefined, browser: 'http', screenshots: null, secrets: null });
const route = new URL(options.url);
const report = new Report(options.secrets);
const PARALLEL = 16;

/** Signs one person in and connects a client of theirs. */
async function person(name, browser) {
  const provider = new MemoryProvider({ name: `connections of ${name}`, report });
  const unauthorized = await open(provider).then(() => undefined, (error) => error);
  if (!(unauthorized instanceof UnauthorizedError)) throw unauthorized ?? new Error('connected without a token');
  const { redirect, visited } = await browser.authorize(provider.authorizationUrl);
  await transport(provider).finishAuth(new URL(redirect).searchParams.get('code'));
  return { name, browser, visited, provider, client: await open(provider) };
}

const transport = (authProvider) => new StreamableHTTPClientTransport(route, { authProvider });

async function open(provider) {
  const client = new Client({ name: 'connections', version: '1.0.0' });
  await client.connect(transport(provider));
  return client;
}

async function echo({ client }, message = `hello ${Math.random()}`) {
  const { content } = await client.callTool({ name: 'echo', arguments: { message } });
  check(content[0].text === `Echo: ${message}`, `echo said ${content[0].text}`);
}

/** The credential that the upstream received for a person's call. */
async function credential({ client, provider }) {
  const { content } = await client.callTool({ name: 'whoami_headers', arguments: {} });
  const headers = JSON.parse(content[0].text);
  const presented = headers.filter(([name]) => name === 'authorization').map(([, value]) => value);
  check(presented.length === 1, `${presented.length} Authorization headers`);
  check(/^Bearer test_access_token_[0-9a-f]{64}$/.test(presented[0]), 'not a token of the upstream');
  check(!headers.some(([name]) => name === 'cookie'), 'a cookie reached the upstream');
  check(!headers.some(([, value]) => value.includes(provider.stored.access_token)), "the gateway's token reached the upstream");
  return presented[0].slice('Bearer '.length);
}

async function command(path, body) {
  const response = await fetch(new URL(path, options.upstream), { method: 'POST', body });
  check(response.status === 200, `${path} answered ${response.status}`);
}

const refreshes = async () => (await (await fetch(new URL('/test/issued', options.upstream))).json()).refreshes;

let ada;
let bob;

await report.step('two_people', async () => {
  const [hers, his] = ['ada', 'bob'].map((user) => ({ user, password: user, onSecret: report.secret }));
  const real = options.browser === 'chromium';
  ada = await person('ada', real ? await Chromium.start({ ...hers, screenshots: options.screenshots }) : new Browser(hers));
  bob = await person('bob', new Browser(his));
  const token = await credential(ada);
  check(token !== await credential(bob), 'two people share one token');
  check(token === await credential(ada), 'the token changed although nothing happened');
});

await report.step('expiry', async () => {
  for (let round = 1; round <= 2; round++) {
    const [before, old] = [await refreshes(), await credential(ada)];
    await command('/test/expire');
    await Promise.all(Array.from({ length: PARALLEL }, (_, call) => echo(ada, `call ${call}`)));
    const made = await refreshes() - before;
    check(made === 1, `${made} refreshes for one expiry and ${PARALLEL} calls`);
    check(await credential(ada) !== old, 'the expired token is still presented');
    await echo(bob);
    check(await refreshes() - before === 2, "bob's connection was not refreshed once, for himself");
  }
});

let link;

await report.step('revoked', async () => {
  await command('/test/revoke', await credential(ada));
  const error = await echo(ada).then(() => undefined, (error) => error);
  check(error instanceof UrlElicitationRequiredError && error.code === -32042, `a revoked connection gave ${error?.code ?? 'an answer'}: ${error?.message}`);
  const [{ mode, url }] = error.elicitations;
  check(mode === 'url' && url, 'no URL to open');
  link = url;
  report.secret(new URL(link).searchParams.get('ticket') ?? new URL(link).pathname.split('/').at(-1));
  check(new URL(link).origin === route.origin, `the link goes to ${new URL(link).origin}`);
  await echo(bob);
});

await report.step('not_for_another_person', async () => {
  const { status, body } = await bob.browser.open(link);
  check(status === 403, `bob got ${status}`);
  check(!/\bada\b/i.test(body), 'the refusal names the other person');
});

await report.step('repaired', async () => {
  const { response, visited } = await ada.browser.visit(link);
  check(response.status === 200, `connecting ended with ${response.status}`);
  check(visited.some(({ page }) => page === 'connect'), 'nobody was asked to connect');
  await echo(ada);
  check(await credential(ada) !== await credential(bob), 'two people share one token');
});

await Promise.all([ada.client.close(), bob.client.close()]);
await ada.browser.stop?.();
process.exit(0);
