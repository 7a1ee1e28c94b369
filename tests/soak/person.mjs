// A person with a browser and an MCP client, and what must hold for them whatever happens to the gateway.
import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Browser } from '../clients/browser.mjs';
import { CookieJar } from '../clients/lib/jar.mjs';
import { forms } from '../clients/lib/html.mjs';
import { signIn } from '../clients/conformance/lib/gateway.mjs';

const REDIRECT = 'http://127.0.0.1:33418/callback';
let calls = 0;

/** Something that may pass: the gateway said so, or broke off. */
class Passing extends Error {}

export class Person {
  constructor(name, ctx) {
    Object.assign(this, { name, ctx, lock: Promise.resolve(), away: false, busy: 0 });
    // The cookie by which the upstream's authorization server knows who sits at the browser.
    this.browser = new Browser({ user: name, password: '', jar: new CookieJar([{ host: '127.0.0.1', path: '/', name: 'who', value: name }]) });
  }

  /** Repeats what failed in passing until it works, at most as long as a recovery may take. */
  async #patiently(what, step) {
    const until = performance.now() + this.ctx.deadline;
    for (;;) {
      try {
        return await step();
      } catch (error) {
        const passing = error instanceof Passing || /answered (429|50[234])|\(50[234] |ECONNRESET|ECONNREFUSED|socket hang up|fetch failed|terminated|no answer/.test(`${error.message} ${error.cause?.message}`);
        if (!passing || performance.now() > until) throw Object.assign(error, { message: `${what} of ${this.name}: ${error.message}` });
        this.ctx.retried(what);
        await pause(200 + Math.random() * 300);
      }
    }
  }

  async signIn() {
    this.tokens = await this.#patiently('sign-in', () => signIn(this.ctx.route, this.browser, REDIRECT));
    this.clientId = undefined;
    this.issued = performance.now();
    this.ctx.counts.logins++;
  }

  /** One refresh at a time, as a good client does it; the same token again if the answer got lost. */
  refresh(seen = this.tokens) {
    this.lock = this.lock.catch(() => {}).then(async () => {
      if (this.tokens !== seen) return;
      const answer = await this.#patiently('refresh', async () => {
        const response = await this.#send('POST', this.tokens.token_endpoint, new URLSearchParams({
          grant_type: 'refresh_token', refresh_token: this.tokens.refresh_token, client_id: this.tokens.client_id,
        }).toString(), { 'Content-Type': 'application/x-www-form-urlencoded' });
        if (response.status >= 500 || response.status === 429) throw new Passing(`${response.status}`);
        return response;
      });
      if (answer.status !== 200) {
        this.ctx.counts.lostGrants++;
        this.ctx.fault('lost grant', `${this.name}: ${answer.status} ${answer.body}`);
        await this.signIn();
        return;
      }
      this.tokens = { ...this.tokens, ...JSON.parse(answer.body) };
      this.issued = performance.now();
      this.ctx.counts.refreshes++;
    });
    return this.lock;
  }

  /** A tool call whose answer must say that the upstream took the caller for this person. */
  call() {
    return this.takePart(() => this.#patiently('call', () => this.#callOnce(0)));
  }

  /** Does what needs the person's connection; not while they are disconnected, which waits for its end. */
  async takePart(step) {
    if (this.away) return;
    this.busy++;
    try {
      await step(this);
    } finally {
      this.busy--;
    }
  }

  async #callOnce(refreshes) {
    const seen = this.tokens;
    const number = ++calls;
    const began = performance.now();
    const response = await this.#send('POST', this.ctx.route,
      JSON.stringify({ jsonrpc: '2.0', id: number, method: 'tools/call', params: { name: 'whoami', arguments: { number } } }), this.#headers(seen));
    if (response.status === 401 && refreshes < 2) {
      await this.refresh(seen);
      return this.#callOnce(refreshes + 1);
    }
    if ([429, 502, 503, 504].includes(response.status)) throw new Passing(`${response.status} ${response.body.slice(0, 200)}`);
    if (response.status !== 200) throw new Error(`${response.status} ${response.body.slice(0, 200)}`);
    const { id, result, error } = JSON.parse(response.body);
    if (error?.data?.state) {
      this.ctx.counts.lostConnections++;
      this.ctx.fault('lost connection', `${this.name}: ${error.data.state}`);
      return;
    }
    if (error) throw new Error(JSON.stringify(error));
    if (result.content[0].text !== this.name || result.echo.number !== number || id !== number) {
      this.ctx.counts.wrongUser++;
      this.ctx.fault('wrong answer', `${this.name} call ${number} got ${response.body}`);
    }
    this.ctx.counts.calls++;
    this.ctx.latencies.push(performance.now() - began);
  }

  /** A stream until it ends; every event must be this person's. */
  async stream(over) {
    if (this.away || performance.now() - this.issued > 45000) await this.refresh().catch(() => {});
    if (over()) return;
    const seen = this.tokens;
    await new Promise((resolve) => {
      const request = http.request(this.ctx.route, { method: 'GET', agent: false, headers: { ...this.#headers(seen), Accept: 'text/event-stream' } }, (response) => {
        if (response.statusCode !== 200) {
          response.resume().on('close', resolve);
          if (response.statusCode === 401) this.refresh(seen).catch(() => {});
          return;
        }
        this.ctx.counts.streamsOpened++;
        const watch = setInterval(() => over() && request.destroy(), 1000);
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
          for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
            const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1];
            text = text.slice(end + 2);
            const message = data && JSON.parse(data);
            if (!message?.params) continue;
            this.ctx.counts.events++;
            if (message.params.data !== this.name) {
              this.ctx.counts.wrongUser++;
              this.ctx.fault('wrong event', `${this.name} got one of ${message.params.data}`);
            }
          }
        });
        response.on('error', () => {});
        response.on('close', () => { clearInterval(watch); resolve(); });
      });
      request.setTimeout(60000, () => request.destroy());
      request.on('error', resolve);
      request.end();
    });
    await pause(200 + Math.random() * 800);
  }

  /** Gives the grant back; both tokens must then be refused, everywhere, within the documented time. */
  async revoke() {
    const { tokens } = this;
    await this.#patiently('revocation', async () => {
      const response = await this.#send('POST', tokens.revocation_endpoint,
        new URLSearchParams({ token: tokens.refresh_token, client_id: tokens.client_id }).toString(), { 'Content-Type': 'application/x-www-form-urlencoded' });
      if (response.status >= 500) throw new Passing(`${response.status}`);
      if (response.status !== 200) throw new Error(`${response.status} ${response.body}`);
    });
    const until = performance.now() + 11000;
    let refused = 0;
    while (refused < 4) {
      const { status } = await this.#patiently('call', () => this.#send('POST', this.ctx.route, '{"jsonrpc":"2.0","id":1,"method":"ping"}', this.#headers(tokens)));
      refused = status === 401 ? refused + 1 : 0;
      if (status === 200 && performance.now() > until) return this.ctx.fault('revocation', `a token of ${this.name} works on after 11 s`);
      await pause(50);
    }
    this.ctx.counts.revocations++;
  }

  /** Disconnects at the account page and connects again by the link that a call then names. */
  async reconnect() {
    if (this.away) return;
    this.away = true;
    try {
      for (const until = performance.now() + 3 * this.ctx.deadline; this.busy > 0; await pause(50)) {
        if (performance.now() > until) return this.ctx.fault('hang', `what ${this.name} does has no end`);
      }
      await this.#patiently('disconnecting', async () => {
        const page = await this.browser.open(`${this.ctx.origin}/account`);
        const form = forms(page.body).find(({ fields }) => fields.some(({ name }) => name === 'disconnect'));
        if (page.status >= 500) throw new Passing(`${page.status}`);
        if (!form) return; // done before, and the answer got lost
        const body = new URLSearchParams(form.fields.map(({ name, value = '' }) => [name, value]));
        for (const { name, value = '' } of form.buttons.slice(0, 1)) if (name) body.append(name, value);
        const response = await this.#send('POST', new URL(form.action || '/account', this.ctx.origin).href, body.toString(), {
          'Content-Type': 'application/x-www-form-urlencoded', Cookie: this.browser.jar.header(new URL(this.ctx.origin)),
          Origin: this.ctx.origin, 'Sec-Fetch-Site': 'same-origin',
        });
        if (response.status >= 500) throw new Passing(`${response.status}`);
        if (response.status >= 400) throw new Error(`${response.status}`);
      });
      // Another replica may use the connection for its staleness bound; then it must ask to connect.
      const until = performance.now() + 11000;
      for (;;) {
        const link = await this.#patiently('connect link', () => this.#connectLink());
        if (link) {
          this.ctx.counts.connectRequired++;
          await this.#patiently('connecting', () => this.browser.visit(link).then(({ response }) => {
            if (response.status >= 500) throw new Passing(`${response.status}`);
          }));
          break;
        }
        if (performance.now() > until) return this.ctx.fault('disconnect', `the connection of ${this.name} works on after 11 s`);
        await pause(250);
      }
      // The same bound for the new connection.
      for (let left = 60; await this.#patiently('connect link', () => this.#connectLink()); left--) {
        if (left === 0) return this.ctx.fault('lost connection', `${this.name} connected, and is asked to connect`);
        await pause(250);
      }
      this.ctx.counts.reconnects++;
    } finally {
      this.away = false;
    }
  }

  /** The link that a call is answered with where nothing is connected. */
  async #connectLink() {
    const seen = this.tokens;
    const response = await this.#send('POST', this.ctx.route,
      JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } }), this.#headers(seen));
    if (response.status === 401) await this.refresh(seen);
    if (response.status !== 200) throw new Passing(`${response.status}`);
    return JSON.parse(response.body).error?.data?.authUrl;
  }

  #headers({ access_token: token }) {
    return { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': '2025-11-25' };
  }

  #send(method, url, body, headers) {
    return new Promise((resolve, reject) => {
      const request = http.request(url, { method, agent: this.ctx.agent, headers: { ...headers, 'Content-Length': Buffer.byteLength(body) } }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', (error) => reject(new Passing(error.message)));
        response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(chunks).toString() }));
      });
      request.setTimeout(35000, () => request.destroy(new Passing('no answer in 35 s')));
      request.on('error', (error) => reject(new Passing(error.message)));
      request.end(body);
    });
  }
}
