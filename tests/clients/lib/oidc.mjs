// What every use of npm oidc-provider here has in common: keys, two people whose password is their name, and the pages
// on which they sign in and consent.
import { createHash, generateKeyPairSync } from 'node:crypto';

const USERS = {
  ada: { name: 'Ada Lovelace', email: 'ada@example.com', email_verified: true, groups: ['engineering', 'admins'] },
  bob: { name: 'Bob Noyce', email: 'bob@example.com', email_verified: true, groups: ['engineering'] },
};

export const findAccount = (_ctx, sub) => USERS[sub] && { accountId: sub, claims: () => ({ sub, ...USERS[sub] }) };

export function signingKeys() {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  const kid = (jwk) => createHash('sha256').update(jwk.n ?? jwk.x).digest('base64url').slice(0, 16);
  return [
    { ...rsa, kid: kid(rsa), alg: 'RS256', use: 'sig' },
    { ...ec, kid: kid(ec), alg: 'ES256', use: 'sig' },
  ];
}

export const page = (title, body) =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body><h1>${title}</h1>${body}</body></html>`;

const loginPage = (uid, note = '') => page('Sign in', `${note}<form method="post" action="/interaction/${uid}/login">
<label>User name <input name="username" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button type="submit">Sign in</button></form>`);

const consentPage = (uid) => page('Allow access', `<form method="post" action="/interaction/${uid}/confirm">
<button type="submit" name="answer" value="accept">Allow</button></form>`);

export function html(res, status, body) {
  res.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' }).end(body);
}

async function form(req) {
  let body = '';
  for await (const chunk of req) body += chunk;
  return new URLSearchParams(body);
}

/** Answers a request for one of the pages, `/interaction/…`; false if it asks for something else. */
export async function interact(provider, req, res) {
  const [, uid, path] = /^\/interaction\/([\w-]+)(?:\/(login|confirm))?$/.exec(new URL(req.url, 'http://localhost').pathname) ?? [];
  if (!uid) return false;
  const action = req.method === 'POST' ? path : undefined;
  const details = await provider.interactionDetails(req, res);
  if (!action) {
    html(res, 200, details.prompt.name === 'login' ? loginPage(uid) : consentPage(uid));
    return true;
  }
  const fields = await form(req);
  if (action === 'login') {
    const name = fields.get('username');
    if (!USERS[name] || fields.get('password') !== name) {
      html(res, 401, loginPage(uid, '<p role="alert">Wrong user name or password.</p>'));
      return true;
    }
    await provider.interactionFinished(req, res, { login: { accountId: name, amr: ['pwd'] } }, { mergeWithLastSubmission: false });
    return true;
  }
  const grant = details.grantId
    ? await provider.Grant.find(details.grantId)
    : new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
  // What the client asks for, by itself or at a resource (RFC 8707), is what the person allows.
  const { missingOIDCScope, missingResourceScopes } = details.prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) grant.addResourceScope(resource, scopes.join(' '));
  await provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
  return true;
}
