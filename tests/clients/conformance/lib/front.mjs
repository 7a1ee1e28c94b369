// Stands between the suite and the gateway, because the suite has no option for a token: adds the bearer token to MCP
// requests that have none, and passes on everything else as it is, Host, Origin and streams included.
import http from 'node:http';

export async function startFront(port, gatewayOrigin) {
  const { hostname, port: gatewayPort } = new URL(gatewayOrigin);
  const front = { token: undefined };
  const server = http.createServer((incoming, outgoing) => {
    const headers = [...incoming.rawHeaders];
    if (front.token && incoming.url.startsWith('/mcp/') && !incoming.headers.authorization) headers.push('Authorization', `Bearer ${front.token}`);
    const request = http.request({ hostname, port: gatewayPort, method: incoming.method, path: incoming.url, headers, agent: false, setHost: false }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.rawHeaders);
      outgoing.flushHeaders();
      answer.pipe(outgoing);
      answer.on('error', () => outgoing.destroy());
    });
    request.on('error', () => outgoing.destroy());
    outgoing.on('close', () => request.destroy());
    incoming.pipe(request);
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  front.close = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
  return front;
}
