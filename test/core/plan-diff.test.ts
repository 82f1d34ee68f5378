import { expect, test } from 'vitest';
import { diffPlans } from '../../src/core/plan-diff.ts';
import type { Plan, Step } from '../../src/core/resource.ts';

const step = (more: Partial<Step> = {}): Step => ({
  id: 's3.versioning/acme-tax',
  kind: 's3.versioning',
  action: 'update',
  at: { region: 'us-east-1' },
  patch: [{ op: 'replace', path: '/status', value: 'Enabled' }],
  before: { '/status': 'Suspended' },
  desired: { status: 'Enabled' },
  why: ['replication needs versioning on both buckets'],
  calls: ['s3:PutBucketVersioning'],
  needs: [],
  risks: [],
  pairs: ['tax'],
  from: { file: 'spec.yaml', line: 1, column: 1 },
  ...more,
});
const planOf = (steps: Step[], blocked: Plan['blocked'] = []): Plan => ({
  format: 3,
  target: { accounts: {}, partitions: [], endpoint: 'aws' },
  waves: [steps],
  blocked,
  withheld: [],
  notes: [],
  handover: [],
  housekeeping: [],
  retained: [],
  unchanged: 0,
  digest: '',
});
const blocked = (why: string): Plan['blocked'] => [
  { id: 's3.versioning/acme-tax', why, pairs: ['tax'], from: { file: 'spec.yaml', line: 1, column: 1 } },
];

test.each([
  ['an equal step', planOf([step()]), planOf([step()]), undefined],
  [
    'another position in the YAML',
    planOf([step()]),
    planOf([step({ from: { file: 'b.yaml', line: 9, column: 1 } })]),
    undefined,
  ],
  ['a step that is absent now', planOf([step()]), planOf([]), 'the plan no longer changes it'],
  ['a new step', planOf([]), planOf([step()]), 'the plan now updates it'],
  [
    'another action',
    planOf([step()]),
    planOf([step({ action: 'create' })]),
    'the plan now creates it; the approved plan updates it',
  ],
  [
    'another desired value',
    planOf([step()]),
    planOf([step({ patch: [{ op: 'replace', path: '/status', value: 'x' }] })]),
    'the changes of status differ',
  ],
  [
    'another previous value',
    planOf([step()]),
    planOf([step({ before: { '/status': 'Off' } })]),
    'the changes of status differ',
  ],
  [
    'other risks',
    planOf([step()]),
    planOf([step({ risks: [{ id: 'change-default-key', message: 'm' }] })]),
    'the reasons, the risks or the order differ',
  ],
  [
    'a resource that is blocked now',
    planOf([step()]),
    planOf([], blocked('cannot be read')),
    'is blocked now: cannot be read',
  ],
  ['a resource that is still blocked', planOf([], blocked('no')), planOf([], blocked('no')), undefined],
  ['a resource that is no longer blocked', planOf([], blocked('no')), planOf([]), 'is no longer blocked'],
] as const)('diffPlans: %s', (_, before, after, message) => {
  const expected = message === undefined ? [] : [{ step: 's3.versioning/acme-tax', message }];
  expect(diffPlans(before, after)).toEqual(expected);
});
