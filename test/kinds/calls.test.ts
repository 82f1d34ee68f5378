import { expect, test } from 'vitest';
import type { Outcome } from '../../src/reconcile/pass.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const sorted = (names: string[]) => [...names].sort();
const announced = ({ plan }: Outcome) => sorted(plan.waves.flat().flatMap(({ calls }) => calls));
const sent = ({ sandbox }: TestEnv) =>
  sorted(
    sandbox.log.entries
      .filter(({ write }) => write)
      .map(({ service, operation }) => `${service}:${operation}`),
  );

const MORE = TAX_SPEC.replace(
  'alias/acme-tax }',
  '{ alias: alias/acme-tax, description: Ours, rotation: true, rotationPeriodInDays: 100 }, blockPublicAccess: true, objectOwnership: BucketOwnerEnforced }',
).replace(
  '  rules:',
  '  role: { permissionsBoundary: "arn:aws:iam::aws:policy/AmazonS3FullAccess", tags: { team: tax } }\n  policy: { deletion: Remove }\n  rules:',
);

/** What is declared first, and what then: between them every call of an update. */
const STORIES: [title: string, ...yaml: string[]][] = [
  ['a pair, and nothing more', TAX_SPEC, TAX_SPEC],
  ['settings that come later', TAX_SPEC, MORE],
  [
    'settings that become others',
    MORE,
    MORE.replace('Ours', 'Theirs')
      .replace('rotationPeriodInDays: 100', 'rotationPeriodInDays: 200')
      .replace('team: tax', 'team: books')
      .replace('deletion: Remove', 'deletion: Retain')
      .replace('AmazonS3FullAccess', 'ReadOnlyAccess')
      .replace('blockPublicAccess: true', 'blockPublicAccess: false')
      .replace('BucketOwnerEnforced', 'ObjectWriter')
      .replace('prefix: Tax/', 'prefix: Taxes/'),
    MORE.replace('rotation: true, rotationPeriodInDays: 100', 'rotation: false'),
  ],
];

test.each(STORIES)('a plan names each call that its changes will make: %s', async (_, ...yaml) => {
  await using env = await testEnv();
  for (const one of yaml) {
    env.sandbox.log.reset();
    const outcome = await env.reconcileWith(one, {
      allowedRisks: ['change-boundary', 'open-public-access', 'change-ownership', 'change-role'],
    });
    expect(outcome.refusals).toEqual([]);
    expect(
      outcome.results.every(({ result }) => result === 'applied'),
      JSON.stringify(outcome.results),
    ).toBe(true);
    expect(announced(outcome)).toEqual(sent(env));
  }
});

test('and those with which it takes something away', async () => {
  const pruned = TAX_SPEC.replace('  rules:', '  policy: { deletion: Remove }\n  rules:');
  const other = TAX_SPEC.replaceAll('tax', 'books');
  await using env = await testEnv();
  await env.reconcileWith(`${pruned}---\n${other}`);
  env.sandbox.log.reset();
  const outcome = await env.reconcileWith(other, { prune: true });
  expect(announced(outcome)).toContain('iam:DeleteRole');
  expect(announced(outcome)).toEqual(sent(env));
});
