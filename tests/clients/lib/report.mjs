// One JSON line per step on stdout; the first failed step ends the driver with exit code 1.
import { appendFileSync } from 'node:fs';

export class Report {
  constructor(secretsFile) {
    this.secretsFile = secretsFile;
    this.secret = this.secret.bind(this);
  }

  /** Notes a value that must not appear in any log, and what it is, if that makes a difference elsewhere. */
  secret(value, kind = '') {
    if (this.secretsFile && value && value.length >= 8) appendFileSync(this.secretsFile, `${value}\t${kind}\n`);
  }

  async step(name, run) {
    const started = performance.now();
    try {
      const facts = (await run()) ?? {};
      this.#print({ step: name, ok: true, ms: Math.round(performance.now() - started), ...facts });
    } catch (error) {
      this.#print({ step: name, ok: false, error: `${error.name}: ${error.message}`, cause: error.cause && String(error.cause), visited: error.visited });
      if (process.env.DEBUG) console.error(error);
      process.exit(1);
    }
  }

  #print(line) {
    process.stdout.write(JSON.stringify(line) + '\n');
  }
}

export function check(condition, message) {
  if (!condition) throw new Error(message);
}
