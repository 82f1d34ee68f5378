#!/usr/bin/env node
/**
 * Changes live rules while objects are written, and counts the objects that S3 fails or passes over:
 * `npm run test:transitions`, with `-- --sample N --seed S` for a random part, and `-- --only TEXT` for the parts whose
 * name contains a text, for example `cross-account: replica key, denied`. `-- --write` writes the table to docs/explanation/reliability.md.
 * `-- --results FOLDER` keeps the results, and adds those of earlier runs, so that the parts can run one after another. Uses every
 * core.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { mergeResults, replaceTable, transitionTable } from './transition-table.mjs';

const root = path.join(import.meta.dirname, '..');
const PAGE = path.join(root, 'docs/explanation/reliability.md');

const { values } = parseArgs({
  options: {
    sample: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
    results: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
for (const name of ['sample', 'seed']) {
  if (values[name] !== undefined && !/^\d+$/.test(values[name])) {
    process.stderr.write(`invalid --${name} "${values[name]}": use a whole number\n`);
    process.exit(64);
  }
}
if (values.write && values.results === undefined && (values.sample ?? values.only) !== undefined) {
  process.stderr.write('--write needs the complete table: omit --sample and --only, or give --results\n');
  process.exit(64);
}

const results = values.results ?? mkdtempSync(path.join(tmpdir(), 'replikey-transitions-'));
mkdirSync(results, { recursive: true });
const run = Date.now();
const shards = availableParallelism();

/** Runs one part of the matrix, and returns its exit code. */
const runShard = (shard) =>
  new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      ['node_modules/vitest/vitest.mjs', 'run', 'test/transitions/matrix.test.ts', '--reporter=default'],
      {
        cwd: root,
        stdio: ['ignore', 'inherit', 'inherit'],
        env: {
          ...process.env,
          TRANSITIONS: 'all',
          TRANSITIONS_SHARD: `${shard}/${shards}`,
          TRANSITIONS_RESULTS: path.resolve(results, `${run}-${shard}.json`),
          ...(values.sample === undefined ? {} : { TRANSITIONS_SAMPLE: values.sample }),
          ...(values.seed === undefined ? {} : { TRANSITIONS_SEED: values.seed }),
          ...(values.only === undefined ? {} : { TRANSITIONS_ONLY: values.only }),
        },
      },
    );
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });

try {
  const codes = await Promise.all(Array.from({ length: shards }, (_, shard) => runShard(shard)));
  const merged = mergeResults(
    readdirSync(results)
      .sort()
      .flatMap((file) => JSON.parse(readFileSync(path.join(results, file), 'utf8'))),
  );
  const table = transitionTable(merged);
  process.stdout.write(`\nObjects written / FAILED / passed over / PENDING:\n\n${table}\n`);
  if (values.write) writeFileSync(PAGE, replaceTable(readFileSync(PAGE, 'utf8'), table));
  process.exitCode = Math.max(...codes);
} finally {
  if (values.results === undefined) rmSync(results, { recursive: true });
}
