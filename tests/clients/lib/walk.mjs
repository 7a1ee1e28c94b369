// The walk of a TypeScript SDK client through the gateway, step by step. `sdk` adapts v1 and v2.
import { setTimeout as pause } from 'node:timers/promises';
import { Browser } from '../browser.mjs';
import { Chromium } from '../chromium.mjs';
import { args } from './args.mjs';
import { MemoryProvider } from './provider.mjs';
import { check, Report } from './report.mjs';

export const driverOptions = (more = {}) => args({
  url: undefined,
  user: 'ada',
  password: 'ada',
  idp: 'form', // form: a sign-in form; dev: the gateway's development users
  server: 'stateful', // what is behind the route: stateful | stateless | modern | sample (of the demo)
  browser: 'http', // http: the scripted one; chromium: a real one
  screenshots: null, // where Chromium keeps its pages
  'auth-method': 'none',
  secrets: null,
  ...more,
});

export async function walk(sdk, options) {
  const report = new Report(options.secrets);
  const route = new URL(options.url);
  const person = { user: options.user, password: options.password, onSecret: report.secret, screenshots: options.screenshots };
  const browser = options.browser === 'chromium' ? await Chromium.start(person) : new Browser(person);
  const wire = new Wire();
  const provider = new MemoryProvider({ name: `${sdk.name} one`, authMethod: options['auth-method'], report });
  let connection;

  await report.step('challenge', () => challenge(route));
  await report.step('discover_and_register', () => discoverAndRegister(sdk, provider, route, wire));
  await report.step('authorize', async () => {
    const { visited } = await authorize(browser, provider);
    if (options.idp === 'form') check(visited.some(({ page }) => page === 'login'), 'no sign-in form was shown');
    check(visited.some(({ page }) => page === 'consent'), 'no consent page was shown');
    return { visited };
  });
  await report.step('token', async () => {
    await sdk.finish(provider, route, wire.fetch);
    return checkTokens(provider.stored);
  });
  await report.step('initialize', async () => {
    connection = await sdk.connect(provider, route, wire.fetch);
    const { sessionId } = connection.transport;
    check(Boolean(sessionId) === (options.server === 'stateful'), `a ${options.server} server, yet the session id is ${sessionId}`);
    return { server: connection.client.getServerVersion(), protocol: connection.transport.protocolVersion };
  });
  await report.step('list_tools', async () => {
    const { tools } = await connection.client.listTools();
    connection.tools = tools.map(({ name }) => name);
    check(connection.tools.includes('echo'), `no echo among ${connection.tools}`);
    connection.echoes = Object.keys(tools.find(({ name }) => name === 'echo').inputSchema.properties)[0];
    return { tools: connection.tools.length };
  });
  await report.step('call_echo', () => echo(sdk, connection));
  if (options.server !== 'sample') await report.step('progress', () => progress(sdk, connection));
  if (options.server === 'stateful') await report.step('get_stream', () => getStream(sdk, connection, route, wire));
  if (options.server === 'modern') await report.step('listen', () => listen(sdk, connection));
  await report.step('refresh', async () => {
    const before = provider.stored;
    provider.spoilAccessToken();
    await echo(sdk, connection);
    check(provider.stored.access_token !== before.access_token, 'the access token is the same');
    check(provider.stored.refresh_token !== before.refresh_token, 'the refresh token did not rotate');
    return checkTokens(provider.stored);
  });
  await report.step('use_again', () => echo(sdk, connection));

  const second = new MemoryProvider({ name: `${sdk.name} two`, authMethod: options['auth-method'], report });
  await report.step('second_client', async () => {
    await discoverAndRegister(sdk, second, route, wire);
    check(second.client.client_id !== provider.client.client_id, 'both clients have one id');
    const { visited } = await authorize(browser, second);
    const pages = visited.map(({ page }) => page);
    check(!pages.includes('login') && !pages.includes('dev-login'), 'the browser session did not save a sign-in');
    check(visited.every(({ url, page }) => page === 'client' || new URL(url).origin === route.origin), 'the identity provider was visited again');
    check(pages.includes('consent'), 'the second client was let in without consent');
    await sdk.finish(second, route, wire.fetch);
    const other = await sdk.connect(second, route, wire.fetch);
    await echo(sdk, { ...connection, ...other });
    await other.client.close();
    return { visited };
  });
  await report.step('revoke', async () => {
    await revoke(sdk, second, route);
    const response = await post(route, second.stored.access_token);
    check(response.status === 401, `a revoked token got ${response.status}`);
    check(/error="invalid_token"/.test(response.headers.get('www-authenticate')), 'the challenge does not say invalid_token');
    await echo(sdk, connection); // the other client's grant lives on
  });
  if (options.server === 'stateful') await report.step('terminate', () => terminate(provider, connection, route, wire));
  await connection.client.close();
  await browser.stop?.();
  process.exit(0);
}

/** Every exchange that the SDK makes: method, URL, status, type. The requests pass unchanged. */
class Wire {
  exchanges = [];
  #waiting = [];

  fetch = async (url, init) => {
    const response = await globalThis.fetch(url, init);
    const exchange = { method: init?.method ?? 'GET', url: String(url), status: response.status, type: response.headers.get('content-type') ?? '' };
    this.exchanges.push(exchange);
    this.#waiting = this.#waiting.filter(({ matches, resolve }) => !(matches(exchange) && (resolve(exchange), true)));
    return response;
  };

  /** The first exchange, past or to come, that matches. */
  async wait(what, matches) {
    const found = this.exchanges.find(matches) ?? await within(8000, what, new Promise((resolve) => this.#waiting.push({ matches, resolve })));
    return found;
  }
}

async function within(ms, what, promise) {
  const abort = new AbortController();
  const late = pause(ms, undefined, { signal: abort.signal }).then(() => { throw new Error(`${what}: nothing in ${ms} ms`); });
  try {
    return await Promise.race([promise, late]);
  } finally {
    abort.abort();
    late.catch(() => {});
  }
}

function post(route, token) {
  return fetch(route, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      ...(token && { Authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
    redirect: 'manual',
  });
}

async function challenge(route) {
  const response = await post(route);
  const header = response.headers.get('www-authenticate') ?? '';
  check(response.status === 401, `without a token the route answered ${response.status}`);
  check(/^Bearer /.test(header) && /resource_metadata="/.test(header), `no challenge: ${header}`);
  check(/scope="mcp:tools"/.test(header), `no scope in the challenge: ${header}`);
  check(!/error=/.test(header), `an error although no token was presented: ${header}`);
  return { header };
}

async function discoverAndRegister(sdk, provider, route, wire) {
  const from = wire.exchanges.length;
  await sdk.expectUnauthorized(provider, route, wire.fetch);
  check(provider.client?.client_id, 'no client was registered');
  const seen = wire.exchanges.slice(from).map(({ method, url, status }) => `${method} ${new URL(url).pathname} ${status}`);
  return { clientId: provider.client.client_id, exchanges: seen };
}

async function authorize(browser, provider) {
  const { redirect, visited } = await browser.authorize(provider.authorizationUrl);
  provider.callback = new URL(redirect);
  const answer = provider.callback.searchParams;
  check(!answer.has('error'), `${answer.get('error')}: ${answer.get('error_description')}`);
  check(answer.get('state') === provider.expectedState, 'the state came back changed');
  check(answer.get('iss'), 'no iss in the authorization response');
  return { visited };
}

function checkTokens(tokens) {
  check(tokens.access_token && tokens.refresh_token, 'a token is missing');
  check(tokens.token_type.toLowerCase() === 'bearer', `token_type ${tokens.token_type}`);
  const scopes = tokens.scope.split(' ');
  check(scopes.includes('mcp:tools') && scopes.every((scope) => ['mcp:tools', 'offline_access'].includes(scope)), `scope ${tokens.scope}`);
  check(tokens.expires_in > 0, `expires_in ${tokens.expires_in}`);
  return { expiresIn: tokens.expires_in };
}

async function echo(sdk, { client, echoes }) {
  const message = `hello ${Math.random()}`;
  const { content } = await sdk.call(client, 'echo', { [echoes]: message });
  check(content[0].text.includes(message), `echo said ${content[0].text}`);
}

/** Progress must arrive while the call runs, not together with its result. */
async function progress(sdk, { client, tools }) {
  const reference = 'trigger-long-running-operation';
  const [name, input] = tools.includes(reference)
    ? [reference, { duration: 0.8, steps: 4 }]
    : ['slow_progress', { steps: 4, pauseMs: 200 }];
  const times = [];
  await sdk.call(client, name, input, { onprogress: () => times.push(performance.now()) });
  const lead = Math.round(performance.now() - times[0]);
  check(times.length >= 3, `${times.length} progress notifications`);
  check(lead > 200, `the first progress came only ${lead} ms before the result`);
  return { notifications: times.length, leadMs: lead };
}

function nextNotification(client) {
  return new Promise((resolve) => { client.fallbackNotificationHandler = async (notification) => resolve(notification); });
}

/** A notification outside of any call arrives on the stream that the client opened with GET. */
async function getStream(sdk, { client, tools }, route, wire) {
  const { type } = await wire.wait('the GET stream', ({ method, url, status }) => method === 'GET' && url === route.href && status === 200);
  check(/^text\/event-stream/.test(type), `the GET stream is ${type}`);
  const arrived = nextNotification(client);
  await sdk.call(client, tools.includes('announce') ? 'announce' : 'toggle-simulated-logging', {});
  const { method } = await within(8000, 'a notification on the GET stream', arrived);
  if (!tools.includes('announce')) await sdk.call(client, 'toggle-simulated-logging', {});
  return { method };
}

async function listen(sdk, { client }) {
  const subscription = await client.listen({ toolsListChanged: true });
  const arrived = nextNotification(client);
  await sdk.call(client, 'announce', {});
  const { method } = await within(8000, 'a notification on the subscription', arrived);
  await subscription.close();
  return { method };
}

async function terminate(provider, { transport }, route, wire) {
  const session = transport.sessionId;
  await transport.terminateSession();
  const { status } = await wire.wait('DELETE', ({ method }) => method === 'DELETE');
  check(status === 200 || status === 204, `DELETE answered ${status}`);
  const response = await fetch(route, {
    headers: { Accept: 'text/event-stream', Authorization: `Bearer ${provider.stored.access_token}`, 'Mcp-Session-Id': session },
  });
  await response.body?.cancel();
  check([400, 404].includes(response.status), `the ended session answered ${response.status}`);
  return { status };
}

async function revoke(sdk, provider, route) {
  const { authorizationServerMetadata: metadata } = await sdk.discover(route);
  const { client_id: id, client_secret: secret } = provider.client;
  const body = new URLSearchParams({ token: provider.stored.refresh_token, token_type_hint: 'refresh_token' });
  const headers = {};
  if (provider.authMethod === 'client_secret_basic') {
    headers.Authorization = `Basic ${btoa(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`)}`;
  } else {
    body.set('client_id', id);
    if (provider.authMethod === 'client_secret_post') body.set('client_secret', secret);
  }
  const response = await fetch(metadata.revocation_endpoint, { method: 'POST', headers, body });
  check(response.status === 200, `revocation answered ${response.status}`);
  check((await response.text()) === '', 'the revocation answer has a body');
}
