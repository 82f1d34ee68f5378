import { expect, test } from 'vitest';
import type { Outcome } from '../../src/reconcile/pass.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const sorted = (names: string[]) => [...names].sort();
const plannedCalls = ({ plan }: Outcome) => sorted(plan.waves.flat().flatMap(({ calls }) => calls));
const sentWrites = ({ sandbox }: TestEnv) =>
  sorted(
    sandbox.log.entries
      .filter(({ write }) => write)
      .map(({ service, operation }) => `${service}:${operation}`),
  );

const FULL = TAX_SPEC.replace(
  'alias/acme-tax }',
  '{ alias: alias/acme-tax, description: First, rotation: true, rotationPeriodInDays: 100 }, blockPublicAccess: true, objectOwnership: BucketOwnerEnforced }',
)
  .replace('alias/acme-tax-replica }', 'alias/acme-tax-replica, objectLock: { mode: Governance, days: 1 } }')
  .replace(
    '  rules:',
    '  role: { permissionsBoundary: "arn:aws:iam::aws:policy/AmazonS3FullAccess", tags: { team: tax } }\n  policy: { deletion: Remove }\n  rules:',
  );

/** Specs that are applied one after the other: together they cause every call of an update. */
const SEQUENCES: [title: string, ...yaml: string[]][] = [
  ['a minimal pair', TAX_SPEC, TAX_SPEC],
  ['added settings', TAX_SPEC, FULL],
  [
    'changed settings',
    FULL,
    FULL.replace('First', 'Second')
      .replace('rotationPeriodInDays: 100', 'rotationPeriodInDays: 200')
      .replace('team: tax', 'team: books')
      .replace('deletion: Remove', 'deletion: Retain')
      .replace('AmazonS3FullAccess', 'ReadOnlyAccess')
      .replace('blockPublicAccess: true', 'blockPublicAccess: false')
      .replace('BucketOwnerEnforced', 'ObjectWriter')
      .replace('days: 1 ', 'days: 2 ')
      .replace('prefix: Tax/', 'prefix: Taxes/'),
    FULL.replace('rotation: true, rotationPeriodInDays: 100', 'rotation: false').replace(
      'days: 1 ',
      'days: 2 ',
    ),
  ],
];

test.each(SEQUENCES)('plan: lists every write call that apply sends: %s', async (_, ...yaml) => {
  await using env = await testEnv();
  for (const specs of yaml) {
    env.sandbox.log.reset();
    const outcome = await env.reconcileWith(specs, {
      allowedRisks: [
        'change-boundary',
        'open-public-access',
        'change-ownership',
        'change-role',
        'lock-bucket',
      ],
    });
    expect(outcome.refusals).toEqual([]);
    expect(
      outcome.results.every(({ result }) => result === 'applied'),
      JSON.stringify(outcome.results),
    ).toBe(true);
    expect(plannedCalls(outcome)).toEqual(sentWrites(env));
  }
});

test.each([undefined, 0])('plan: lists every write call of a prune, drain %s', async (drainMs) => {
  const pruned = TAX_SPEC.replace('  rules:', '  policy: { deletion: Remove }\n  rules:');
  const other = TAX_SPEC.replaceAll('tax', 'books');
  await using env = await testEnv();
  await env.reconcileWith(`${pruned}---\n${other}`);
  env.sandbox.log.reset();
  const options = { prune: true, allowedRisks: ['lose-in-flight', 'remove-pair'] };
  const outcome = await env.reconcileWith(other, drainMs === undefined ? options : { ...options, drainMs });
  expect(plannedCalls(outcome).includes('iam:DeleteRole')).toBe(drainMs === 0);
  expect(plannedCalls(outcome)).toEqual(sentWrites(env));
});
