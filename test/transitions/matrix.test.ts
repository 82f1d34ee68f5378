import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SAMPLING } from '../faults/matrix.ts';
import { allTransitions } from './changes.ts';
import {
  nameOf,
  OPEN,
  type Part,
  partsOf,
  type Run,
  resultsOf,
  runPart,
  sampleOf,
  violationsOf,
} from './matrix.ts';

const {
  TRANSITIONS: extent,
  TRANSITIONS_SHARD: shardText = '0/1',
  TRANSITIONS_SAMPLE: sampleText,
  TRANSITIONS_SEED: seedText,
  TRANSITIONS_ONLY: only = '',
  TRANSITIONS_RESULTS: resultsFile,
} = process.env;

/** Enough for every change. */
const SAMPLE_SIZE = 40;

/** A sample of CI ends after this time, in seconds. Simulated time does not change the clock of the process. */
const SAMPLE_SECONDS = 100;

const sampleSize =
  sampleText === undefined ? (extent === 'all' ? undefined : SAMPLE_SIZE) : Number(sampleText);
const seed = seedText === undefined ? SAMPLING.seed : Number(seedText);
const [shard = 0, shards = 1] = shardText.split('/').map(Number);

test('changes of live rules: no object fails or is passed over', { timeout: 4 * 60 * 60_000 }, async () => {
  const transitions = await allTransitions();
  const parts = partsOf(transitions).filter((part) => nameOf(part).includes(only));
  const sample = sampleSize === undefined ? parts : sampleOf(parts, sampleSize, seed);
  // All parts of a transition are in one shard: they share the state before the change.
  const shardOf = ({ transition }: Part) => transitions.indexOf(transition) % shards;
  const runs: Run[] = [];
  const pick = (count: number): number[] => (count === 0 ? [] : [seed % count]);
  const [start] = process.hrtime();
  for (const part of sample.filter((item) => shardOf(item) === shard)) {
    if (extent !== 'all' && process.hrtime()[0] - start > SAMPLE_SECONDS) break;
    const results = await runPart(part, sampleSize === undefined ? undefined : pick);
    for (const violation of results.flatMap(violationsOf)) process.stdout.write(`${violation}\n`);
    runs.push(...results);
    // After each part, so that a run that is stopped leaves its results.
    if (resultsFile !== undefined) writeFileSync(resultsFile, JSON.stringify(resultsOf(runs, transitions)));
  }
  const isOpen = ({ part: { transition } }: Run) => transition.change in OPEN;
  const violations = runs.filter((run) => !isOpen(run)).flatMap(violationsOf);
  expect(violations, `TRANSITIONS_SEED=${seed}`).toEqual([]);
});
