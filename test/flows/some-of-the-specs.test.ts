import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { runCanaries } from '../../src/canary/canary.ts';
import { parseSpecs, testEnv } from '../support/env.ts';

const both = await readFile('specs/examples/shared-source.yaml', 'utf8');
const [claims = '', appeals = ''] = both.split('---\n');

test('a run that is given one of two specs that share a source takes nothing from the other', async () => {
  await using env = await testEnv(both);
  await env.reconcile();
  env.sandbox.log.reset();
  const { plan } = await env.reconcileWith(appeals);
  expect(plan.waves).toEqual([]);
  expect(plan.notes.map(({ id, message }) => `${id} ${message}`)).toEqual([
    expect.stringMatching(
      /^iam\.role-policy\S+ has statements of specs outside this run, which replikey keeps: ReplikeyDestinationKeyClaims/,
    ),
    expect.stringMatching(/^kms\.key-policy\S+ has statements of specs outside this run/),
    expect.stringMatching(
      /^s3\.replication\S+ has rules of specs outside this run, which replikey keeps: "replikey\/claims\/claims"/,
    ),
  ]);
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
});

test('what the other needs goes on working when the one is changed', async () => {
  await using env = await testEnv(both);
  await env.reconcile();
  const changed = await env.reconcileWith(appeals.replace('Appeals/', 'Objections/'));
  expect(changed.remaining?.waves).toEqual([]);
  const { pairs } = await parseSpecs(claims);
  for (const pair of pairs) {
    const results = await runCanaries(pair, { aws: env.door, pairs, timeoutMs: 5_000 });
    expect(results.map(({ result }) => result)).toEqual(['replicated', 'replicated']);
  }
});
