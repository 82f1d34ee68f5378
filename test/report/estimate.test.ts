import { expect, test } from 'vitest';
import type { Plan, Step } from '../../src/core/resource.ts';
import { minimumDuration, minimumDurationText } from '../../src/report/plan-text.ts';

/** A plan that makes so many keys, by account and Region. */
function aPlan(keys: Record<string, number>, step: Partial<Step> = {}): Plan {
  const steps = Object.entries(keys).flatMap(([where, count]) => {
    const [region = '', account] = where.split(' ').reverse();
    const at = account === undefined ? { region } : { account, region };
    return Array.from({ length: count }, () => ({ calls: ['kms:CreateKey'], at, ...step }));
  });
  return { waves: [[], steps] } as unknown as Plan;
}

test.each<[string, Plan, string[]]>([
  ['nothing is said of a few keys', aPlan({ 'us-east-1': 45 }), []],
  [
    'keys of one Region wait for each other',
    aPlan({ 'us-east-1': 200, 'us-west-2': 10 }),
    ['It takes 40 s at least: KMS makes 5 keys a second, and 200 are to be made in us-east-1.'],
  ],
  [
    'accounts and Regions do not wait for each other',
    aPlan({ 'main us-east-1': 40, 'other us-east-1': 51, 'main us-west-2': 40 }),
    ['It takes 11 s at least: KMS makes 5 keys a second, and 51 are to be made in other/us-east-1.'],
  ],
  ['keys that are there do not count', aPlan({ 'us-east-1': 200 }, { calls: ['kms:TagResource'] }), []],
  ['only keys count', aPlan({ 'us-east-1': 200 }, { calls: ['s3:CreateBucket'] }), []],
])('%s', (_, plan, lines) => {
  expect(minimumDurationText(plan)).toEqual(lines);
  expect(minimumDuration(plan) === undefined).toBe(lines.length === 0);
});
