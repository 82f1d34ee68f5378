#!/usr/bin/env node
/**
 * Writes everything that is generated from the code: `npm run generate`. That is the drawing and tables of
 * docs/explanation/architecture.md, and every file that a test compares with toMatchFileSnapshot: the schemas, the reference
 * pages, the manual page, the custom resource definitions and the golden files. CI fails on a file that is out of date.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const run = (...args) => execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });

const tests = readdirSync(path.join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => path.join('test', file))
  .filter((file) => readFileSync(path.join(root, file), 'utf8').includes('.toMatchFileSnapshot('));

try {
  run('scripts/architecture.mjs');
  // Some of the tests run dist/.
  run('scripts/build.mjs');
  // Last, because vitest takes the argument after --update for its value.
  run('node_modules/vitest/vitest.mjs', 'run', ...tests, '--update');
  // Composed of files that other tests write.
  run('node_modules/vitest/vitest.mjs', 'run', 'test/conformance/page.test.ts', '--update');
} catch (error) {
  process.exitCode = error.status ?? 1;
}
