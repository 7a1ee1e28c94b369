// The TypeScript SDK v1 (`@modelcontextprotocol/sdk`) with its own OAuth code.
import { discoverOAuthServerInfo, UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { driverOptions, walk } from '../lib/walk.mjs';

const transport = (authProvider, route, fetch) => new StreamableHTTPClientTransport(route, { authProvider, fetch });

async function connect(provider, route, fetch) {
  const client = new Client({ name: 'ts-v1', version: '1.0.0' });
  const wire = transport(provider, route, fetch);
  await client.connect(wire);
  return { client, transport: wire };
}

await walk({
  name: 'ts-v1',
  connect,
  async expectUnauthorized(provider, route, fetch) {
    const error = await connect(provider, route, fetch).then(() => undefined, (error) => error);
    if (!(error instanceof UnauthorizedError)) throw error ?? new Error('connected without a token');
  },
  finish: (provider, route, fetch) => transport(provider, route, fetch).finishAuth(provider.callback.searchParams.get('code')),
  call: (client, name, input, options) => client.callTool({ name, arguments: input }, undefined, options),
  discover: (route) => discoverOAuthServerInfo(route),
}, driverOptions());
