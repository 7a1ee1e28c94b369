// The client under test for the suite's client scenarios: a gateway with the suite's server as its upstream, and a
// person and an SDK client in front of it. The suite appends its server's URL and tells the scenario by environment.
//
//   node client.mjs <server URL>      SALLYPORT_BIN=… MCP_CONFORMANCE_SCENARIO=… MCP_CONFORMANCE_PROTOCOL_VERSION=…
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client as Legacy } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as LegacyTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { Client as Modern, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Browser } from '../browser.mjs';
import { signIn, startGateway } from './lib/gateway.mjs';

const serverUrl = process.argv.at(-1);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const modern = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION === '2026-07-28';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const CALLS = 4;
const name = { name: 'suite', version: '1.0.0' };

const scratch = mkdtempSync(path.join(tmpdir(), 'sallyport-suite-'));
const gateway = await startGateway({
  binary: process.env.SALLYPORT_BIN, scratch, upstream: upstream(), env: { SUITE_SECRET: context.client_secret ?? 'unused' },
});
let failed;
try {
  await converse();
} catch (error) {
  failed = error;
}
await gateway.stop();
rmSync(scratch, { recursive: true, force: true });
if (failed) {
  console.error(failed);
  process.exit(1);
}
process.exit(0);

function upstream() {
  if (!scenario.startsWith('auth/')) return { url: serverUrl, authMode: 'none' };
  const clientRegistration = context.client_id
    ? { mode: 'manual', clientId: context.client_id, clientSecret: '$env(SUITE_SECRET)', tokenEndpointAuthMethod: 'client_secret_basic' }
    : { mode: 'auto' };
  return { url: serverUrl, authMode: 'user-oauth', clientRegistration };
}

async function converse() {
  const browser = new Browser({ user: 'dev-browser-user', password: '' });
  const { access_token } = await signIn(gateway.route, browser);
  const client = await connect(access_token, browser);
  const { tools } = await client.listTools();
  const calls = context.toolCalls ?? tools.map(({ name, inputSchema }) => ({ name, arguments: sample(inputSchema, tools) }));
  for (const { name, arguments: input } of calls) await call(client, name, input, browser);
  await client.close();
}

async function connect(token, browser) {
  const requestInit = { headers: { Authorization: `Bearer ${token}` } };
  const capabilities = { elicitation: { url: {}, form: { applyDefaults: true } } };
  const client = modern
    ? new Modern(name, { capabilities, versionNegotiation: { mode: { pin: '2026-07-28' } } })
    : new Legacy(name, { capabilities });
  client.setRequestHandler(modern ? 'elicitation/create' : ElicitRequestSchema, ({ params }) => elicited(params, browser));
  await client.connect(new (modern ? ModernTransport : LegacyTransport)(new URL(gateway.route), { requestInit }));
  return client;
}

/** The person opens the link that is asked for, or accepts the form as it is. */
async function elicited({ mode, url }, browser) {
  if (mode !== 'url') return { action: 'accept', content: {} };
  await browser.visit(url);
  return { action: 'accept' };
}

/** Calls a tool; where the gateway asks to connect again, the person does, a bounded number of times. */
async function call(client, tool, input, browser) {
  for (let left = CALLS; left > 0; left--) {
    const answer = await client.callTool({ name: tool, arguments: input }).catch((error) => error);
    const link = linkIn(answer);
    if (!link) {
      if (answer instanceof Error) throw answer;
      return;
    }
    await browser.visit(link);
  }
}

function linkIn(answer) {
  return /https?:\/\/127\.0\.0\.1:\d+\/auth\/connections\/[^\s"'\\]+/.exec(JSON.stringify({ ...answer, message: answer?.message }))?.[0];
}

function sample({ properties = {}, required = [] } = {}, tools) {
  const of = (key, { type }) => key === 'schema' ? tools[0].inputSchema : { number: 1, integer: 1, boolean: true, array: [], object: {} }[type] ?? 'text';
  return Object.fromEntries(required.map((key) => [key, of(key, properties[key] ?? {})]));
}
