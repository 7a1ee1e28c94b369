// A server of the TypeScript SDK v2 that speaks revision 2026-07-28 and, unless `--legacy reject` is
// given, answers the older revisions statelessly. POST /test/define?text=… gives `echo` another description.
import http from 'node:http';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { toNodeHandler } from '@modelcontextprotocol/node';
import * as z from 'zod';
import { args } from '../lib/args.mjs';
import { endOnSigterm, ready, record } from '../lib/serve.mjs';

const options = args({ port: '0', record: null, legacy: 'stateless' });
const text = (value) => ({ content: [{ type: 'text', text: value }] });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let says = 'Says it back.';

function build() {
  const server = new McpServer({ name: 'modern', version: '1.0.0' }, { capabilities: { tools: { listChanged: true } } });
  server.registerTool('echo', { description: says, inputSchema: z.object({ message: z.string() }) },
    async ({ message }) => text(`Echo: ${message}`));
  server.registerTool('slow_progress', {
    description: 'Reports progress while it works.',
    inputSchema: z.object({ steps: z.number().default(4), pauseMs: z.number().default(150) }),
  }, async ({ steps, pauseMs }, ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (let progress = 1; progress <= steps; progress++) {
      await pause(pauseMs);
      if (progressToken !== undefined) {
        await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: steps } });
      }
    }
    return text(`Done after ${steps} steps.`);
  });
  server.registerTool('announce', { description: 'Publishes a change of the tool list.', inputSchema: z.object({}) },
    async () => {
      handler.notify.toolsChanged();
      return text('Announced.');
    });
  return server;
}

const handler = createMcpHandler(build, { legacy: options.legacy, onerror: (error) => console.error(error) });
const serveMcp = toNodeHandler(handler);
const server = http.createServer((req, res) => {
  const { pathname, searchParams } = new URL(req.url, 'http://localhost');
  if (pathname === '/mcp') return void serveMcp(req, res);
  if (pathname === '/test/define' && req.method === 'POST') {
    says = searchParams.get('text');
    return void res.writeHead(204).end();
  }
  res.writeHead(404).end();
});
record(server, options.record);
endOnSigterm();
server.listen(Number(options.port), '127.0.0.1', () => ready({ url: `http://127.0.0.1:${server.address().port}/mcp` }));
