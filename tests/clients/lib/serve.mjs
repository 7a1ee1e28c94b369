// What every server script here has in common: loopback only, a port the kernel chooses unless one is
// given, one ready line, a record of the request heads it saw, and an end on SIGTERM.
import { appendFileSync } from 'node:fs';

export function ready(fields) {
  process.stdout.write(JSON.stringify({ ready: true, ...fields }) + '\n');
}

/** Appends the head of every request that `server` receives to `file`, raw names and order kept. */
export function record(server, file) {
  if (!file) return;
  server.on('request', (req) => {
    const headers = [];
    for (let i = 0; i < req.rawHeaders.length; i += 2) headers.push([req.rawHeaders[i], req.rawHeaders[i + 1]]);
    appendFileSync(file, JSON.stringify({ method: req.method, url: req.url, headers }) + '\n');
  });
}

export function endOnSigterm() {
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
}
