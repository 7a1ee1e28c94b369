// A scripted browser over plain HTTP. It signs in at an identity provider's form, answers the gateway's
// consent page, and returns the redirect to the client instead of following it.
//
//   node browser.mjs --url <authorization URL> --user ada --password ada [--decision approve|cancel]
//                    [--jar cookies.json] [--secrets file]     prints {"redirect":…,"visited":[…]}
//   --visit goes on from page to page until one asks nothing; --press name=value sends the form at the URL with that field.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { args } from './lib/args.mjs';
import { forms, links, title } from './lib/html.mjs';
import { CookieJar } from './lib/jar.mjs';

const MAX_STEPS = 40;
const SECRET_PARAMETERS = ['code', 'state', 'nonce', 'id_token', 'access_token', 'browserTicket'];

export class Browser {
  constructor({ user, password, decision = 'approve', jar = new CookieJar(), onSecret = () => {} }) {
    Object.assign(this, { user, password, decision, jar, onSecret });
  }

  /**
   * Opens an authorization URL and goes on until the client's redirect URI is due.
   *
   * Returns the redirect and what was visited: `{method, url, status, page}`, where `page` is
   * `login`, `idp-consent`, `connect`, `consent`, `dev-login`, `redirect` or `client`.
   */
  async authorize(authorizationUrl) {
    const { redirect, visited, response } = await this.visit(authorizationUrl, new URL(authorizationUrl).searchParams.get('redirect_uri'));
    if (redirect) return { redirect, visited };
    const { url, status } = visited.at(-1);
    throw Object.assign(new Error(`stuck at ${url} (${status} "${title(response.body)}")`), { visited, response });
  }

  /** Opens a URL and answers page after page until `callback` is due or a page asks nothing; returns that page's response. */
  async visit(start, callback) {
    const visited = [];
    let request = { method: 'GET', url: new URL(start), from: undefined };
    for (let step = 0; step < MAX_STEPS; step++) {
      if (callback && isCallback(request.url, callback)) {
        visited.push({ method: request.method, url: bare(request.url), page: 'client' });
        return { redirect: request.url.href, visited };
      }
      const response = await this.#send(request);
      const entry = { method: request.method, url: bare(request.url), status: response.status };
      visited.push(entry);
      if (response.status >= 300 && response.status < 400 && response.location) {
        entry.page = 'redirect';
        request = redirected(request, response);
        continue;
      }
      const answer = this.#answer(request.url, response);
      if (!answer) return { response, visited };
      entry.page = answer.page;
      request = { ...answer, from: request.url, referrerPolicy: response.referrerPolicy };
    }
    throw Object.assign(new Error(`more than ${MAX_STEPS} steps`), { visited });
  }

  /** Opens one URL as a top-level navigation and returns the response, redirects not followed. */
  open(url, method = 'GET') {
    return this.#send({ method, url: new URL(url) });
  }

  /** Opens a page and sends the form there whose field `name` has `value`; returns the page that follows. */
  async press(page, name, value) {
    const url = new URL(page);
    const { body, referrerPolicy } = await this.open(url);
    const form = forms(body).find(({ fields }) => fields.some((field) => field.name === name && field.value === value));
    if (!form) throw new Error(`no form with ${name}=${value} at ${bare(url)}`);
    const values = new URLSearchParams(form.fields.map((field) => [field.name, field.value ?? '']));
    for (const entry of values.values()) if (entry.length >= 20) this.onSecret(entry, 'form');
    const { location } = await this.#send({
      method: 'POST', url: new URL(form.action || url.href, url), body: values.toString(), from: url, referrerPolicy,
    });
    return this.open(new URL(location, url));
  }

  #answer(url, { body, status }) {
    for (const form of forms(body)) {
      const page = kind(form);
      const button = this.#button(form, page);
      const service = page === 'consent' && button.disabled && links(body).find(({ text }) => /^Connect\b/.test(text));
      if (service) return { page: 'connect', method: 'GET', url: new URL(service.href, url) };
      const values = new URLSearchParams();
      for (const { name, type = 'text', value = '', checked } of form.fields) {
        if (/^(checkbox|radio)$/i.test(type) && checked === undefined) continue;
        if (/^password$/i.test(type)) values.append(name, this.password);
        else if (page === 'login' && !/^hidden$/i.test(type)) values.append(name, /^checkbox$/i.test(type) ? value || 'on' : this.user);
        else values.append(name, value);
      }
      if (status >= 400 && page !== 'login') return undefined;
      if (status >= 400) throw new Error(`sign-in refused at ${bare(url)}`);
      if (button?.disabled) throw new Error(`the button "${button.value}" is disabled at ${bare(url)}`);
      if (button?.name) values.append(button.name, button.value ?? '');
      for (const [name, value] of values) if (value.length >= 20) this.onSecret(value, name === 'ticket' ? name : 'form');
      const target = new URL(button?.formaction || form.action || url.href, url);
      if (form.method === 'post') return { page, method: 'POST', url: target, body: values.toString() };
      target.search = values.toString();
      return { page, method: 'GET', url: target };
    }
    const chooser = links(body).map(({ href }) => new URL(href, url))
      .find((link) => link.pathname.endsWith('/oauth/dev-login') && link.searchParams.get('user') === this.user);
    return chooser && { page: 'dev-login', method: 'GET', url: chooser };
  }

  #button(form, page) {
    if (page === 'consent') {
      const button = form.buttons.find(({ name, value }) => name === 'decision' && value === this.decision);
      if (!button) throw new Error(`the consent page has no ${this.decision} button`);
      return button;
    }
    if (page === 'dev-login') return form.buttons.find((b) => b.value === this.user) ?? form.buttons[0];
    return form.buttons.find((b) => /^(accept|allow|authorize|confirm|yes)$/i.test(b.value ?? '')) ?? form.buttons[0];
  }

  async #send({ method, url, body, from, referrerPolicy = '' }) {
    for (const name of SECRET_PARAMETERS) for (const value of url.searchParams.getAll(name)) this.onSecret(value, name);
    const headers = {
      'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
      Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
      'Accept-Language': 'en-GB,en;q=0.9',
      'Upgrade-Insecure-Requests': '1',
      'Sec-Fetch-Dest': 'document',
      'Sec-Fetch-Mode': 'navigate',
      'Sec-Fetch-Site': site(from, url),
      'Sec-Fetch-User': '?1',
    };
    const cookie = this.jar.header(url);
    if (cookie) headers.Cookie = cookie;
    if (from && !/no-referrer$/i.test(referrerPolicy)) headers.Referer = from.origin === url.origin ? from.href : `${from.origin}/`;
    if (method === 'POST') {
      headers['Content-Type'] = 'application/x-www-form-urlencoded';
      headers['Content-Length'] = Buffer.byteLength(body ?? '');
      headers.Origin = opaqueOrigin(referrerPolicy, from, url) ? 'null' : from?.origin ?? 'null';
    }
    const response = await fetchOnce(method, url, headers, body);
    this.jar.store(url, response.setCookie);
    for (const value of response.setCookie) this.onSecret(value.split(';')[0].replace(/^[^=]*=/, ''));
    return response;
  }
}

function kind(form) {
  if (form.buttons.some(({ name }) => name === 'decision')) return 'consent';
  if (form.fields.some(({ name }) => name === 'ticket')) return 'connect';
  if (form.action.includes('/oauth/dev-login') || form.buttons.some(({ name }) => name === 'user')) return 'dev-login';
  const asks = ({ name, type = 'text' }) => /^password$/i.test(type) || (/^(text|email)$/i.test(type) && /user|login|email|name/i.test(name));
  return form.fields.some(asks) ? 'login' : 'idp-consent';
}

/** Fetch, "append a request Origin header": a strict referrer policy makes the origin of a form post `null`. */
function opaqueOrigin(policy, from, url) {
  if (policy === 'no-referrer') return true;
  return policy === 'same-origin' && from?.origin !== url.origin;
}

function site(from, to) {
  if (!from) return 'none';
  if (from.origin === to.origin) return 'same-origin';
  return from.hostname === to.hostname ? 'same-site' : 'cross-site';
}

function redirected(request, { status, location }) {
  const url = new URL(location, request.url);
  const keeps = status === 307 || status === 308;
  return { ...request, url, method: keeps ? request.method : 'GET', body: keeps ? request.body : undefined };
}

function isCallback(url, callback) {
  const wanted = new URL(callback);
  return url.protocol === wanted.protocol && url.host === wanted.host && url.pathname === wanted.pathname;
}

const bare = (url) => (url.origin === 'null' ? `${url.protocol}//${url.host}` : url.origin) + url.pathname;

function fetchOnce(method, url, headers, body) {
  const { request } = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, timeout: 20000, agent: false }, (incoming) => {
      const chunks = [];
      incoming.on('data', (chunk) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => resolve({
        status: incoming.statusCode,
        location: incoming.headers.location,
        setCookie: incoming.headers['set-cookie'] ?? [],
        referrerPolicy: incoming.headers['referrer-policy'] ?? '',
        headers: incoming.headers,
        body: Buffer.concat(chunks).toString('utf8'),
      }));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer from ${bare(url)} in 20 s`)));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

if (import.meta.filename === process.argv[1]) {
  const options = args({ url: undefined, user: 'ada', password: 'ada', decision: 'approve', jar: null, secrets: null, visit: false, press: null });
  const jar = new CookieJar(options.jar && existsSync(options.jar) ? JSON.parse(readFileSync(options.jar, 'utf8')) : []);
  const onSecret = options.secrets ? (value, kind = '') => appendFileSync(options.secrets, `${value}\t${kind}\n`) : undefined;
  try {
    const browser = new Browser({ ...options, jar, onSecret });
    if (options.press) {
      const { status } = await browser.press(options.url, ...options.press.split('='));
      console.log(JSON.stringify({ status }));
    } else if (options.visit) {
      const { response, visited } = await browser.visit(options.url);
      console.log(JSON.stringify({ status: response.status, visited }));
    } else {
      console.log(JSON.stringify(await browser.authorize(options.url)));
    }
  } catch (error) {
    console.log(JSON.stringify({ error: error.message, visited: error.visited }));
    process.exitCode = 1;
  } finally {
    if (options.jar) writeFileSync(options.jar, JSON.stringify(jar.cookies));
  }
}
