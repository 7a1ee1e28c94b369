// Command line: `--name value` pairs with defaults, and nothing else.
import { parseArgs } from 'node:util';

export function args(defaults) {
  const options = {};
  for (const [name, value] of Object.entries(defaults)) {
    options[name] = { type: typeof value === 'boolean' ? 'boolean' : 'string' };
    if (value !== undefined && value !== null) options[name].default = value;
  }
  const { values } = parseArgs({ options });
  for (const [name, value] of Object.entries(defaults)) {
    if (value === undefined && values[name] === undefined) {
      console.error(`--${name} is required`);
      process.exit(2);
    }
  }
  return values;
}
