import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { runCanaries } from '../../src/canary/canary.ts';
import { parseSpecs, testEnv } from '../support/env.ts';

const sharedSource = await readFile('specs/examples/shared-source.yaml', 'utf8');
const [claims = '', appeals = ''] = sharedSource.split('---\n');

test('subset of specs: a run keeps the entries of another spec with the same source', async () => {
  await using env = await testEnv(sharedSource);
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

test('subset of specs: the other spec still replicates after a change', async () => {
  await using env = await testEnv(sharedSource);
  await env.reconcile();
  const changed = await env.reconcileWith(appeals.replace('Appeals/', 'Objections/'));
  expect(changed.remaining?.waves).toEqual([]);
  const specs = await parseSpecs(claims);
  for (const pair of specs.pairs) {
    const results = await runCanaries(pair, {
      aws: env.client,
      specs,
      allowedRisks: [],
      timeoutMs: 5_000,
    });
    expect(results.map(({ result }) => result)).toEqual(['replicated', 'replicated']);
  }
});
