// The gateway's registry, read as a client of the MCP Server Registry API reads it, and held against the API's schema.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const ajv = addFormats(new Ajv2020({ allErrors: true, strict: true, strictRequired: false, strictTypes: false }));
ajv.addSchema(JSON.parse(readFileSync(new URL('registry.schema.json', import.meta.url), 'utf8')));
const validators = Object.fromEntries(['ServerList', 'ServerResponse', 'Error'].map((name) => [name, ajv.getSchema(`registry#/$defs/${name}`)]));

function check(name, value) {
  assert.ok(validators[name](value), `no ${name}: ${ajv.errorsText(validators[name].errors)} in ${JSON.stringify(value)}`);
  return value;
}

/** Every answer of the registry at `origin` has the form of the API, and these routes are in it. */
export async function checkRegistry(origin, routes) {
  const get = async (path, status, schema) => {
    const response = await fetch(`${origin}/mcp-registry/v0.1${path}`);
    assert.equal(response.status, status, path);
    assert.match(response.headers.get('content-type'), /^application\/json/);
    return check(schema, await response.json());
  };
  const found = [];
  let cursor = '';
  do {
    const page = await get(`/servers?limit=3${cursor && `&cursor=${encodeURIComponent(cursor)}`}`, 200, 'ServerList');
    assert.equal(page.metadata.count, page.servers.length);
    found.push(...page.servers);
    cursor = page.metadata.nextCursor;
  } while (cursor && found.length < 100);
  assert.deepEqual(found.map(({ server }) => server.remotes[0].url).sort(), routes.map((route) => `${origin}/mcp/${route}`).sort());

  for (const entry of found) {
    const name = encodeURIComponent(entry.server.name);
    const versions = await get(`/servers/${name}/versions`, 200, 'ServerList');
    assert.deepEqual(versions.servers, [entry]);
    for (const version of ['latest', entry.server.version]) {
      assert.deepEqual(await get(`/servers/${name}/versions/${version}`, 200, 'ServerResponse'), entry);
    }
    await get(`/servers/${name}/versions/0.0.0`, 404, 'Error');
  }
  await get('/servers/com.example%2Fmissing/versions', 404, 'Error');
  await get('/servers?limit=x', 400, 'Error');

  // The schema tells good from bad.
  for (const spoil of [
    ({ server }) => delete server.name,
    ({ server }) => { server.name = 'no-namespace'; },
    ({ server }) => { server.description = ''; },
    ({ server }) => { server.remotes[0].type = 'http'; },
    ({ _meta }) => { _meta['io.modelcontextprotocol.registry/official'].updatedAt = 'today'; },
    ({ _meta }) => { _meta['io.modelcontextprotocol.registry/official'].id = 1; },
  ]) {
    const spoilt = structuredClone(found[0]);
    spoil(spoilt);
    assert.ok(!validators.ServerResponse(spoilt), `${spoil} went unnoticed`);
  }
}
