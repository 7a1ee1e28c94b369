// Writes what the suite found as a page of the documentation.
import { writeFileSync } from 'node:fs';
import { outcome, SUITE_VERSION, verdicts } from './suite.mjs';

const WARNINGS = {
  'auth/basic-cimd': 'passed; the suite warns that the URL of our client metadata document is not its own `https://conformance-test.local/…`, which a gateway with a document of its own cannot use',
};

export function writeTable(file, found, expected) {
  const revisions = Object.keys(found.client);
  const lines = [
    '# Conformance',
    '',
    `Results of the official suite, \`@modelcontextprotocol/conformance\` ${SUITE_VERSION}, with the requirement sets of the`,
    `revisions ${revisions.join(' and ')}. This page is written by \`tests/clients/conformance/run.mjs\``,
    '([how](../tests/clients/conformance/README.md)); do not edit it by hand.',
    '',
    '## MCP servers through the gateway',
    '',
    "The suite's own reference server, asked directly and through a route. The gateway must change no result, check by",
    'check; a scenario fails when one of its checks does.',
    '',
    '| scenario | revision | directly | through the gateway | checks with another result |',
    '| --- | --- | --- | --- | --- |',
  ];
  for (const [revision, { direct, through }] of Object.entries(found.server)) {
    for (const scenario of direct.keys()) {
      const differing = [...verdicts(direct.get(scenario))].filter(([id, status]) => verdicts(through.get(scenario) ?? []).get(id) !== status).map(([id]) => `\`${id}\``);
      lines.push(`| \`${scenario}\` | ${revision} | ${outcome(direct.get(scenario))} | ${outcome(through.get(scenario))} | ${differing.join(', ') || 'none'} |`);
    }
  }
  lines.push('', '## The client that the gateway is to an upstream', '',
    "The suite's servers as upstreams; a person and an SDK client in front of the gateway. `auth/…` tests the gateway's own",
    'OAuth client, the other scenarios that it passes on what an SDK client says.', '',
    `| scenario | ${revisions.join(' | ')} | remarks |`, `| --- | ${revisions.map(() => '---').join(' | ')} | --- |`);
  const scenarios = new Set(revisions.flatMap((revision) => [...found.client[revision].keys()]));
  for (const scenario of [...scenarios].sort()) {
    const results = revisions.map((revision) => outcome(found.client[revision].get(scenario)).replace('not run', '–'));
    const remark = revisions.map((revision) => expected.client[revision][scenario]).find(Boolean) ?? WARNINGS[scenario] ?? '';
    lines.push(`| \`${scenario}\` | ${results.join(' | ')} | ${remark} |`);
  }
  lines.push('', "## The gateway's authorization server", '', '| scenario | result |', '| --- | --- |');
  for (const [scenario, checks] of found.authorization) lines.push(`| \`${scenario}\` | ${outcome(checks)} |`);
  writeFileSync(file, `${lines.join('\n')}\n`);
}
