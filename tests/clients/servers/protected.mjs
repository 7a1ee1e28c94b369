// An MCP server behind an authorization server of its own (npm oidc-provider). `--sdk v1` is the TypeScript SDK v1 with its
// bearer middleware and sessions (2025-11-25), which asks the authorization server about each token; `--sdk v2` is the
// TypeScript SDK v2 at revision 2026-07-28, which checks signed tokens by itself.
//
//   GET  /test/issued         the secrets that came or went, and what each endpoint of the authorization server saw
//   POST /test/expire         ends all access tokens
//   POST /test/end            ends the grants of the person in the body
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { createMcpHandler, McpServer as McpServerV2 } from '@modelcontextprotocol/server';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { getOAuthProtectedResourceMetadataUrl, mcpAuthMetadataRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import * as z from 'zod';
import { args } from '../lib/args.mjs';
import { startAuthorizationServer } from '../lib/authorization-server.mjs';
import { endOnSigterm, ready, record } from '../lib/serve.mjs';

const options = args({ port: '0', record: null, sdk: 'v1', clients: 'dynamic', methods: 'none,client_secret_post,client_secret_basic', lifetime: '5' });

const server = http.createServer();
record(server, options.record);
endOnSigterm();
await new Promise((resolve) => server.listen(Number(options.port), '127.0.0.1', resolve));
const url = `http://127.0.0.1:${server.address().port}/mcp`;
const authorization = await startAuthorizationServer({
  resource: url, tokens: options.sdk === 'v1' ? 'opaque' : 'jwt', clients: options.clients, methods: options.methods.split(','),
  lifetime: Number(options.lifetime),
});
const serveMcp = options.sdk === 'v1' ? legacy() : modern();

server.on('request', (req, res) => {
  const { pathname } = new URL(req.url, url);
  if (pathname.startsWith('/test/')) return void command(pathname, req, res);
  return void serveMcp(req, res);
});
ready({ url });

const text = (value) => ({ content: [{ type: 'text', text: value }] });
const whoami = (auth) => text(JSON.stringify({ subject: auth.extra.subject, scopes: auth.scopes, client: auth.clientId }));

function legacy() {
  const build = () => {
    const mcp = new McpServerV1({ name: 'protected-v1', version: '1.0.0' });
    mcp.registerTool('echo', { inputSchema: { message: z.string() } }, ({ message }) => text(`Echo: ${message}`));
    mcp.registerTool('whoami', {}, (extra) => whoami(extra.authInfo));
    return mcp;
  };
  const sessions = new Map();
  const app = createMcpExpressApp();
  app.use(mcpAuthMetadataRouter({ oauthMetadata: authorization.metadata, resourceServerUrl: new URL(url), scopesSupported: [authorization.scope] }));
  const verifier = {
    verifyAccessToken: (token) => authorization.verify(token).catch((error) => { throw new InvalidTokenError(error.message); }),
  };
  app.all('/mcp', requireBearerAuth({
    verifier, requiredScopes: [authorization.scope], resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(new URL(url)), expectedResource: url,
  }), async (req, res) => {
    const known = req.headers['mcp-session-id'];
    if (known && !sessions.has(known)) return res.status(404).json({ jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } });
    let transport = sessions.get(known);
    if (!transport) {
      transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID, onsessioninitialized: (id) => sessions.set(id, transport) });
      transport.onclose = () => sessions.delete(transport.sessionId);
      await build().connect(transport);
    }
    return transport.handleRequest(req, res, req.body);
  });
  return app;
}

function modern() {
  const where = `${new URL('/.well-known/oauth-protected-resource/mcp', url)}`;
  const build = () => {
    const mcp = new McpServerV2({ name: 'protected-v2', version: '1.0.0' });
    mcp.registerTool('echo', { inputSchema: z.object({ message: z.string() }) }, async ({ message }) => text(`Echo: ${message}`));
    mcp.registerTool('whoami', { inputSchema: z.object({}) }, async (_, ctx) => whoami(ctx.http.authInfo));
    return mcp;
  };
  const serve = toNodeHandler(createMcpHandler(build, { legacy: 'reject', onerror: (error) => console.error(error) }));
  const json = (res, status, value, headers = {}) => res.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(value));
  return async (req, res) => {
    const { pathname } = new URL(req.url, url);
    if (pathname === new URL(where).pathname) {
      return json(res, 200, { resource: url, authorization_servers: [authorization.issuer], scopes_supported: [authorization.scope], bearer_methods_supported: ['header'] });
    }
    if (pathname !== '/mcp') return json(res, 404, {});
    const token = /^Bearer (\S+)$/i.exec(req.headers.authorization ?? '')?.[1];
    req.auth = token && await authorization.verify(token).catch(() => undefined);
    if (!req.auth) {
      const error = token ? 'error="invalid_token", ' : '';
      return json(res, 401, { error: 'invalid_token' }, { 'WWW-Authenticate': `Bearer ${error}resource_metadata="${where}", scope="${authorization.scope}"` });
    }
    return serve(req, res);
  };
}

async function command(pathname, req, res) {
  let body = '';
  for await (const chunk of req) body += chunk;
  const answer = (status, value) => res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
  if (pathname === '/test/issued') return answer(200, { secrets: [...authorization.issued], seen: authorization.seen });
  if (pathname === '/test/expire') return answer(200, authorization.expire() ?? {});
  if (pathname === '/test/end') return answer(200, (await authorization.end(body)) ?? {});
  return answer(404, {});
}
