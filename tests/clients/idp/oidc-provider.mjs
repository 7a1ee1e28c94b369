// npm oidc-provider as a real identity provider: a login form, PKCE, nonce, `iss` in responses, RS256
// and ES256 keys, refresh tokens, end_session. The users are ada and bob; the password is the name.
//
//   GET  /test/rotate         makes new signing keys (add ?keep=1 to leave the old ones in the JWKS)
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';
import { args } from '../lib/args.mjs';
import { findAccount, html, interact, page, signingKeys } from '../lib/oidc.mjs';
import { endOnSigterm, ready } from '../lib/serve.mjs';

const options = args({
  port: '0',
  'redirect-uri': undefined,
  'post-logout-uri': null,
  'client-id': 'gateway',
  'client-secret': 'gateway-secret',
  alg: 'RS256',
  consent: false,
});

const cookieKeys = [randomBytes(32).toString('hex')];
let keys = signingKeys();
let provider;

function build(issuer) {
  provider = new Provider(issuer, {
    clients: [{
      client_id: options['client-id'],
      client_secret: options['client-secret'],
      client_name: 'Sallyport',
      token_endpoint_auth_method: 'client_secret_basic',
      redirect_uris: [options['redirect-uri']],
      post_logout_redirect_uris: options['post-logout-uri'] ? [options['post-logout-uri']] : [],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      id_token_signed_response_alg: options.alg,
    }],
    jwks: { keys },
    cookies: { keys: cookieKeys },
    scopes: ['openid', 'profile', 'email', 'groups', 'offline_access'],
    claims: { openid: ['sub'], profile: ['name', 'groups'], email: ['email', 'email_verified'], groups: ['groups'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    loadExistingGrant: options.consent ? undefined : grantEverything,
    findAccount,
    ttl: { Session: 3600, Interaction: 900, Grant: 3600 },
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
}

async function grantEverything(ctx) {
  const { client, session, params } = ctx.oidc;
  const known = session.grantIdFor(client.clientId);
  if (known) return ctx.oidc.provider.Grant.find(known);
  const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope);
  await grant.save();
  return grant;
}

async function serve(req, res) {
  const url = new URL(req.url, 'http://localhost');
  if (url.pathname === '/test/rotate') {
    const fresh = signingKeys();
    keys = url.searchParams.has('keep') ? [...fresh, ...keys] : fresh;
    build(provider.issuer);
    res.writeHead(200, { 'Content-Type': 'application/json' });
    return res.end(JSON.stringify({ kids: keys.map((key) => key.kid) }));
  }
  if (await interact(provider, req, res)) return undefined;
  return provider.callback()(req, res);
}

const server = http.createServer((req, res) => {
  serve(req, res).catch((error) => {
    console.error(error);
    html(res, 500, page('Error', ''));
  });
});
endOnSigterm();
server.listen(Number(options.port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  build(issuer);
  ready({ issuer, clientId: options['client-id'], clientSecret: options['client-secret'] });
});
