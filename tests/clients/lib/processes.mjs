// Starts and ends the processes of a test run.
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';

export const ROOT = path.resolve(import.meta.dirname, '..');
export const PYTHON = path.join(ROOT, '.venv/main/bin/python');
export const PYTHON_MCP_V1 = path.join(ROOT, '.venv/mcp-v1/bin/python');

/**
 * A loopback port for a server that must know its port before it starts. It lies below the range from which the kernel
 * serves everyone else, and it is this process's until its end, for the port below it is held as a sign: of processes
 * that look at the same time, and start their servers later, no two get the same.
 */
export async function freePort() {
  for (let tries = 0; tries < 100; tries++) {
    const sign = 20000 + 2 * Math.floor(Math.random() * 6000);
    const held = await listen(sign);
    if (!held) continue;
    const server = await listen(sign + 1);
    if (!server) {
      held.close();
      continue;
    }
    held.unref();
    await new Promise((resolve) => server.close(resolve));
    return sign + 1;
  }
  throw new Error('no free port');
}

function listen(port) {
  const server = net.createServer((socket) => socket.destroy());
  return new Promise((resolve) => {
    server.once('listening', () => resolve(server));
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1');
  });
}

/** A child whose output goes to a file. `tail` is the end of it, for error messages. */
export class Child {
  constructor(command, { log, env, cwd = ROOT } = {}) {
    this.process = spawn(command[0], command.slice(1), { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.name = path.basename(command.find((part) => /\.(mjs|py)$/.test(part)) ?? command[0]);
    this.tail = '';
    const file = createWriteStream(log, { flags: 'a' });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.on('data', (chunk) => {
        file.write(chunk);
        this.tail = (this.tail + chunk).slice(-4000);
      });
    }
    this.lines = createInterface({ input: this.process.stdout });
    this.readyLine = new Promise((resolve) => this.lines.on('line', (text) => {
      if (text.startsWith('{') && text.includes('"ready"')) resolve(JSON.parse(text));
    }));
    this.ended = new Promise((resolve) => {
      this.process.on('error', (error) => resolve(error.message));
      this.process.on('close', (code, signal) => file.end(() => resolve(signal ?? code)));
    });
  }

  /** Resolves with the first JSON line that says `ready`. */
  ready(ms = 20000) {
    return this.first(this.readyLine, ms, 'ready');
  }

  /** `promise`, unless the process ends or the time runs out before. */
  async first(promise, ms, what) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${this.name} is not ${what} after ${ms} ms: ${this.tail}`)), ms);
    });
    const ended = this.ended.then((how) => { throw new Error(`${this.name} ended (${how}) before it was ${what}: ${this.tail}`); });
    try {
      return await Promise.race([promise, late, ended]);
    } finally {
      clearTimeout(timer);
      ended.catch(() => {});
    }
  }

  /** SIGTERM, and SIGKILL if that is ignored for `ms`. Resolves with the exit code or signal. */
  async stop(ms = 8000) {
    this.process.kill('SIGTERM');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), ms);
    const how = await this.ended;
    clearTimeout(timer);
    return how;
  }
}

/** Runs a driver to its end and returns its steps. */
export async function drive(command, { log, env, ms = 60000 }) {
  const child = new Child(command, { log, env });
  const steps = [];
  child.lines.on('line', (line) => { if (line.startsWith('{')) steps.push(JSON.parse(line)); });
  const timer = setTimeout(() => child.process.kill('SIGKILL'), ms);
  const code = await child.ended;
  clearTimeout(timer);
  return { code, steps, tail: child.tail };
}
