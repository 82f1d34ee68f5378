import { expect, test } from 'vitest';
import { listJobs } from '../../src/aws/batch-jobs.ts';
import { createAwsClient } from '../../src/aws/client.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

const EAST = { region: 'us-east-1' };
const START = { allowedRisks: ['start-reencryption'] };
const SPEC = TAX_SPEC.replace(
  'alias/acme-tax }',
  '{ alias: alias/acme-tax-2026, replaces: [alias/acme-tax] } }',
).replace('  rules:', '  reencrypt: {}\n  rules:');

/** The write of a pass: it creates, approves or records a job. */
const WRITES = ['CreateJob', 'UpdateJobStatus', 'CreateJob', 'CreateJob', 'TagRole'];

/** Makes the passes of a replacement, of which one dies at its write, and then passes until nothing changes. */
async function runWithDeath(deadPass: number, phase: 'before' | 'after') {
  let offset = 0;
  let current = -1;
  let controller = new AbortController();
  await using env = await testEnv(TAX_SPEC, {
    clock: () => Date.now() + offset,
    onCall({ operation }, currentPhase) {
      // A program that is dead sends no call.
      if (controller.signal.aborted) throw new Error('the program has died');
      if (current !== deadPass || operation !== WRITES[current] || currentPhase !== phase) return;
      controller.abort(new Error('the program dies'));
      throw new Error('the call or its response is lost');
    },
  });
  await env.reconcile();
  await callS3(env.sandbox.endpoint, 'PUT', '/acme-tax/Tax/old.pdf', { body: 'old' });
  await env.reconcileWith(SPEC);
  for (current = 0; current < WRITES.length; current += 1) {
    const { signal } = controller;
    const aws = createAwsClient({ clients: env.clients, accounts: [], region: EAST.region, signal });
    await env.reconcileWith(SPEC, { ...START, aws, signal }).catch(() => {});
    controller = new AbortController();
    await env.sandbox.waitForJobs();
    if (current === 1) offset += 16 * 60_000;
  }
  for (let passes = 0; passes < 5; passes += 1) {
    if ((await env.reconcileWith(SPEC, START)).plan.waves.length === 0) break;
    await env.sandbox.waitForJobs();
    offset += 16 * 60_000;
  }
  const { plan } = await env.reconcileWith(SPEC);
  return {
    statuses: (await listJobs(env.client, EAST)).map(({ Status }) => Status).sort(),
    tasks: (await listJobs(env.client, EAST)).reduce(
      (sum, { ProgressSummary }) => sum + (ProgressSummary?.NumberOfTasksSucceeded ?? 0),
      0,
    ),
    notes: plan.notes.flatMap(({ id, message }) =>
      id.startsWith('s3.reencryption') ? message.slice(0, 38) : [],
    ),
  };
}

test('key replacement: the same jobs exist after a death at each kind of write', {
  timeout: 60_000,
}, async () => {
  const reference = await runWithDeath(-1, 'before');
  expect(reference).toEqual({
    statuses: ['Complete', 'Failed', 'Failed'],
    tasks: 1,
    notes: ['no object of acme-tax was encrypted un'],
  });
  for (const pass of [0, 1, 4]) expect(await runWithDeath(pass, 'after'), `pass ${pass}`).toEqual(reference);
});
