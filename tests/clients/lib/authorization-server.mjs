// npm oidc-provider as the authorization server of one MCP server: people sign in and consent, clients register (RFC 7591)
// or show a metadata document, tokens live for seconds, refresh tokens rotate and their replay ends the grant.
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import * as oauth from 'oauth4webapi';
import { errors, Provider } from 'oidc-provider';
import { findAccount, html, interact, page, signingKeys } from './oidc.mjs';

const SCOPE = 'tools';

/**
 * Starts it for the MCP server at `resource`.
 *
 * `tokens` is `jwt` (RFC 9068, checked there) or `opaque` (asked for here, RFC 7662), `clients` is `dynamic` or `document`,
 * `methods` are those of client authentication.
 */
export async function startAuthorizationServer({ resource, tokens, clients, methods, lifetime }) {
  const self = { scope: SCOPE, seen: [], issued: new Set(), grants: new Map(), expired: new Set() };
  const secret = randomBytes(24).toString('hex');
  const server = http.createServer((req, res) => serve(req, res).catch((error) => {
    console.error(error);
    html(res, 500, page('Error', ''));
  }));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  self.issuer = `http://127.0.0.1:${server.address().port}`;

  const provider = new Provider(self.issuer, {
    clients: [{
      client_id: 'resource-server', client_secret: secret, redirect_uris: [], response_types: [], grant_types: [],
      token_endpoint_auth_method: 'client_secret_basic',
    }],
    clientAuthMethods: [...new Set([...methods, 'client_secret_basic'])],
    jwks: { keys: signingKeys() },
    // Cookies know no ports, so the servers of one host keep theirs apart by name.
    cookies: {
      keys: [randomBytes(32).toString('hex')],
      names: Object.fromEntries(['interaction', 'resume', 'session'].map((name) => [name, `${name}_${server.address().port}`])),
    },
    // Its guard against addresses of the local network would refuse everything here.
    fetch: (url, { dispatcher: _guard, ...request }) => fetch(url, request),
    scopes: ['offline_access', SCOPE],
    pkce: { required: () => true },
    findAccount,
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: clients === 'dynamic' },
      clientIdMetadataDocument: { enabled: clients === 'document', ack: 'draft-02' },
      revocation: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientId === 'resource-server' },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(_ctx, asked) {
          if (asked !== resource) throw new errors.InvalidTarget();
          return { scope: SCOPE, audience: asked, accessTokenTTL: lifetime, accessTokenFormat: tokens, jwt: { sign: { alg: 'ES256' } } };
        },
        useGrantedResource: () => true,
      },
    },
    ttl: { Session: 3600, Interaction: 900, Grant: 3600, RefreshToken: 3600, AuthorizationCode: 60 },
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
  provider.use(async (ctx, next) => {
    await next();
    note(ctx);
  });

  /** Which endpoint was used by which client with what result, and every secret that came or went. */
  function note(ctx) {
    const { route, params = {}, client, entities = {} } = ctx.oidc ?? {};
    if (!['registration', 'authorization', 'token', 'revocation'].includes(route)) return;
    const { access_token, refresh_token, client_secret } = ctx.body ?? {};
    for (const value of [access_token, refresh_token, client_secret, params.code, params.code_verifier, params.client_secret]) {
      if (typeof value === 'string') self.issued.add(value);
    }
    const { grantId: grant, accountId: account } = entities.RefreshToken ?? entities.AuthorizationCode ?? {};
    if (access_token) self.grants.set(access_token, { grant, account });
    const { grant_type: grantType, resource: asked, scope } = params;
    self.seen.push({
      endpoint: route, status: ctx.status, client: client?.clientId ?? ctx.body?.client_id, error: ctx.body?.error,
      method: client?.clientAuthMethod, grantType, resource: asked, scope, token: route === 'revocation' ? params.token_type_hint : undefined,
    });
  }

  async function serve(req, res) {
    if (await interact(provider, req, res)) return;
    await provider.callback()(req, res);
  }

  const metadata = await oauth.processDiscoveryResponse(new URL(self.issuer), await oauth.discoveryRequest(new URL(self.issuer), {
    algorithm: 'oidc', [oauth.allowInsecureRequests]: true,
  }));
  self.metadata = metadata;

  /** Whom an access token of this server stands for at the MCP server; throws where it stands for nobody. */
  self.verify = async (token) => {
    if (self.expired.has(token)) throw new Error('expired');
    const claims = tokens === 'jwt' ? await byItself(token) : await bySomebodyElse(token);
    return { token, clientId: claims.client_id, scopes: claims.scope.split(' '), expiresAt: claims.exp, resource: new URL(resource), extra: { subject: claims.sub } };
  };

  function byItself(token) {
    const request = new Request(resource, { headers: { Authorization: `Bearer ${token}` } });
    return oauth.validateJwtAccessToken(metadata, request, resource, { [oauth.allowInsecureRequests]: true });
  }

  async function bySomebodyElse(token) {
    const client = { client_id: 'resource-server' };
    const response = await oauth.introspectionRequest(metadata, client, oauth.ClientSecretBasic(secret), token, { [oauth.allowInsecureRequests]: true });
    const claims = await oauth.processIntrospectionResponse(metadata, client, response);
    if (!claims.active || ![claims.aud].flat().includes(resource)) throw new Error('not active here');
    return claims;
  }

  /** Ends all access tokens; the refresh tokens live on. */
  self.expire = () => { for (const token of self.grants.keys()) self.expired.add(token); };

  /** Ends what a person has allowed. */
  self.end = async (subject) => {
    for (const [token, { grant }] of [...self.grants].filter(([, { account }]) => account === subject)) {
      self.expired.add(token);
      await provider.RefreshToken.revokeByGrantId(grant);
    }
  };
  return self;
}
