// One gateway under test with an identity provider and servers behind it, all on loopback.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { Child, PYTHON, ROOT, freePort } from './processes.mjs';
import { RoundRobin } from './round-robin.mjs';

const SERVERS = {
  everything: ['node', 'servers/everything.mjs'],
  modern: ['node', 'servers/modern.mjs'],
  fastmcp: [PYTHON, 'servers/fastmcp_server.py'],
  'fastmcp-stateless': [PYTHON, 'servers/fastmcp_server.py', '--stateless'],
  protected: [PYTHON, 'servers/fastmcp_server.py', '--oauth'],
  'oauth-v1': ['node', 'servers/protected.mjs', '--sdk', 'v1'],
  'oauth-v2': ['node', 'servers/protected.mjs', '--sdk', 'v2'],
  'oauth-python': [PYTHON, 'servers/python_sdk.py'],
  'document-v1': ['node', 'servers/protected.mjs', '--sdk', 'v1', '--clients', 'document', '--methods', 'none'],
  'document-v2': ['node', 'servers/protected.mjs', '--sdk', 'v2', '--clients', 'document', '--methods', 'private_key_jwt'],
};
/** Whether people need a connection of their own there. */
export const isProtected = (name) => /^(protected|oauth|document)/.test(name);
const PUBLIC_NAME = 'gateway.example.com';
const IDENTITY_PROVIDERS = {
  'oidc-provider': ['node', 'idp/oidc-provider.mjs'],
  canaille: [PYTHON, 'idp/second.py'],
  'oauth-toolkit': [PYTHON, 'idp/oauth_toolkit.py'],
};
const TERMINAL_COLOURS = /\u001b\[[0-9;]*m/g;

export class Gateway {
  /**
   * `isPublic` gives the gateway a name that authorization servers can reach, and TLS. `replicas` of it stand behind one
   * origin, which leads to the one that `turnTo` names; `pinning` is for all routes.
   */
  static async start({ binary, scratch, alg = 'RS256', isPublic = false, replicas = 1, ...setup }) {
    mkdirSync(scratch, { recursive: true });
    const self = Object.assign(new Gateway(), { scratch, children: [], env: {} });
    try {
      await self.#start({ binary, alg, isPublic, replicas, ...setup });
    } catch (error) {
      await self.stop();
      throw error;
    }
    return self;
  }

  async #start({ binary, provider, alg, storeUrl, servers, tools, accessControl, isPublic, replicas, admins, pinning }) {
    const [port, adminPort] = [await freePort(), await freePort()];
    this.origin = isPublic ? `https://${PUBLIC_NAME}:${port}` : `http://127.0.0.1:${port}`;
    this.ports = [];
    if (replicas > 1) this.front = await RoundRobin.start();
    if (this.front) this.origin = this.front.origin;
    if (isPublic) this.env = this.#publicName();
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
      routes.push(this.#route(name, this.upstreams[name], tools, accessControl, pinning));
    }
    this.storeUrl = storeUrl;

    const env = {
      OIDC_CLIENT_SECRET: this.clientSecret,
      UPSTREAM_KEY: this.upstreamKey,
      SALLYPORT_KEY: randomBytes(32).toString('base64'),
    };
    this.gateway = await this.#replica(binary, env, { port, adminPort, storeUrl, routes, isPublic, admins });
    for (let more = 1; more < replicas; more++) {
      const ports = { port: await freePort(), adminPort: await freePort() };
      await this.#replica(binary, env, { ...ports, storeUrl, routes, isPublic, admins });
    }
    if (this.front) this.turnTo(0);
  }

  async #replica(binary, env, settings) {
    const config = path.join(this.scratch, `sallyport-${settings.port}.yaml`);
    writeFileSync(config, this.#config(settings));
    const child = new Child([binary, 'run', '--config', config], { log: this.log, env, cwd: this.scratch });
    this.children.push(child);
    await child.first(answers(`http://127.0.0.1:${settings.adminPort}/readyz`, 200), 20000, 'ready');
    this.ports.push(settings.port);
    return child;
  }

  /** New connections to the origin lead to this one of the replicas from now on. */
  turnTo(replica) {
    this.front.backends = [this.ports[replica]];
  }

  #child(name, command) {
    const child = new Child(command, { log: path.join(this.scratch, `${name}.log`), env: this.env });
    this.children.push(child);
    return child;
  }

  /** A certificate for the public name, and what a process needs in order to believe in both. */
  #publicName() {
    const [cert, key] = ['cert.pem', 'key.pem'].map((file) => path.join(this.scratch, file));
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
      '-subj', `/CN=${PUBLIC_NAME}`, '-addext', `subjectAltName=DNS:${PUBLIC_NAME}`, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const module = pathToFileURL(path.join(ROOT, 'lib/public-name.mjs'));
    return { PUBLIC_NAME, NODE_EXTRA_CA_CERTS: cert, NODE_OPTIONS: `--import ${module}` };
  }

  #route(name, url, tools, accessControl, pinning) {
    const own = `{url: "${url}", id: ${name}, displayName: Protected, authMode: user-oauth}`;
    // The open servers of FastMCP stand for those that the operator's key opens.
    const upstream = isProtected(name) ? own : name.startsWith('fastmcp')
      ? `{url: "${url}", authMode: header, headers: {X-Api-Key: $env(UPSTREAM_KEY)}}`
      : `{url: "${url}", authMode: none}`;
    const control = accessControl ? `, accessControl: ${accessControl}` : '';
    const filter = tools ? `    capabilities: {tools: [${tools.join(', ')}], prompts: [], resources: [], resourceTemplates: []${control}}\n` : '';
    const pins = pinning ? `    toolPinning: ${pinning}\n` : '';
    return `  - path: /mcp/${name}\n    operationId: ${name}\n    summary: ${name}\n    upstream: ${upstream}\n${filter}${pins}`;
  }

  #config({ port, adminPort, storeUrl, routes, isPublic, admins = [] }) {
    const tls = isPublic ? `, tls: {cert: "${path.join(this.scratch, 'cert.pem')}", key: "${path.join(this.scratch, 'key.pem')}"}` : '';
    return `server:
  listen: [{address: "127.0.0.1:${port}"${tls}}]
  adminListen: "127.0.0.1:${adminPort}"
  gracePeriodSeconds: 1${this.front ? `\n  publicOrigin: "${this.origin}"` : ''}
admins: ${JSON.stringify(admins)}
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

  /** What the authorization server of a protected upstream gave away and counted. */
  async issued(name = 'protected') {
    const response = await fetch(new URL('/test/issued', this.upstreams[name]));
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
    this.front?.stop();
    return (await Promise.all(this.children.reverse().map((child) => child.stop()))).at(0);
  }
}

export function secretsIn(file, more = []) {
  const seen = lines(file).map(([value]) => value);
  // A client id is public, although it travels beside the secrets.
  return [...new Set([...more, ...seen])].filter((value) => value.length >= 8 && !value.startsWith('dcr:'));
}

/** The values of these kinds among them. */
export const secretsOf = (file, ...kinds) => new Set(lines(file).filter(([, kind]) => kinds.includes(kind)).map(([value]) => value));

const lines = (file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').map((line) => line.split('\t')) : []);

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
