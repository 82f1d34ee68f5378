import { expect, test } from 'vitest';
import type { Plan, Step } from '../../src/core/resource.ts';
import { minimumDuration, minimumDurationText } from '../../src/report/plan-text.ts';

/** Returns a plan that creates the given number of keys, by account and Region. */
function planOf(keys: Record<string, number>, step: Partial<Step> = {}): Plan {
  const steps = Object.entries(keys).flatMap(([location, count]) => {
    const [region = '', account] = location.split(' ').reverse();
    const at = account === undefined ? { region } : { account, region };
    return Array.from({ length: count }, () => ({ calls: ['kms:CreateKey'], at, ...step }));
  });
  return { waves: [[], steps] } as unknown as Plan;
}

test.each<[string, Plan, string[]]>([
  ['few keys: no text', planOf({ 'us-east-1': 45 }), []],
  [
    'keys of one Region share the quota',
    planOf({ 'us-east-1': 200, 'us-west-2': 10 }),
    [
      'Apply takes at least 40 s: KMS allows 5 CreateKey calls per second, and the plan creates 200 keys in us-east-1.',
    ],
  ],
  [
    'accounts and Regions have separate quotas',
    planOf({ 'main us-east-1': 40, 'other us-east-1': 51, 'main us-west-2': 40 }),
    [
      'Apply takes at least 11 s: KMS allows 5 CreateKey calls per second, and the plan creates 51 keys in other/us-east-1.',
    ],
  ],
  ['existing keys do not count', planOf({ 'us-east-1': 200 }, { calls: ['kms:TagResource'] }), []],
  ['only keys count', planOf({ 'us-east-1': 200 }, { calls: ['s3:CreateBucket'] }), []],
])('minimum duration: %s', (_, plan, lines) => {
  expect(minimumDurationText(plan)).toEqual(lines);
  expect(minimumDuration(plan) === undefined).toBe(lines.length === 0);
});
