// npm oidc-provider as a real identity provider: a login form, PKCE, nonce, `iss` in responses, RS256
// and ES256 keys, refresh tokens, end_session. The users are ada and bob; the password is the name.
//
//   GET  /test/rotate         makes new signing keys (add ?keep=1 to leave the old ones in the JWKS)
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';
import { args } from '../lib/args.mjs';
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

const USERS = {
  ada: { name: 'Ada Lovelace', email: 'ada@example.com', email_verified: true, groups: ['engineering', 'admins'] },
  bob: { name: 'Bob Noyce', email: 'bob@example.com', email_verified: true, groups: ['engineering'] },
};

function signingKeys() {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  const kid = (jwk) => createHash('sha256').update(jwk.n ?? jwk.x).digest('base64url').slice(0, 16);
  return [
    { ...rsa, kid: kid(rsa), alg: 'RS256', use: 'sig' },
    { ...ec, kid: kid(ec), alg: 'ES256', use: 'sig' },
  ];
}

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
    findAccount: (_ctx, sub) => USERS[sub] && { accountId: sub, claims: () => ({ sub, ...USERS[sub] }) },
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

const page = (title, body) =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body><h1>${title}</h1>${body}</body></html>`;

const loginPage = (uid, note = '') => page('Sign in', `${note}<form method="post" action="/interaction/${uid}/login">
<label>User name <input name="username" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button type="submit">Sign in</button></form>`);

const consentPage = (uid) => page('Allow access', `<form method="post" action="/interaction/${uid}/confirm">
<button type="submit" name="answer" value="accept">Allow</button></form>`);

function html(res, status, body) {
  res.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' }).end(body);
}

async function form(req) {
  let body = '';
  for await (const chunk of req) body += chunk;
  return new URLSearchParams(body);
}

async function interact(req, res, uid, action) {
  const details = await provider.interactionDetails(req, res);
  if (!action) return html(res, 200, details.prompt.name === 'login' ? loginPage(uid) : consentPage(uid));
  const fields = await form(req);
  if (action === 'login') {
    const name = fields.get('username');
    if (!USERS[name] || fields.get('password') !== name) {
      return html(res, 401, loginPage(uid, '<p role="alert">Wrong user name or password.</p>'));
    }
    return provider.interactionFinished(req, res, { login: { accountId: name, amr: ['pwd'] } }, { mergeWithLastSubmission: false });
  }
  const grant = details.grantId
    ? await provider.Grant.find(details.grantId)
    : new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
  grant.addOIDCScope(details.params.scope);
  const grantId = await grant.save();
  return provider.interactionFinished(req, res, { consent: { grantId } }, { mergeWithLastSubmission: true });
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
  const match = /^\/interaction\/([\w-]+)(?:\/(login|confirm))?$/.exec(url.pathname);
  if (match) return interact(req, res, match[1], req.method === 'POST' ? match[2] : undefined);
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
