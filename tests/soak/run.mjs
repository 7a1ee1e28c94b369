// Two replicas on one PostgreSQL under mixed load; in the middle the database restarts, one replica hands its listeners over
// to a new process, and is then replaced.
//
//   SALLYPORT_BIN=…/sallyport node tests/soak/run.mjs [--minutes 30] [--streams 1000] [--users 40] [--callers 16]
//
// Ends with 0 if no grant and no connection was lost, no answer was for somebody else, every stream came back, and memory
// stayed flat; what it counted is the last line, as JSON. KEEP_SCRATCH=1 keeps the logs.
import http from 'node:http';
import { createReadStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { args } from '../clients/lib/args.mjs';
import { RoundRobin } from '../clients/lib/round-robin.mjs';
import { Person } from './person.mjs';
import { newKey, Postgres, Replica } from './cluster.mjs';
import { startUpstream } from './upstream.mjs';

const options = args({ minutes: '30', streams: '1000', users: '40', callers: '16' });
const [minutes, streamCount, userCount, callers] = ['minutes', 'streams', 'users', 'callers'].map((name) => Number(options[name]));
const binary = path.resolve(process.env.SALLYPORT_BIN ?? 'target/release/sallyport');
const scratch = mkdtempSync(path.join(tmpdir(), 'sallyport-soak-'));
const started = performance.now();
const length = minutes * 60000;
const fraction = () => (performance.now() - started - warm) / length;
/** After a planned disturbance this long, everything must work again. */
const RECOVERY_MS = 30000;
/** What flat means: the last quarter's median beside the second quarter's. */
const GROWTH = { factor: 1.2, slackKiB: 24 * 1024 };

let warm = 0;
let over = false;
const faults = []; // what must not happen
const counts = {
  logins: 0, calls: 0, refreshes: 0, revocations: 0, reconnects: 0, upgrades: 0, streamsOpened: 0, events: 0,
  retried: {}, connectRequired: 0, wrongUser: 0, lostGrants: 0, lostConnections: 0,
};
const latencies = [];
const samples = [];
const ctx = {
  counts, latencies,
  fault(kind, text) {
    if (faults.length < 50) faults.push(`${kind} at ${Math.round((performance.now() - started) / 1000)} s: ${text}`);
    console.error(faults.at(-1));
  },
  retried(reason) { counts.retried[reason] = (counts.retried[reason] ?? 0) + 1; },
  deadline: RECOVERY_MS,
};

const [postgres, upstream, front] = [await Postgres.start(scratch), await startUpstream(), await RoundRobin.start()];
const names = Array.from({ length: userCount }, (_, number) => `u${number}`);
/** All of the load comes from one address, so limits for each address are off, where this version has them. */
const known = JSON.parse(readFileSync(new URL('../../conf/sallyport.schema.json', import.meta.url), 'utf8')).properties;
const unlimited = known.rateLimits && { rateLimits: { registration: 0, authorization: 0, token: 0, login: 0, connect: 0 } };
const config = {
  ...unlimited,
  server: { publicOrigin: front.origin, gracePeriodSeconds: 5, threads: 1 },
  store: { url: postgres.url },
  encryption: { keys: [{ id: 'k1', key: '$env(SALLYPORT_KEY)' }] },
  outbound: { allowPrivateNetworks: ['127.0.0.0/8'] },
  identity: { provider: 'dev', users: names },
  gateway: { accessTokenTtlSeconds: 60 },
  routes: [{ path: '/mcp/soak', operationId: 'soak', summary: 'Soak', upstream: { url: upstream.url, id: 'soak', displayName: 'Soak', authMode: 'user-oauth' } }],
  log: { format: 'json', level: 'info' },
};
const env = { SALLYPORT_KEY: newKey() };
const replica = (name) => Replica.start({ binary, scratch, name, config, env });
const replicas = [await replica('one'), await replica('two')];
front.backends = replicas.map(({ port }) => port);
ctx.route = `${front.origin}/mcp/soak`;
ctx.origin = front.origin;
ctx.agent = new http.Agent({ keepAlive: true, maxSockets: 256 });

const people = names.map((name) => new Person(name, ctx));
console.log(`signing ${people.length} people in`);
for (const person of people) await person.signIn();
warm = performance.now() - started;
console.log(`load for ${minutes} min: ${callers} callers, ${streamCount} streams`);

const sampler = setInterval(() => {
  const usage = replicas.map((one) => one.usage());
  samples.push({ at: fraction(), usage });
}, 1000);
const pick = () => people[Math.floor(Math.random() * people.length)];
const loops = [];
const forever = (everyMs, step) => loops.push((async () => {
  while (!over) {
    try {
      await step();
    } catch (error) {
      ctx.fault('broken', `${error.message} ${error.stack?.split('\n')[1]?.trim()}`);
      await pause(1000);
    }
    if (everyMs) await pause(everyMs * (0.5 + Math.random()));
  }
})());

for (let caller = 0; caller < callers; caller++) forever(5, () => pick().call());
forever(200, () => pick().refresh());
for (let lane = 0; lane < 2; lane++) {
  // Somebody signs in with one more application, uses it, and gives its grant back: it must be refused everywhere then.
  forever(500, () => pick().takePart(async ({ name }) => {
    const guest = new Person(name, ctx);
    await guest.signIn();
    await guest.call();
    await guest.revoke();
  }));
}
// Somebody disconnects the upstream and connects again. They take no other part meanwhile.
forever(2000, () => pick().reconnect());
const openings = [];
for (let number = 0; number < streamCount; number++) openings.push(people[number % people.length]);
loops.push(...openings.map(async (person, number) => {
  await pause(number * Math.min(10, length / 4 / streamCount));
  while (!over) await person.stream(() => over);
}));

const plan = [
  { at: 0.3, name: 'PostgreSQL restarts', run: async () => postgres.restart() },
  {
    at: 0.42, name: 'a replica is upgraded',
    run: async () => {
      const code = await replicas[0].upgrade();
      if (code !== 0) ctx.fault('upgrade', `the old process ended with ${code}`);
      counts.upgrades++;
    },
  },
  {
    at: 0.58, name: 'a replica is replaced',
    run: async () => {
      const fresh = await replica('three');
      const old = replicas[0];
      front.backends = [fresh.port, replicas[1].port];
      replicas[0] = fresh;
      const code = await old.stop(20000);
      if (code !== 0) ctx.fault('shutdown', `the old replica ended with ${code}`);
    },
  },
];
let reported = 0;
while (fraction() < 1) {
  await pause(250);
  if (plan.length > 0 && fraction() >= plan[0].at) {
    const { name, run } = plan.shift();
    console.log(`${name} at ${Math.round(fraction() * 100)} %`);
    await run();
  }
  if (performance.now() - reported > 30000) {
    reported = performance.now();
    console.log(`${Math.round(fraction() * 100)} %: ${counts.calls} calls, ${upstream.open()} streams, memory ${samples.at(-1)?.usage.map((one) => one && `${Math.round(one.resident / 1024)} MiB`).join(' and ')}`);
  }
}
const openAtEnd = upstream.open();
over = true;
clearInterval(sampler);
await Promise.race([Promise.all(loops), pause(60000).then(() => ctx.fault('hang', 'a loop does not end'))]);

// Everybody still has their grant and their connection.
for (const person of people) {
  await person.refresh();
  await person.call();
}
if (upstream.counts.reused > 0) ctx.fault('refresh', `${upstream.counts.reused} refresh tokens of the upstream were used twice`);
if (openAtEnd < streamCount * 0.9) ctx.fault('streams', `only ${openAtEnd} of ${streamCount} streams were open at the end`);
const memory = replicas.map((_, index) => growth(index));
memory.forEach((one, index) => {
  if (one && one.late > one.early * GROWTH.factor + GROWTH.slackKiB) ctx.fault('memory', `replica ${index} grew from ${one.early} to ${one.late} KiB`);
});
const errors = [];
for (const { log } of replicas) {
  for await (const line of createInterface({ input: createReadStream(log) })) if (/panicked|"level":"ERROR"/.test(line)) errors.push(line);
}
if (errors.some((line) => line.includes('panicked'))) ctx.fault('panic', errors.find((line) => line.includes('panicked')));

ctx.agent.destroy();
await Promise.all(replicas.map((one) => one.stop(20000)));
front.stop();
upstream.stop();
postgres.stop();
if (process.env.KEEP_SCRATCH) console.log(`kept: ${scratch}`);
else rmSync(scratch, { recursive: true, force: true });
latencies.sort((a, b) => a - b);
const at = (share) => latencies[Math.floor(latencies.length * share)]?.toFixed(1);
console.log(JSON.stringify({
  ok: faults.length === 0, minutes, people: people.length, ...counts, streamsAtEnd: openAtEnd, upstream: upstream.counts,
  latencyMs: { median: at(0.5), p99: at(0.99), max: at(0.9999) }, memoryKiB: memory, errorLines: errors.length, faults,
}));
process.exit(faults.length === 0 ? 0 : 1);

/** Medians of resident memory, of the second quarter (after the warm-up) and of the last; of the replaced one its own life. */
function growth(index) {
  const seen = samples.filter(({ usage, at }) => usage[index] && (index === 1 || at > 0.6)).map(({ usage, at }) => ({ at, resident: usage[index].resident }));
  const median = (from, to) => {
    const values = seen.filter(({ at }) => at >= from && at < to).map(({ resident }) => resident).sort((a, b) => a - b);
    return values[Math.floor(values.length / 2)];
  };
  const [early, late] = index === 1 ? [median(0.25, 0.5), median(0.85, 1.1)] : [median(0.7, 0.8), median(0.9, 1.1)];
  return early && late ? { early, late } : undefined;
}
