import { expect, test } from 'vitest';
import type { Outcome } from '../../src/reconcile.ts';
import { aWorld, TAX, type World } from '../support/world.ts';

const sorted = (names: string[]) => [...names].sort();
const announced = ({ plan }: Outcome) => sorted(plan.waves.flat().flatMap(({ calls }) => calls));
const sent = ({ sandbox }: World) =>
  sorted(
    sandbox.log.entries
      .filter(({ write }) => write)
      .map(({ service, operation }) => `${service}:${operation}`),
  );

const MORE = TAX.replace(
  'alias/acme-tax }',
  '{ alias: alias/acme-tax, description: Ours, rotation: true, rotationPeriodInDays: 100 }, blockPublicAccess: true, objectOwnership: BucketOwnerEnforced }',
).replace(
  '  rules:',
  '  role: { permissionsBoundary: "arn:aws:iam::aws:policy/AmazonS3FullAccess", tags: { team: tax } }\n  policy: { deletion: Remove }\n  rules:',
);

/** What is declared first, and what then: between them every call of an update. */
const STORIES: [title: string, ...yaml: string[]][] = [
  ['a pair, and nothing more', TAX, TAX],
  ['settings that come later', TAX, MORE],
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
  await using world = await aWorld();
  for (const one of yaml) {
    world.sandbox.log.reset();
    const outcome = await world.with(one, {
      allow: ['change-boundary', 'open-public-access', 'change-ownership', 'change-role'],
    });
    expect(outcome.refusals).toEqual([]);
    expect(
      outcome.results.every(({ result }) => result === 'applied'),
      JSON.stringify(outcome.results),
    ).toBe(true);
    expect(announced(outcome)).toEqual(sent(world));
  }
});

test('and those with which it takes something away', async () => {
  const pruned = TAX.replace('  rules:', '  policy: { deletion: Remove }\n  rules:');
  const other = TAX.replaceAll('tax', 'books');
  await using world = await aWorld();
  await world.with(`${pruned}---\n${other}`);
  world.sandbox.log.reset();
  const outcome = await world.with(other, { prune: true });
  expect(announced(outcome)).toContain('iam:DeleteRole');
  expect(announced(outcome)).toEqual(sent(world));
});
