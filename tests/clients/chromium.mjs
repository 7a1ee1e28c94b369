// The scripted browser's work done by a real Chromium, with scripts switched off unless asked for.
// It obeys what the plain browser cannot: CSP (`form-action` over whole redirect chains), SameSite,
// Secure, framing. With `--screenshots DIR` every page is kept in light and dark.
//
//   node chromium.mjs --url <authorization URL> --user ada --password ada [--decision approve|cancel]
//                     [--screenshots DIR] [--scripts] [--secrets file]
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { args } from './lib/args.mjs';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const MAX_PAGES = 20;

export class Chromium {
  static async start({ user, password, decision = 'approve', scripts = false, screenshots, onSecret = () => {} }) {
    const profile = mkdtempSync(path.join(tmpdir(), 'chromium-'));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: FLAGS,
      headless: true,
      javaScriptEnabled: scripts,
      viewport: { width: 1000, height: 760 },
    });
    context.setDefaultTimeout(20000);
    if (screenshots) mkdirSync(screenshots, { recursive: true });
    return Object.assign(new Chromium(), { user, password, decision, screenshots, onSecret, context, profile, shot: 0 });
  }

  async stop() {
    await this.context.close();
    rmSync(this.profile, { recursive: true, force: true });
  }

  /** As `Browser.authorize`: goes on until the client's redirect URI is due, and returns that. */
  async authorize(authorizationUrl) {
    const { redirect, visited, stuck } = await this.visit(authorizationUrl, new URL(authorizationUrl).searchParams.get('redirect_uri'));
    if (!redirect) throw Object.assign(new Error(stuck), { visited });
    return { redirect, visited };
  }

  /** As `Browser.visit`: answers page after page until `callback` is due or a page asks nothing. */
  async visit(start, callback) {
    const visited = [];
    let status;
    const page = await this.context.newPage();
    const complaints = [];
    page.on('console', (message) => /Content Security Policy|refused/i.test(message.text()) && complaints.push(message.text()));
    const arrived = new Promise((resolve) => page.on('request', (request) => {
      if (!request.isNavigationRequest()) return;
      const url = new URL(request.url());
      for (const name of ['code', 'state', 'nonce']) if (url.searchParams.has(name)) this.onSecret(url.searchParams.get(name));
      if (callback && request.url().startsWith(callback)) resolve(request.url());
    }));
    page.on('response', (response) => { if (response.request().isNavigationRequest()) status = response.status(); });
    let redirect;
    let stuck;
    arrived.then((url) => { redirect = url; });
    await page.goto(String(start)).catch((error) => { if (!redirect) throw error; });
    for (let count = 0; !redirect && count < MAX_PAGES; count++) {
      const entry = { url: page.url().split('?')[0], page: await this.#kind(page) };
      visited.push(entry);
      await this.#shoot(page, entry.page);
      const submit = await this.#fill(page, entry.page);
      if (!submit) {
        stuck = `stuck at ${entry.url} "${await page.title()}"; ${complaints.join('; ')}`;
        break;
      }
      // Nothing listens at the callback, so the last navigation fails after its request was seen.
      const moved = page.waitForEvent('framenavigated', { timeout: 10000 }).catch(() => undefined);
      await submit.click({ noWaitAfter: true });
      const late = Symbol('late');
      const first = await Promise.race([arrived, moved.then((frame) => frame ?? late)]);
      if (first === late && !redirect) throw Object.assign(new Error(`pressing on at ${entry.url} led nowhere; ${complaints.join('; ')}`), { visited });
      if (!redirect) await page.waitForLoadState().catch(() => undefined);
    }
    for (const { value } of await this.context.cookies()) this.onSecret(value);
    await page.close();
    if (stuck) return { visited, stuck, response: { status } };
    if (!redirect) throw Object.assign(new Error(`more than ${MAX_PAGES} pages`), { visited });
    visited.push({ url: redirect.split('?')[0], page: 'client' });
    return { redirect, visited };
  }

  async #kind(page) {
    const waits = await page.locator('button[name=decision][value=approve]:disabled').count();
    if (waits || await page.locator('form input[name=ticket]').count()) return 'connect';
    if (await page.locator('button[name=decision]').count()) return 'consent';
    if (await page.locator('a[href*="/oauth/dev-login"], form[action*="/oauth/dev-login"]').count()) return 'dev-login';
    if (await page.locator('input[type=password], input[autocomplete=username], input[name=login]').count()) return 'login';
    return (await page.locator('form').count()) ? 'idp-consent' : 'other';
  }

  async #fill(page, kind) {
    const best = async (...selectors) => {
      for (const selector of selectors) if (await page.locator(selector).count()) return page.locator(selector).first();
      return undefined;
    };
    if (kind === 'connect') {
      const service = page.getByRole('link', { name: /^Connect\b/ });
      return (await service.count()) ? service.first() : best('form:has(input[name=ticket]) button');
    }
    if (kind === 'consent') return best(`button[name=decision][value=${this.decision}]:enabled`);
    if (kind === 'dev-login') return best(`a[href*="user=${this.user}"]`, `button[value="${this.user}"]`);
    if (kind === 'login') {
      const name = page.locator('input:not([type=hidden]):not([type=password]):not([type=checkbox]):not([type=submit])').first();
      if (await name.count()) await name.fill(this.user);
      const password = page.locator('input[type=password]').first();
      if (await password.count()) await password.fill(this.password);
      return best('form button[type=submit], form input[type=submit], form button:not([type])');
    }
    if (kind === 'idp-consent') return best('button[value=accept]', 'input[name=allow]', 'form button');
    return undefined;
  }

  async #shoot(page, kind) {
    if (!this.screenshots) return;
    this.shot += 1;
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: path.join(this.screenshots, `${String(this.shot).padStart(2, '0')}-${kind}-${colorScheme}.png`), fullPage: true });
    }
    await page.emulateMedia({ colorScheme: 'light' });
  }
}

if (import.meta.filename === process.argv[1]) {
  const options = args({ url: undefined, user: 'ada', password: 'ada', decision: 'approve', screenshots: null, scripts: false, secrets: null });
  const onSecret = options.secrets ? (value) => value.length >= 8 && appendFileSync(options.secrets, `${value}\n`) : undefined;
  const browser = await Chromium.start({ ...options, onSecret });
  try {
    console.log(JSON.stringify(await browser.authorize(options.url)));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message, visited: error.visited }));
    process.exitCode = 1;
  } finally {
    await browser.stop();
  }
}
