// 20,000 open streams whose clients vanish without a FIN: memory and descriptors must come back.
//
//   sudo unshare --net node tests/soak/leak.mjs [--streams 20000] [--wave 5000]    SALLYPORT_BIN=…
//
// It runs in a network namespace of its own, where a firewall rule swallows every packet between a wave of clients and the
// gateway before the clients are killed, as a cut cable would. A stream costs the gateway two descriptors, so a wave is at
// most half of `ulimit -n`. Ends with 0 if every wave left neither descriptors nor memory behind.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Browser } from '../clients/browser.mjs';
import { args } from '../clients/lib/args.mjs';
import { signIn, startGateway } from '../clients/conformance/lib/gateway.mjs';

const options = args({ streams: '20000', wave: '5000', open: null });
if (options.open) await openStreams(JSON.parse(options.open));

const [total, wave] = [Number(options.streams), Number(options.wave)];
const interfaces = readFileSync('/proc/net/dev', 'utf8').split('\n').slice(2).map((line) => line.split(':')[0].trim()).filter((name) => name && name !== 'lo');
if (interfaces.length > 0) {
  console.error(`run it in a network namespace of its own: unshare --net (here are ${interfaces})`);
  process.exit(2);
}
execFileSync('ip', ['link', 'set', 'lo', 'up']);
/** The gateway notices a silent client after 90 s. */
const NOTICE_MS = 150000;
/** What a process that has worked keeps: caches, tables that have grown, and the allocator's own. */
const SLACK_KIB = 32 * 1024;
const GIVEN_BACK_MS = 40000;

const scratch = mkdtempSync(path.join(tmpdir(), 'sallyport-leak-'));
const open = new Set();
const upstream = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  response.write('data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"hello"}}\n\n');
  open.add(response);
  response.on('close', () => open.delete(response));
});
upstream.requestTimeout = 0;
await new Promise((resolve) => upstream.listen(0, '127.0.0.1', 4096, resolve));
const gateway = await startGateway({
  binary: path.resolve(process.env.SALLYPORT_BIN ?? 'target/release/sallyport'), scratch,
  upstream: { url: `http://127.0.0.1:${upstream.address().port}/mcp`, authMode: 'none' },
  limits: { streams: wave * 2, requestsPerUser: wave * 2, callsPerRoute: wave * 2 },
});
const gatewayPort = new URL(gateway.own).port;
const { access_token: token } = await signIn(gateway.route, new Browser({ user: 'dev-browser-user', password: '' }));

const results = [{ streams: 0, ...usage() }];
console.log(JSON.stringify(results[0]));
let done = 0;
let ok = true;
while (done < total) {
  const count = Math.min(wave, total - done);
  const client = spawn(process.execPath, [process.argv[1], '--open', JSON.stringify({ url: gateway.route, token, count })], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve, reject) => {
    client.stdout.once('data', resolve);
    client.once('exit', (code) => reject(new Error(`the clients ended (${code}) with ${open.size} streams open`)));
  });
  const peak = usage();
  const rule = (action) => {
    for (const side of ['--sport', '--dport']) execFileSync('iptables', [action, 'INPUT', '-p', 'tcp', side, gatewayPort, '-j', 'DROP']);
  };
  rule('-A');
  client.removeAllListeners('exit');
  client.kill('SIGKILL');
  const killed = performance.now();
  // A heartbeat of the upstream, as servers send them; nobody acknowledges it.
  await pause(1000);
  for (const response of open) response.write(': still here\n\n');
  while (open.size > 0 && performance.now() - killed < NOTICE_MS) await pause(500);
  const seconds = Math.round((performance.now() - killed) / 1000);
  const left = open.size;
  rule('-D');
  // The allocator gives back what is free within some seconds.
  const slack = results[0].resident + SLACK_KIB;
  for (const until = performance.now() + GIVEN_BACK_MS; usage().resident > slack && performance.now() < until;) await pause(500);
  done += count;
  results.push({ streams: done, peakKiB: peak.resident, peakDescriptors: peak.descriptors, noticedAfterSeconds: seconds, left, ...usage() });
  console.log(JSON.stringify(results.at(-1)));
  if (left > 0 || results.at(-1).descriptors > results[0].descriptors + 20) ok = false;
}
const last = results.at(-1);
if (last.resident > results[0].resident + SLACK_KIB) ok = false;
await gateway.stop();
rmSync(scratch, { recursive: true, force: true });
console.log(JSON.stringify({ ok, streams: done, baselineKiB: results[0].resident, afterLastWaveKiB: last.resident }));
process.exit(ok ? 0 : 1);

function usage() {
  const { pid } = gateway.child.process;
  const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
  return { resident, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

/** The clients of one wave: opens the streams, says so, and waits to be killed. */
async function openStreams({ url, token: bearer, count }) {
  let opened = 0;
  for (let number = 0; number < count; number++) {
    const request = http.get(url, { agent: false, headers: { Authorization: `Bearer ${bearer}`, Accept: 'text/event-stream' } }, (response) => {
      if (response.statusCode !== 200) process.exit(3);
      response.once('data', () => { if (++opened === count) process.stdout.write('open\n'); });
    });
    request.on('error', (error) => { console.error(error.message); process.exit(4); });
    if (number % 100 === 99) await pause(50);
  }
  await new Promise(() => {});
}
