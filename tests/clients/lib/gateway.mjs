// One gateway under test with an identity provider and servers behind it, all on loopback.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Child, PYTHON, freePort } from './processes.mjs';

const SERVERS = {
  everything: ['node', 'servers/everything.mjs'],
  modern: ['node', 'servers/modern.mjs'],
  fastmcp: [PYTHON, 'servers/fastmcp_server.py'],
  'fastmcp-stateless': [PYTHON, 'servers/fastmcp_server.py', '--stateless'],
  protected: [PYTHON, 'servers/fastmcp_server.py', '--oauth'],
};
const IDENTITY_PROVIDERS = {
  'oidc-provider': ['node', 'idp/oidc-provider.mjs'],
  canaille: [PYTHON, 'idp/second.py'],
};
const TERMINAL_COLOURS = /\u001b\[[0-9;]*m/g;

export class Gateway {
  static async start({ binary, scratch, provider, alg = 'RS256', storeUrl, servers, tools }) {
    mkdirSync(scratch, { recursive: true });
    const self = Object.assign(new Gateway(), { scratch, children: [] });
    try {
      await self.#start({ binary, provider, alg, storeUrl, servers, tools });
    } catch (error) {
      await self.stop();
      throw error;
    }
    return self;
  }

  async #start({ binary, provider, alg, storeUrl, servers, tools }) {
    const [port, adminPort] = [await freePort(), await freePort()];
    this.origin = `http://127.0.0.1:${port}`;
    this.log = path.join(this.scratch, 'gateway.log');
    this.secretsFile = path.join(this.scratch, 'secrets');
    this.clientSecret = randomBytes(24).toString('hex');
    this.upstreamKey = randomBytes(24).toString('hex');

    const identity = this.#child(provider, [
      ...IDENTITY_PROVIDERS[provider], '--redirect-uri', `${this.origin}/oauth/callback`, '--post-logout-uri', `${this.origin}/`,
      '--client-secret', this.clientSecret, '--alg', alg,
    ]);
    const upstreams = servers.map((name) => [name, this.#child(name, [...SERVERS[name], '--record', this.recordFile(name)])]);
    this.issuer = (await identity.ready()).issuer;
    const routes = [];
    this.upstreams = {};
    for (const [name, child] of upstreams) {
      this.upstreams[name] = (await child.ready()).url;
      routes.push(this.#route(name, this.upstreams[name], tools));
    }
    this.storeUrl = storeUrl;

    const config = path.join(this.scratch, 'sallyport.yaml');
    writeFileSync(config, this.#config({ port, adminPort, storeUrl, routes }));
    const env = {
      OIDC_CLIENT_SECRET: this.clientSecret,
      UPSTREAM_KEY: this.upstreamKey,
      SALLYPORT_KEY: randomBytes(32).toString('base64'),
    };
    this.gateway = new Child([binary, 'run', '--config', config], { log: this.log, env, cwd: this.scratch });
    this.children.push(this.gateway);
    await this.gateway.first(answers(`http://127.0.0.1:${adminPort}/readyz`, 200), 20000, 'ready');
  }

  #child(name, command) {
    const child = new Child(command, { log: path.join(this.scratch, `${name}.log`) });
    this.children.push(child);
    return child;
  }

  #route(name, url, tools) {
    const own = `{url: "${url}", id: ${name}, displayName: Protected, authMode: user-oauth}`;
    // The open servers of FastMCP stand for those that the operator's key opens.
    const upstream = name === 'protected' ? own : name.startsWith('fastmcp')
      ? `{url: "${url}", authMode: header, headers: {X-Api-Key: $env(UPSTREAM_KEY)}}`
      : `{url: "${url}", authMode: none}`;
    const filter = tools ? `    capabilities: {tools: [${tools.join(', ')}], prompts: [], resources: [], resourceTemplates: []}\n` : '';
    return `  - path: /mcp/${name}\n    operationId: ${name}\n    summary: ${name}\n    upstream: ${upstream}\n${filter}`;
  }

  #config({ port, adminPort, storeUrl, routes }) {
    return `server:
  listen: ["127.0.0.1:${port}"]
  adminListen: "127.0.0.1:${adminPort}"
  gracePeriodSeconds: 1
store:
  url: "${storeUrl ?? `sqlite:${path.join(this.scratch, 'sallyport.db')}`}"
encryption:
  keys:
    - {id: k1, key: $env(SALLYPORT_KEY)}
outbound:
  allowPrivateNetworks: [127.0.0.0/8]
identity:
  provider: oidc
  issuer: ${this.issuer}
  clientId: gateway
  clientSecret: $env(OIDC_CLIENT_SECRET)
routes:
${routes.join('')}log: {format: json, level: trace}
`;
  }

  url(name) {
    return `${this.origin}/mcp/${name}`;
  }

  recordFile(name) {
    return path.join(this.scratch, `${name}.requests`);
  }

  /** The request heads that the servers behind the gateway saw: `{server, method, url, headers}`. */
  requests() {
    return readdirSync(this.scratch).filter((file) => file.endsWith('.requests')).flatMap((file) =>
      readFileSync(path.join(this.scratch, file), 'utf8').trim().split('\n').filter(Boolean)
        .map((line) => ({ server: file.replace(/\.requests$/, ''), ...JSON.parse(line) })));
  }

  /** Everything that travelled and must stay out of logs and away from upstreams. */
  secrets() {
    return secretsIn(this.secretsFile, [this.clientSecret, this.upstreamKey]);
  }

  /** What the authorization server of the protected upstream gave away and counted. */
  async issued() {
    const response = await fetch(new URL('/test/issued', this.upstreams.protected));
    return response.json();
  }

  /** All that the store holds, as text; binary columns of PostgreSQL are in hexadecimal. */
  storeText() {
    if (this.storeUrl) return execFileSync('pg_dump', ['--data-only', this.storeUrl], { encoding: 'latin1', maxBuffer: 1 << 28 });
    const files = readdirSync(this.scratch).filter((file) => file.startsWith('sallyport.db'));
    return files.map((file) => readFileSync(path.join(this.scratch, file), 'latin1')).join('\n');
  }

  logText() {
    return readFileSync(this.log, 'utf8').replace(TERMINAL_COLOURS, '');
  }

  async stop() {
    return (await Promise.all(this.children.reverse().map((child) => child.stop()))).at(0);
  }
}

export function secretsIn(file, more = []) {
  const seen = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  // A client id is public, although it travels beside the secrets.
  return [...new Set([...more, ...seen])].filter((value) => value.length >= 8 && !value.startsWith('dcr:'));
}

/** Resolves once `url` answers with `status`; the caller bounds it. */
export async function answers(url, status) {
  for (let tries = 0; tries < 2000; tries++) {
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(2000) }).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.status === status) return;
    await pause(25);
  }
  throw new Error(`${url} never answered ${status}`);
}
