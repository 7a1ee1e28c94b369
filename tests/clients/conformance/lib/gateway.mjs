// A gateway with development sign-in and one route, for one run of the suite.
import { mkdirSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { answers } from '../../lib/gateway.mjs';
import { Child, freePort } from '../../lib/processes.mjs';

/** Starts it before `upstream`, the fields of the route's upstream. `origin` is where a front in between shows it; `limits` are those of the server. */
export async function startGateway({ binary, scratch, upstream, origin, env, limits = {} }) {
  mkdirSync(scratch, { recursive: true });
  const [port, adminPort] = [await freePort(), await freePort()];
  const config = {
    server: {
      listen: [`127.0.0.1:${port}`], adminListen: `127.0.0.1:${adminPort}`, gracePeriodSeconds: 0, threads: 1, limits,
      ...(origin && { publicOrigin: origin }),
    },
    store: { url: `sqlite:${path.join(scratch, 'sallyport.db')}` },
    outbound: { allowPrivateNetworks: ['127.0.0.0/8', '::1/128'] },
    identity: { provider: 'dev' },
    routes: [{ path: '/mcp/suite', operationId: 'suite', summary: 'Suite', upstream: { id: 'suite', ...upstream } }],
    log: { format: 'json', level: 'debug' },
  };
  const file = path.join(scratch, 'sallyport.json');
  writeFileSync(file, JSON.stringify(config, null, 2));
  const child = new Child([binary, 'run', '--config', file], { log: path.join(scratch, 'gateway.log'), cwd: scratch, env });
  // The suite starts some forty of these at once.
  await child.first(answers(`http://127.0.0.1:${adminPort}/readyz`, 200), 45000, 'ready');
  const own = `http://127.0.0.1:${port}`;
  return { child, own, route: `${origin ?? own}/mcp/suite`, stop: () => child.stop() };
}

/** What a client does before its first call: discovery, registration, login, consent. Resolves with its tokens, its id and where to bring them. */
export async function signIn(route, browser, redirectUri = 'http://127.0.0.1:33418/callback') {
  const { client, metadata, resource } = await register(route, redirectUri);
  const verifier = randomBytes(32).toString('base64url');
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  const url = new URL(metadata.authorization_endpoint);
  url.search = new URLSearchParams({
    response_type: 'code', client_id: client.client_id, redirect_uri: redirectUri, resource, state: 'state',
    code_challenge: Buffer.from(digest).toString('base64url'), code_challenge_method: 'S256',
  });
  const { redirect } = await browser.authorize(url.href);
  const code = new URL(redirect).searchParams.get('code');
  if (!code) throw new Error(`no code: ${new URL(redirect).searchParams.get('error')}`);
  const tokens = await json(await fetch(metadata.token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: redirectUri, client_id: client.client_id, code_verifier: verifier, resource }),
  }));
  const { token_endpoint, revocation_endpoint } = metadata;
  return { ...tokens, client_id: client.client_id, token_endpoint, revocation_endpoint };
}

/** Discovery and registration of a public client. */
export async function register(route, redirectUri) {
  const challenge = await fetch(route, { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } });
  await challenge.body?.cancel();
  const [, where] = /resource_metadata="([^"]+)"/.exec(challenge.headers.get('www-authenticate') ?? '') ?? [];
  if (!where) throw new Error(`no resource_metadata in the challenge (${challenge.status})`);
  const { resource, authorization_servers: [issuer] } = await json(await fetch(where));
  const at = new URL(issuer);
  const metadata = await json(await fetch(new URL(`/.well-known/oauth-authorization-server${at.pathname.replace(/\/$/, '')}`, at)));
  const client = await json(await fetch(metadata.registration_endpoint, {
    method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ client_name: 'conformance', redirect_uris: [redirectUri], token_endpoint_auth_method: 'none' }),
  }));
  return { client, metadata, resource, issuer };
}

async function json(response) {
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${await response.text()}`);
  return response.json();
}
