// A program that people use as it is: `--program inspector` (the MCP Inspector's command line) or `mcp-remote` (a bridge
// for clients that speak stdio only). It says where to sign in; the person does, and the program goes on by itself.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { Browser } from '../browser.mjs';
import { NODE } from '../conformance/lib/suite.mjs';
import { args } from '../lib/args.mjs';
import { freePort, ROOT } from '../lib/processes.mjs';
import { check, Report } from '../lib/report.mjs';

const options = args({ url: undefined, program: undefined, user: 'ada', password: 'ada', secrets: null });
const report = new Report(options.secrets);
const home = mkdtempSync(path.join(tmpdir(), 'sallyport-program-'));
const env = { PATH: process.env.PATH, HOME: home, MCP_REMOTE_CONFIG_DIR: home, MCP_AUTO_OPEN_ENABLED: 'true', MCP_INSPECTOR_SECRET_STORE: 'memory' };
const port = await freePort();
const PATIENCE = 40000;

await report.step('login_and_tools', { inspector, 'mcp-remote': bridge }[options.program]);
rmSync(home, { recursive: true, force: true });
process.exit(0);

async function inspector() {
  const command = ['node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js', '--cli', options.url, '--transport', 'http',
    '--method', 'tools/list', '--callback-url', `http://127.0.0.1:${port}/oauth/callback`];
  const child = spawn(NODE, command, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
  let output = '';
  child.stdout.on('data', (chunk) => { output += chunk; });
  const visited = signIn(child.stderr);
  const code = await new Promise((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  check(code === 0, `ended with ${code}`);
  const { tools } = JSON.parse(output.slice(output.indexOf('{')));
  check(tools.some(({ name }) => name === 'echo'), `no echo among ${tools.map(({ name }) => name)}`);
  return { tools: tools.length, visited: await visited };
}

async function bridge() {
  const transport = new StdioClientTransport({ command: NODE, args: ['node_modules/mcp-remote/dist/proxy.js', options.url, String(port)], cwd: ROOT, env, stderr: 'pipe' });
  const visited = signIn(transport.stderr);
  const client = new Client({ name: 'mcp-remote', version: '1.0.0' });
  await client.connect(transport, { timeout: PATIENCE });
  const { content } = await client.callTool({ name: 'echo', arguments: { message: 'through the bridge' } });
  check(content[0].text.includes('through the bridge'), `echo said ${content[0].text}`);
  await client.close();
  return { visited: await visited };
}

/** Signs in at the authorization URL that the program prints, and follows the redirect to it. */
function signIn(stderr) {
  return new Promise((resolve, reject) => {
    let text = '';
    let opened = false;
    stderr.on('data', async (chunk) => {
      text += chunk;
      const [, url] = /(http:\/\/\S+response_type=code\S*)\s/.exec(text) ?? [];
      if (!url || opened) return;
      opened = true;
      try {
        const { redirect, visited } = await new Browser({ user: options.user, password: options.password, onSecret: report.secret }).authorize(url);
        const { ok, status } = await fetch(redirect);
        if (!ok) throw new Error(`the program's callback answered ${status}`);
        resolve(visited.map(({ page }) => page));
      } catch (error) {
        reject(error);
      }
    });
    stderr.on('close', () => reject(new Error(`no authorization URL: ${text.slice(-400)}`)));
  });
}
