#!/usr/bin/env node
/**
 * Tests src/aws with the newest release of each AWS SDK package, in a temporary copy: `npm run test:newest-sdk`.
 *
 * The transport depends on internals of the SDK. This shows whether it works with the next version before an update.
 */
import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const NOT_COPIED = new Set(['.cache', '.git', 'coverage', 'dist', 'dist.dev', 'node_modules']);

const copy = await mkdtemp(path.join(tmpdir(), 'replikey-newest-sdk-'));
const run = (command, ...args) => execFileSync(command, args, { cwd: copy, stdio: 'inherit' });
try {
  const root = path.join(import.meta.dirname, '..');
  await cp(root, copy, {
    recursive: true,
    filter: (file) => !NOT_COPIED.has(path.relative(root, file)),
  });
  run('node', 'scripts/update-sdk.mjs');
  run('npx', 'tsc', '--noEmit');
  run('npx', 'vitest', 'run', 'test/aws');
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await rm(copy, { recursive: true });
}
