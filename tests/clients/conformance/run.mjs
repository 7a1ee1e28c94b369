// The official conformance suite against the gateway: see README.md here.
//
//   SALLYPORT_BIN=…/sallyport node --test --test-reporter=spec conformance/run.mjs
//   REFERENCE_SERVER=http://localhost:3000/mcp   the suite's own server, already running; else servers of tests/clients
//   TABLE=docs/conformance.md                    writes the results there (wants REFERENCE_SERVER)
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Browser } from '../browser.mjs';
import { Child, freePort } from '../lib/processes.mjs';
import { startFront } from './lib/front.mjs';
import { register, signIn, startGateway } from './lib/gateway.mjs';
import { outcome, results, run, said, suite, verdicts } from './lib/suite.mjs';
import { writeTable } from './lib/table.mjs';

const binary = process.env.SALLYPORT_BIN && path.resolve(process.env.SALLYPORT_BIN);
assert.ok(binary, 'SALLYPORT_BIN must name the gateway binary');
const scratch = mkdtempSync(path.join(tmpdir(), 'sallyport-conformance-'));
const log = path.join(scratch, 'suite.log');
const REVISIONS = ['2025-11-25', '2026-07-28'];
const expected = JSON.parse(readFileSync(new URL('expected.json', import.meta.url), 'utf8'));
const found = { server: {}, client: {}, authorization: {} };

after(() => {
  if (process.env.TABLE) writeTable(path.resolve(process.env.TABLE), found, expected);
  rmSync(scratch, { recursive: true, force: true });
});

for (const revision of REVISIONS) {
  describe(`MCP servers of revision ${revision}, directly and through the gateway`, () => {
    const children = [];
    let direct;
    let front;
    let gateway;

    before(async () => {
      const url = process.env.REFERENCE_SERVER ?? await own(revision, children);
      const port = await freePort();
      gateway = await startGateway({
        binary, scratch: path.join(scratch, `server-${revision}`), upstream: { url, authMode: 'none' }, origin: `http://localhost:${port}`,
      });
      children.push(gateway.child);
      front = await startFront(port, gateway.own);
      front.token = (await signIn(gateway.route, new Browser({ user: 'dev-browser-user', password: '' }))).access_token;
      direct = await leg('direct', revision, url);
    });
    after(async () => {
      await front?.close();
      await Promise.all(children.map((child) => child.stop()));
    });

    test('no check has a worse result', async (t) => {
      const through = await leg('through', revision, gateway.route);
      found.server[revision] = { direct, through };
      const differences = compare(direct, through);
      const passed = [...through.values()].filter((checks) => outcome(checks) === 'passed').length;
      t.diagnostic(`${passed} of ${through.size} scenarios pass`);
      assert.ok(passed >= 10, `only ${passed} scenarios pass: is the server there?`);
      assert.deepEqual(differences, expected.server[revision] ?? []);
    });
  });

  test(`our upstream client, revision ${revision}`, async (t) => {
    const output = path.join(scratch, `client-${revision}`);
    const command = `${process.execPath} ${path.join(import.meta.dirname, 'client.mjs')}`;
    const scenarios = await run(['client', '--command', command, '--requirements', revision, '--timeout', '60000'],
      { output, log, env: { SALLYPORT_BIN: binary } });
    found.client[revision] = scenarios;
    const failing = [...scenarios].filter(([, checks]) => outcome(checks) === 'failed').map(([name]) => name).sort();
    t.diagnostic(`${scenarios.size - failing.length} of ${scenarios.size} scenarios pass`);
    assert.ok(scenarios.size >= 20, `only ${scenarios.size} scenarios ran`);
    const allowed = Object.keys(expected.client[revision]).sort();
    for (const name of failing.filter((name) => !allowed.includes(name))) {
      const failures = scenarios.get(name).filter(({ status }) => status === 'FAILURE').map(({ id }) => id);
      t.diagnostic(`${name}: ${failures.join(', ')}; the client said: ${said(output, name)}`);
    }
    assert.deepEqual(failing, allowed);
  });
}

test('our authorization server', async (t) => {
  const gateway = await startGateway({
    binary, scratch: path.join(scratch, 'authorization'), upstream: { url: 'http://127.0.0.1:9/mcp', authMode: 'none' },
  });
  t.after(() => gateway.stop());
  const port = await freePort();
  const redirectUri = `http://127.0.0.1:${port}/callback`;
  const { client, issuer, resource } = await register(gateway.route, redirectUri);
  const output = path.join(scratch, 'results-authorization');
  const child = suite(['authorization', '--url', issuer, '--client-id', client.client_id, '--port', String(port), '--resource', resource], { output, log });
  child.lines.on('line', (line) => {
    if (/^https?:\S+response_type=code/.test(line)) browse(line).catch((error) => child.process.kill() && t.diagnostic(error.message));
  });
  const timer = setTimeout(() => child.process.kill('SIGKILL'), 60000);
  const ended = await child.ended;
  clearTimeout(timer);
  found.authorization = results(output);
  assert.equal(ended, 0, child.tail);
  assert.deepEqual([...found.authorization].map(([name, checks]) => [name, outcome(checks)]),
    [['authorization-code-grant', 'passed'], ['authorization-server-metadata-endpoint', 'passed']]);
});

/** The person at the suite's authorization URL; the suite itself listens at the redirect URI. */
async function browse(url) {
  const { redirect } = await new Browser({ user: 'dev-browser-user', password: '' }).authorize(url);
  await fetch(redirect);
}

/** A server of the client tests: it knows few of the suite's fixtures, and fails alike on both ways. */
async function own(revision, children) {
  const command = revision === '2025-11-25' ? ['node', 'servers/everything.mjs'] : ['node', 'servers/modern.mjs', '--legacy', 'reject'];
  const child = new Child(command, { log: path.join(scratch, 'server.log') });
  children.push(child);
  return (await child.ready()).url.replace('127.0.0.1', 'localhost');
}

function leg(way, revision, url) {
  return run(['server', '--url', url, '--requirements', revision, '--timeout', '10000'], { output: path.join(scratch, `results-${way}-${revision}`), log });
}

function compare(direct, through) {
  const differences = [];
  for (const scenario of new Set([...direct.keys(), ...through.keys()])) {
    const [before, after] = [verdicts(direct.get(scenario) ?? []), verdicts(through.get(scenario) ?? [])];
    for (const check of new Set([...before.keys(), ...after.keys()])) {
      const better = before.get(check) === 'FAILURE' && after.get(check) === 'SUCCESS';
      if (before.get(check) !== after.get(check) && !better) differences.push(`${scenario}: ${check}: ${before.get(check)} → ${after.get(check)}`);
    }
  }
  return differences.sort();
}
