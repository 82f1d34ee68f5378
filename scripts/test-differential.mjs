#!/usr/bin/env node
/**
 * Compares the doctor with the sandbox over mutations of policies, settings and objects: `npm run test:differential`, with
 * `-- --cases N` for another number of cases, `-- --seed S` for other random ones, and `-- --only N` for one case. Prints each
 * disagreement with its seed and its number, and the number of verdicts. Uses every core.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.join(import.meta.dirname, '..');

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '2600' },
    seed: { type: 'string', default: '20261130' },
    only: { type: 'string' },
  },
});
for (const [name, value] of Object.entries(values)) {
  if (/^\d{1,9}$/.test(value)) continue;
  process.stderr.write(`invalid --${name} "${value}": use a whole number of at most 9 digits\n`);
  process.exit(64);
}

const results = mkdtempSync(path.join(tmpdir(), 'replikey-differential-'));
const shards = values.only === undefined ? availableParallelism() : 1;

/** Runs one part of the cases, and returns its exit code. */
const runShard = (shard) =>
  new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      ['node_modules/vitest/vitest.mjs', 'run', 'test/differential', '--reporter=default'],
      {
        cwd: root,
        stdio: ['ignore', 'inherit', 'inherit'],
        env: {
          ...process.env,
          DIFFERENTIAL_CASES: values.cases,
          DIFFERENTIAL_SHARD: `${shard}/${shards}`,
          DIFFERENTIAL_SEED: values.seed,
          DIFFERENTIAL_RESULTS: path.join(results, `${shard}.json`),
          ...(values.only === undefined ? {} : { DIFFERENTIAL_ONLY: values.only }),
        },
      },
    );
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });

try {
  process.stdout.write(`seed ${values.seed}\n`);
  const codes = await Promise.all(Array.from({ length: shards }, (_, shard) => runShard(shard)));
  const totals = { cases: 0, refused: 0, disagreements: 0 };
  const verdicts = {};
  for (const file of readdirSync(results)) {
    const result = JSON.parse(readFileSync(path.join(results, file), 'utf8'));
    for (const name of Object.keys(totals)) totals[name] += result[name];
    for (const [verdict, count] of Object.entries(result.verdicts))
      verdicts[verdict] = (verdicts[verdict] ?? 0) + count;
  }
  const { cases, refused, disagreements } = totals;
  process.stdout.write(
    `\n${cases - refused} cases compared, ${refused} refused by the sandbox, ${disagreements} disagreements (seed ${values.seed})\n`,
  );
  process.stdout.write('Verdict of the doctor and status in the sandbox, by object and rule:\n');
  for (const [verdict, count] of Object.entries(verdicts).sort(([a], [b]) => (a < b ? -1 : 1)))
    process.stdout.write(`  ${verdict}: ${count}\n`);
  process.exitCode = Math.max(...codes);
} finally {
  rmSync(results, { recursive: true });
}
