// Replicas on a throwaway PostgreSQL behind a round-robin of connections that knows nothing of HTTP.
import { execFileSync, spawn } from 'node:child_process';
import { chownSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { answers } from '../clients/lib/gateway.mjs';
import { Child, freePort } from '../clients/lib/processes.mjs';

/** PostgreSQL refuses to run as root, so root runs it as nobody. */
const NOBODY = 65534;
const UPGRADE = path.resolve(import.meta.dirname, '../../conf/upgrade.sh');

export class Postgres {
  static async start(scratch) {
    const self = new Postgres();
    self.directory = mkdtempSync(path.join(tmpdir(), 'sallyport-soak-pg-'));
    const root = process.getuid() === 0;
    if (root) chownSync(self.directory, NOBODY, NOBODY);
    self.as = root ? { uid: NOBODY, gid: NOBODY } : {};
    self.bin = binaries();
    self.log = path.join(self.directory, 'log');
    self.#run('initdb', ['-D', self.data, '-U', 'sallyport', '-A', 'trust', '--no-sync']);
    self.port = await freePort();
    self.#run('pg_ctl', ['-D', self.data, '-w', '-s', '-l', self.log, 'start', '-o',
      `-p ${self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${self.directory} -c max_connections=120`]);
    self.url = `postgres://sallyport@127.0.0.1:${self.port}/postgres`;
    return self;
  }

  get data() {
    return path.join(this.directory, 'data');
  }

  restart() {
    this.#run('pg_ctl', ['-D', this.data, '-w', '-s', '-l', this.log, '-m', 'fast', 'restart']);
  }

  stop() {
    this.#run('pg_ctl', ['-D', this.data, '-s', '-m', 'immediate', 'stop']);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #run(name, args) {
    execFileSync(path.join(this.bin, name), args, { ...this.as, cwd: this.directory, stdio: 'ignore' });
  }
}

function binaries() {
  for (const directory of ['/usr/lib/postgresql', ...process.env.PATH.split(':')]) {
    const versions = existsSync(path.join(directory, 'initdb')) ? [directory] : found(directory);
    if (versions.length > 0) return versions.at(-1);
  }
  throw new Error('no initdb: install PostgreSQL');
}

function found(directory) {
  if (!/postgresql$/.test(directory) || !existsSync(directory)) return [];
  return execFileSync('ls', [directory], { encoding: 'utf8' }).trim().split('\n').map((version) => path.join(directory, version, 'bin'))
    .filter((bin) => existsSync(path.join(bin, 'initdb')));
}

export class Replica {
  static async start({ binary, scratch, name, config, env }) {
    const self = new Replica();
    [self.port, self.adminPort] = [await freePort(), await freePort()];
    self.file = path.join(scratch, `${name}.json`);
    self.pidFile = path.join(scratch, `${name}.pid`);
    const server = {
      ...config.server, listen: [`127.0.0.1:${self.port}`], adminListen: `127.0.0.1:${self.adminPort}`,
      pidFile: self.pidFile, upgradeSocket: path.join(scratch, `${name}.sock`),
    };
    mkdirSync(scratch, { recursive: true });
    writeFileSync(self.file, JSON.stringify({ ...config, server }));
    self.log = path.join(scratch, `${name}.log`);
    self.child = new Child([binary, 'run', '--config', self.file], { log: self.log, env, cwd: scratch });
    self.upgrading = { cwd: scratch, env: { ...process.env, ...env, SALLYPORT: binary } };
    await self.child.first(answers(`http://127.0.0.1:${self.adminPort}/readyz`, 200), 60000, 'ready');
    self.pid = self.child.process.pid;
    return self;
  }

  /** Hands the listeners over to a new process, as an operator does it. Resolves with how the old one ended. */
  async upgrade() {
    const log = openSync(this.log, 'a');
    const script = spawn('bash', [UPGRADE, this.file], { ...this.upgrading, stdio: ['ignore', log, log] });
    closeSync(log);
    const code = await new Promise((resolve) => script.on('exit', resolve).on('error', resolve));
    if (code !== 0) throw new Error(`${UPGRADE} ended with ${code}: ${lastOf(this.log)}`);
    this.pid = Number(readFileSync(this.pidFile, 'utf8'));
    process.on('exit', () => this.runs() && process.kill(this.pid, 'SIGKILL'));
    return this.child.ended;
  }

  /** Whether the process runs; one that ended and that nobody asked about does not. */
  runs() {
    try {
      return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${this.pid}/stat`, 'utf8'));
    } catch {
      return false;
    }
  }

  /** SIGTERM. Resolves with how the process ended; of one that took over, 0 if it said that it was done. */
  async stop(ms) {
    if (this.pid === this.child.process.pid) return this.child.stop(ms);
    process.kill(this.pid, 'SIGTERM');
    for (const until = performance.now() + ms; this.runs() && performance.now() < until;) await pause(50);
    if (this.runs()) return 'still running';
    return lastOf(this.log).trimEnd().split('\n').at(-1).includes('mcp_gateway_stopped') ? 0 : 'no word';
  }

  /** Resident memory in KiB, and open file descriptors. */
  usage() {
    const { pid } = this;
    try {
      const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
      return { resident, descriptors: Number(execFileSync('sh', ['-c', `ls /proc/${pid}/fd | wc -l`], { encoding: 'utf8' })) };
    } catch {
      return undefined;
    }
  }
}

/** The last 2 KB of a log, which is longer than a string can be after some hours. */
const lastOf = (file) => execFileSync('tail', ['-c', '2000', file], { encoding: 'utf8' });

export const newKey = () => randomBytes(32).toString('base64');
