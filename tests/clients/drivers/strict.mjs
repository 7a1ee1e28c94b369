// Two strict OAuth clients, oauth4webapi and openid-client, by the letter of RFC 9728, 8414, 7591, 7636,
// 8707, 9207, 6749 and 7009. They validate what they receive; what they do not look at is checked here.
import { request } from 'node:http';
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import { Browser } from '../browser.mjs';
import { args } from '../lib/args.mjs';
import { check, Report } from '../lib/report.mjs';

const options = args({ url: undefined, user: 'ada', password: 'ada', idp: 'form', secrets: null });
const insecure = { algorithm: 'oauth2', execute: [client.allowInsecureRequests] };
const report = new Report(options.secrets);
const browser = new Browser({ user: options.user, password: options.password, onSecret: report.secret });
const route = new URL(options.url);
const http = { [oauth.allowInsecureRequests]: true };
const redirectUri = 'http://127.0.0.1:49152/callback';
const initialize = JSON.stringify({
  jsonrpc: '2.0', id: 1, method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'strict', version: '1.0.0' } },
});
let resource, metadata, issuer;

const keep = (tokens) => {
  report.secret(tokens.access_token);
  report.secret(tokens.refresh_token);
  return tokens;
};

await report.step('rfc9728_metadata', async () => {
  const response = await mcp();
  check(response.status === 401, `without a token the route answered ${response.status}`);
  const located = /resource_metadata="([^"]+)"/.exec(response.headers.get('www-authenticate'))?.[1];
  const found = await oauth.resourceDiscoveryRequest(route, http);
  check(found.url === located, `the challenge points to ${located}, the well-known URL is ${found.url}`);
  check(found.headers.get('access-control-allow-origin') === '*', 'no CORS on the resource metadata');
  resource = await oauth.processResourceDiscoveryResponse(route, found);
  check(resource.authorization_servers?.length > 0, 'no authorization server is named');
  check(resource.scopes_supported?.includes('mcp:tools'), `scopes_supported ${resource.scopes_supported}`);
  check(resource.bearer_methods_supported?.join() === 'header', `bearer_methods_supported ${resource.bearer_methods_supported}`);
});

await report.step('rfc8414_metadata', async () => {
  for (const server of resource.authorization_servers) {
    const answer = await oauth.discoveryRequest(new URL(server), { ...http, algorithm: 'oauth2' });
    check(answer.headers.get('access-control-allow-origin') === '*', 'no CORS on the server metadata');
    metadata = await oauth.processDiscoveryResponse(new URL(server), answer);
  }
  issuer = new URL(metadata.issuer);
  check(metadata.code_challenge_methods_supported?.join() === 'S256', `PKCE ${metadata.code_challenge_methods_supported}`);
  check(metadata.authorization_response_iss_parameter_supported === true, 'iss is not announced');
  check(metadata.registration_endpoint && metadata.revocation_endpoint, 'no registration or no revocation endpoint');
  return { issuer: metadata.issuer };
});

for (const method of ['none', 'client_secret_basic', 'client_secret_post']) {
  await report.step(`oauth4webapi_${method}`, () => byOauth4webapi(method));
}
await report.step('openid_client', byOpenidClient);
await report.step('cancel', cancel);

async function byOauth4webapi(method) {
  const registered = await oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(metadata, {
    client_name: `strict ${method}`,
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: method,
    software_version: 'an unknown member does no harm',
    x_vendor: { nested: true },
  }, http));
  const secret = registered.client_secret;
  report.secret(secret);
  const authentication = {
    none: () => oauth.None(),
    client_secret_basic: () => oauth.ClientSecretBasic(secret),
    client_secret_post: () => oauth.ClientSecretPost(secret),
  }[method]();
  check(Boolean(secret) === (method !== 'none'), `a ${method} client and a secret: ${Boolean(secret)}`);

  const verifier = oauth.generateRandomCodeVerifier();
  const answer = await authorize(registered, verifier);
  const more = { ...http, additionalParameters: { resource: resource.resource } };
  const exchange = () => oauth.authorizationCodeGrantRequest(metadata, registered, authentication, answer, redirectUri, verifier, more);
  const response = await exchange();
  check(response.headers.get('cache-control')?.includes('no-store'), 'the token response may be cached');
  const tokens = keep(await oauth.processAuthorizationCodeResponse(metadata, registered, response));
  check(tokens.scope === 'mcp:tools' && tokens.expires_in > 0 && tokens.refresh_token, 'the token response lacks something');
  check((await mcp(tokens.access_token)).ok, 'the access token was refused');
  check((await laden(tokens.access_token)) === 200, 'a request with superfluous headers was refused');
  check((await mcp(undefined, `?access_token=${tokens.access_token}`)).status === 401, 'a token in the query was accepted');

  const refresh = (token) => oauth.refreshTokenGrantRequest(metadata, registered, authentication, token, more);
  const rotated = keep(await oauth.processRefreshTokenResponse(metadata, registered, await refresh(tokens.refresh_token)));
  check(rotated.refresh_token && rotated.refresh_token !== tokens.refresh_token, 'the refresh token did not rotate');
  const again = keep(await oauth.processRefreshTokenResponse(metadata, registered, await refresh(tokens.refresh_token)));
  check(again.refresh_token === rotated.refresh_token && again.access_token === rotated.access_token, 'a retry within the grace got another pair');
  check((await mcp(rotated.access_token)).ok, 'the refreshed access token was refused');

  const revocation = await oauth.revocationRequest(metadata, registered, authentication, rotated.refresh_token, http);
  await oauth.processRevocationResponse(revocation);
  check((await mcp(rotated.access_token)).status === 401, 'an access token survived the revocation of its grant');
  await refused('invalid_grant', async () => oauth.processRefreshTokenResponse(metadata, registered, await refresh(rotated.refresh_token)));
  await oauth.processRevocationResponse(await oauth.revocationRequest(metadata, registered, authentication, 'rt_unknown', http));
  await refused('invalid_grant', async () => oauth.processAuthorizationCodeResponse(metadata, registered, await exchange()));
}

async function authorize(registered, verifier) {
  const state = oauth.generateRandomState();
  report.secret(verifier);
  report.secret(state);
  const url = new URL(metadata.authorization_endpoint);
  const query = {
    client_id: registered.client_id, redirect_uri: redirectUri, response_type: 'code', scope: 'mcp:tools', state,
    resource: resource.resource, code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  };
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const { redirect } = await browser.authorize(url);
  return oauth.validateAuthResponse(metadata, registered, new URL(redirect), state);
}

async function cancel() {
  const registered = await oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(metadata, {
    client_name: 'cancelled', redirect_uris: [redirectUri], token_endpoint_auth_method: 'none',
  }, http));
  browser.decision = 'cancel';
  await refused('access_denied', () => authorize(registered, oauth.generateRandomCodeVerifier()));
}

async function byOpenidClient() {
  const config = await client.dynamicClientRegistration(issuer, {
    client_name: 'openid-client', redirect_uris: [redirectUri], token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
  }, undefined, insecure);
  report.secret(config.clientMetadata().client_secret);
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const expectedState = client.randomState();
  report.secret(pkceCodeVerifier);
  report.secret(expectedState);
  const parameters = { resource: resource.resource };
  const url = client.buildAuthorizationUrl(config, {
    ...parameters, redirect_uri: redirectUri, scope: 'mcp:tools offline_access', state: expectedState,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256',
  });
  const { redirect, visited } = await browser.authorize(url);
  check(visited.every(({ page }) => page !== 'login'), 'the browser session did not save a sign-in');
  const tokens = keep(await client.authorizationCodeGrant(config, new URL(redirect), { pkceCodeVerifier, expectedState }, parameters));
  const rotated = keep(await client.refreshTokenGrant(config, tokens.refresh_token, parameters));
  check(rotated.refresh_token !== tokens.refresh_token, 'the refresh token did not rotate');
  check((await mcp(rotated.access_token)).ok, 'the refreshed access token was refused');
  await client.tokenRevocation(config, rotated.access_token);
  check((await mcp(rotated.access_token)).status === 401, 'a revoked access token was accepted');
}

async function mcp(token, query = '') {
  const headers = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(`${route}${query}`, { method: 'POST', headers, body: initialize });
  await response.body?.cancel();
  return response;
}

/** A call with everything that must not travel on; what the upstream saw is checked by whoever recorded it. */
function laden(token) {
  return new Promise((resolve, reject) => {
    const outgoing = request(route, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', Authorization: `Bearer ${token}`,
        Cookie: browser.jar.header(route), 'Proxy-Authorization': `Bearer ${token}`,
        Forwarded: 'for=198.51.100.7;host=evil.example', 'X-Forwarded-For': '198.51.100.7', 'X_Forwarded_For': '198.51.100.7',
        'X-Forwarded-Port': '1', 'X-Real-IP': '198.51.100.7', Connection: 'close, X-Hop', 'X-Hop': '1', TE: 'trailers',
      },
    }, (incoming) => {
      incoming.resume();
      incoming.on('error', reject);
      incoming.on('end', () => resolve(incoming.statusCode));
    });
    outgoing.on('error', reject);
    outgoing.end(initialize);
  });
}

async function refused(error, run) {
  const outcome = await run().then(() => 'accepted', (failure) => failure.error ?? String(failure));
  check(outcome === error, `expected ${error}, got ${outcome}`);
}
