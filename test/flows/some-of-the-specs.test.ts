import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { canaries } from '../../src/steps/canary.ts';
import { aWorld, specsOf } from '../support/world.ts';

const both = await readFile('specs/examples/shared-source.yaml', 'utf8');
const [claims = '', appeals = ''] = both.split('---\n');

test('a run that is given one of two specs that share a source takes nothing from the other', async () => {
  await using world = await aWorld(both);
  await world.reconcile();
  world.sandbox.log.reset();
  const { plan } = await world.with(appeals);
  expect(plan.waves).toEqual([]);
  expect(plan.notes.map(({ id, message }) => `${id} ${message}`)).toEqual([
    expect.stringMatching(
      /^iam\.role-policy\S+ has statements of specs that are not given here, left as they are: ReplikeyDestinationKeyClaims/,
    ),
    expect.stringMatching(/^kms\.key-policy\S+ has statements of specs that are not given here/),
    expect.stringMatching(
      /^s3\.replication\S+ has rules of ours that no spec declares here, left as they are: "replikey\/claims\/claims"/,
    ),
  ]);
  expect(world.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
});

test('what the other needs goes on working when the one is changed', async () => {
  await using world = await aWorld(both);
  await world.reconcile();
  const changed = await world.with(appeals.replace('Appeals/', 'Objections/'));
  expect(changed.left?.waves).toEqual([]);
  const { pairs } = await specsOf(claims);
  for (const pair of pairs) {
    const results = await canaries(pair, { door: world.door, pairs, timeoutMs: 5_000 });
    expect(results.map(({ result }) => result)).toEqual(['replicated', 'replicated']);
  }
});
