// The reference server of the MCP project over Streamable HTTP, unmodified: stateful sessions, a GET
// stream, progress and log notifications, resumable streams. It would listen on every interface and
// print to stdout, so both are turned to loopback and stderr before it is loaded.
import { createRequire } from 'node:module';
import net from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { args } from '../lib/args.mjs';
import { endOnSigterm, ready, record } from '../lib/serve.mjs';

const options = args({ port: '0', record: null });
console.log = console.error;
process.env.PORT = options.port;

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  record(this, options.record);
  this.once('listening', () => ready({ url: `http://127.0.0.1:${this.address().port}/mcp` }));
  return listen.call(this, Number(port), '127.0.0.1', ...rest);
};

const require = createRequire(import.meta.url);
const package_ = path.dirname(require.resolve('@modelcontextprotocol/server-everything/package.json'));
await import(pathToFileURL(path.join(package_, 'dist/transports/streamableHttp.js')).href);
process.removeAllListeners('SIGINT');
endOnSigterm();
