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
  format: 2,
  accounts: {},
  waves: [steps],
  blocked,
  notes: [],
  handover: [],
  unchanged: 0,
  digest: '',
});
const blocked = (why: string): Plan['blocked'] => [
  { id: 's3.versioning/acme-tax', why, pairs: ['tax'], from: { file: 'spec.yaml', line: 1, column: 1 } },
];

test.each([
  ['the same', planOf([step()]), planOf([step()]), undefined],
  [
    'asked for elsewhere',
    planOf([step()]),
    planOf([step({ from: { file: 'b.yaml', line: 9, column: 1 } })]),
    undefined,
  ],
  ['gone', planOf([step()]), planOf([]), 'the plan no longer changes it'],
  ['new', planOf([]), planOf([step()]), 'the plan now updates it'],
  [
    'another action',
    planOf([step()]),
    planOf([step({ action: 'create' })]),
    'the plan now creates it; the approved plan updates it',
  ],
  [
    'to another value',
    planOf([step()]),
    planOf([step({ patch: [{ op: 'replace', path: '/status', value: 'x' }] })]),
    'the changes of status differ',
  ],
  [
    'from another value',
    planOf([step()]),
    planOf([step({ before: { '/status': 'Off' } })]),
    'the changes of status differ',
  ],
  [
    'for other reasons',
    planOf([step()]),
    planOf([step({ risks: [{ id: 'change-default-key', message: 'm' }] })]),
    'the reasons, the risks or the order differ',
  ],
  ['blocked', planOf([step()]), planOf([], blocked('cannot be read')), 'is blocked now: cannot be read'],
  ['blocked as before', planOf([], blocked('no')), planOf([], blocked('no')), undefined],
  ['not blocked any more', planOf([], blocked('no')), planOf([]), 'is no longer blocked'],
] as const)('%s', (_, before, after, message) => {
  const expected = message === undefined ? [] : [{ step: 's3.versioning/acme-tax', message }];
  expect(diffPlans(before, after)).toEqual(expected);
});
