// The TypeScript SDK v2 (`@modelcontextprotocol/client`) with its own OAuth code. `--era` chooses
// `legacy` (initialize), `auto` (probe, then fall back) or `modern` (revision 2026-07-28 and nothing else).
import { Client, discoverOAuthServerInfo, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { driverOptions, walk } from '../lib/walk.mjs';

const options = driverOptions({ era: 'legacy' });
const mode = options.era === 'modern' ? { pin: '2026-07-28' } : options.era;
const transports = new WeakMap();

function transport(authProvider, route, fetch) {
  const wire = new StreamableHTTPClientTransport(route, { authProvider, fetch });
  transports.set(authProvider, wire);
  return wire;
}

async function connect(provider, route, fetch) {
  const client = new Client({ name: 'ts-v2', version: '1.0.0' }, { versionNegotiation: { mode } });
  const wire = transport(provider, route, fetch);
  await client.connect(wire);
  return { client, transport: wire };
}

await walk({
  name: 'ts-v2',
  connect,
  async expectUnauthorized(provider, route, fetch) {
    const error = await connect(provider, route, fetch).then(() => undefined, (error) => error);
    if (!(error instanceof UnauthorizedError)) throw error ?? new Error('connected without a token');
  },
  finish: (provider) => transports.get(provider).finishAuth(provider.callback.searchParams),
  call: (client, name, input, options) => client.callTool({ name, arguments: input }, options),
  discover: (route) => discoverOAuthServerInfo(route),
}, options);
