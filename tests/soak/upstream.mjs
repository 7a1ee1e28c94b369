// An MCP server behind OAuth of its own that says who it takes the caller for. Tokens live shortly, refresh tokens
// rotate and a second use of one is counted: it means that the gateway lost or repeated a refresh.
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';

const ACCESS_SECONDS = 40;
const HEARTBEAT_MS = 5000;

export async function startUpstream() {
  const clients = new Map();
  const codes = new Map();
  const access = new Map(); // token → {who, until}
  const refresh = new Map(); // token → who; deleted when used
  const used = new Set();
  const streams = new Set();
  const counts = { refreshes: 0, reused: 0, calls: 0, revoked: 0 };
  const random = (prefix) => prefix + randomBytes(24).toString('base64url');

  const server = http.createServer(async (request, response) => {
    const url = new URL(request.url, origin);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const json = (status, value, headers = {}) => response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(value));
    const form = () => new URLSearchParams(body);
    const tokens = (who) => {
      const issued = { access_token: random('at_'), token_type: 'Bearer', expires_in: ACCESS_SECONDS, refresh_token: random('rt_') };
      access.set(issued.access_token, { who, until: Date.now() + ACCESS_SECONDS * 1000 });
      refresh.set(issued.refresh_token, who);
      return json(200, issued, { 'Cache-Control': 'no-store' });
    };
    switch (`${request.method} ${url.pathname}`) {
      case 'GET /.well-known/oauth-protected-resource/mcp':
        return json(200, { resource: `${origin}/mcp`, authorization_servers: [origin] });
      case 'GET /.well-known/oauth-authorization-server':
        return json(200, {
          issuer: origin, authorization_endpoint: `${origin}/authorize`, token_endpoint: `${origin}/token`,
          registration_endpoint: `${origin}/register`, revocation_endpoint: `${origin}/revoke`,
          response_types_supported: ['code'], code_challenge_methods_supported: ['S256'], token_endpoint_auth_methods_supported: ['none'],
        });
      case 'POST /register': {
        const client = { ...JSON.parse(body), client_id: random('client_'), token_endpoint_auth_method: 'none' };
        clients.set(client.client_id, client);
        return json(201, client);
      }
      case 'GET /authorize': {
        // The person's browser says who it is by a cookie, as after a sign-in here.
        const who = /(?:^|; )who=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
        const back = new URL(url.searchParams.get('redirect_uri'));
        if (!who || !clients.has(url.searchParams.get('client_id'))) return json(400, { error: 'invalid_request' });
        const code = random('code_');
        codes.set(code, { who, challenge: url.searchParams.get('code_challenge') });
        back.searchParams.set('code', code);
        back.searchParams.set('state', url.searchParams.get('state'));
        return response.writeHead(302, { Location: back.href }).end();
      }
      case 'POST /token': {
        const fields = form();
        if (fields.get('grant_type') === 'authorization_code') {
          const kept = codes.get(fields.get('code'));
          codes.delete(fields.get('code'));
          const challenge = createHash('sha256').update(fields.get('code_verifier') ?? '').digest('base64url');
          return kept?.challenge === challenge ? tokens(kept.who) : json(400, { error: 'invalid_grant' });
        }
        const token = fields.get('refresh_token');
        const who = refresh.get(token);
        counts.refreshes++;
        if (!who) {
          if (used.has(token)) counts.reused++;
          return json(400, { error: 'invalid_grant' });
        }
        refresh.delete(token);
        used.add(token);
        return tokens(who);
      }
      case 'POST /revoke':
        counts.revoked++;
        refresh.delete(form().get('token'));
        access.delete(form().get('token'));
        return response.writeHead(200).end();
    }
    if (url.pathname !== '/mcp') return response.writeHead(404).end();
    const known = access.get((request.headers.authorization ?? '').replace(/^Bearer /, ''));
    if (!known || known.until < Date.now()) {
      return response.writeHead(401, { 'WWW-Authenticate': `Bearer resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"` }).end();
    }
    if (request.method === 'GET') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      const event = () => response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: known.who } })}\n\n`);
      event();
      streams.add(event);
      response.on('close', () => streams.delete(event));
      return;
    }
    counts.calls++;
    const message = JSON.parse(body);
    if (message.id === undefined) return response.writeHead(202).end();
    json(200, { jsonrpc: '2.0', id: message.id, result: { content: [{ type: 'text', text: known.who }], echo: message.params?.arguments } });
  });
  server.keepAliveTimeout = 120000;
  await new Promise((resolve) => server.listen(0, '127.0.0.1', 4096, resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  const heart = setInterval(() => { for (const event of streams) event(); }, HEARTBEAT_MS);
  return { origin, url: `${origin}/mcp`, counts, open: () => streams.size, stop: () => { clearInterval(heart); server.close(); server.closeAllConnections(); } };
}
