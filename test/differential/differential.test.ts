import { appendFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { closePairs, compareCase } from './compare.ts';
import { caseOf } from './mutations.ts';

/**
 * Compares the doctor with the sandbox over mutations of policies, settings and objects. `npm run test:differential`
 * runs all of them, on every core.
 */

const {
  DIFFERENTIAL_CASES: casesText,
  DIFFERENTIAL_SHARD: shardText = '0/1',
  DIFFERENTIAL_SEED: seedText = '20261130',
  DIFFERENTIAL_ONLY: only,
  DIFFERENTIAL_RESULTS: resultsFile,
} = process.env;

/** The cases of the normal test run: mutations that are made alone, and random ones. */
const SAMPLE = Array.from({ length: 60 }, (_, index) => index * 37);

/** Cases that doctor and sandbox once decided differently, as `seed:case`. */
const REGRESSIONS: [seed: number, number: number][] = [];

const seed = Number(seedText);
const [shard = 0, shards = 1] = shardText.split('/').map(Number);
const numbers =
  only !== undefined
    ? [Number(only)]
    : casesText === undefined
      ? SAMPLE
      : Array.from({ length: Number(casesText) }, (_, index) => index).filter(
          (number) => number % shards === shard,
        );
const cases = [
  ...(casesText === undefined && only === undefined ? REGRESSIONS : []),
  ...numbers.map((number): [number, number] => [seed, number]),
];

afterAll(closePairs);

test('doctor: agrees with the sandbox about every mutated pair', { timeout: 60 * 60_000 }, async () => {
  const disagreements: string[] = [];
  const verdicts: Record<string, number> = {};
  let refused = 0;
  for (const [caseSeed, number] of cases) {
    const mutated = caseOf(number, caseSeed);
    const comparison = await compareCase(mutated, number).catch((error: Error) => ({
      disagreements: [`the comparison failed: ${error.stack}`],
      verdicts: {},
      refused: undefined,
    }));
    if (comparison.refused !== undefined) refused += 1;
    for (const [verdict, count] of Object.entries(comparison.verdicts))
      verdicts[verdict] = (verdicts[verdict] ?? 0) + count;
    for (const disagreement of comparison.disagreements) {
      const labels = mutated.mutations.map(({ label }) => label).join('; ');
      const text = `seed ${caseSeed}, case ${number} (pair ${mutated.pair}; ${labels}): ${disagreement}`;
      disagreements.push(text);
      if (resultsFile !== undefined) process.stdout.write(`${text}\n`);
    }
  }
  if (resultsFile !== undefined)
    appendFileSync(
      resultsFile,
      `${JSON.stringify({ cases: cases.length, refused, verdicts, disagreements: disagreements.length })}\n`,
    );
  expect(disagreements, `DIFFERENTIAL_SEED=${seed}`).toEqual([]);
  // Both results must occur, or the comparison would prove little.
  if (only === undefined) {
    expect(verdicts['proven, COMPLETED']).toBeGreaterThan(0);
    expect(verdicts['broken, FAILED']).toBeGreaterThan(0);
  }
});
