#!/usr/bin/env node
/**
 * Compares the sandbox with AWS, and prints docs/reference/conformance.md: `npm run conformance`. Runs the suites that the page
 * describes, and names those that are skipped because a program is missing. Fails if a result is not the one of the page;
 * `npm run conformance -- --update` writes the new results to the page.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const page = 'docs/reference/conformance.md';
const update = process.argv.includes('--update') ? ['--update'] : [];
const folder = mkdtempSync(path.join(tmpdir(), 'replikey-conformance-'));
const report = path.join(folder, 'tests.json');
const vitest = (...args) =>
  spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...args], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1' },
    stdio: ['ignore', 'inherit', 'inherit'],
  }).status ?? 1;

try {
  const suites = ['test/conformance', 'test/clients'].filter((name) => existsSync(path.join(root, name)));
  const ran = vitest(
    ...suites,
    '--reporter=dot',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...update,
  );
  const printed = vitest('test/conformance/page.test.ts', '--reporter=dot', ...update);
  process.stdout.write(`\n${readFileSync(path.join(root, page), 'utf8').replace(/^<!--.*-->\n\n/m, '')}\n`);
  for (const line of summary(JSON.parse(readFileSync(report, 'utf8')))) process.stdout.write(`${line}\n`);
  process.exitCode = ran || printed;
  if (process.exitCode !== 0)
    process.stderr.write(
      'conformance: this run differs from the page: see the failed tests above; npm run conformance -- --update writes new results\n',
    );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Returns one line for each test file: the numbers of its tests by status. */
function summary({ testResults }) {
  return testResults
    .map(({ name, assertionResults }) => {
      const count = (...statuses) =>
        assertionResults.filter(({ status }) => statuses.includes(status)).length;
      const [passed, failed] = [count('passed'), count('failed')];
      const skipped = assertionResults.length - passed - failed;
      return `${path.relative(root, name)}: ${passed} passed, ${failed} failed, ${skipped} skipped`;
    })
    .sort();
}
