import { expect, test } from 'vitest';
import type { Plan } from '../../src/core/resource.ts';
import { AFTER_ALL_OBJECTS, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

const specWith = (fields = '') =>
  TAX_SPEC.replace('  rules:', `  backfill: { before: "${AFTER_ALL_OBJECTS}"${fields} }\n  rules:`);

const EXPIRE_VERSIONS =
  '<LifecycleConfiguration><Rule><ID>old</ID><Filter/><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>30</NoncurrentDays></NoncurrentVersionExpiration></Rule></LifecycleConfiguration>';

const putObject = ({ sandbox }: TestEnv, path: string, body = 'old') =>
  callS3(sandbox.endpoint, 'PUT', path, { body });
const notesOf = ({ notes }: Plan) => notes.map(({ message }) => message);
const factCalls = ({ client }: TestEnv) =>
  ['cloudwatch:GetMetricData', 's3:GetBucketLifecycleConfiguration'].map(
    (name) => client.calls.byOperation.get(name) ?? 0,
  );

test('backfill: the plan shows the size of the bucket and lifecycle rules, and reads both only for a job to start', async () => {
  await using env = await testEnv(specWith());
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  await putObject(env, '/acme-tax/Tax/1.txt', 'x'.repeat(1_500));
  await callS3(env.sandbox.endpoint, 'PUT', '/acme-tax-replica?lifecycle', {
    body: EXPIRE_VERSIONS,
    account: { accessKeyId: '111122223333', region: 'us-west-2' },
  });
  const lifecycle = expect.stringMatching(
    /^the lifecycle rule "old" of acme-tax-replica may delete .*; disable it/,
  );

  const first = await env.reconcile();
  expect(notesOf(first.plan)).toContainEqual(lifecycle);
  expect(factCalls(env)).toEqual([0, 2]);
  await env.sandbox.waitForJobs();

  const waiting = await env.reconcile();
  const day = new Date().toISOString().slice(0, 10);
  expect(notesOf(waiting.plan)).toEqual([
    lifecycle,
    expect.stringMatching(
      new RegExp(
        `, for about 0.25 USD, at most 1.5 KB, the size of acme-tax on ${day}; approve with --allow start-backfill=`,
      ),
    ),
  ]);
  expect(factCalls(env)).toEqual([1, 4]);
  const approved = await env.reconcile({ allowedRisks: ['start-backfill'] });
  expect(notesOf(approved.plan)).toContainEqual(
    expect.stringMatching(/^the job replicates at most 1.5 KB, /),
  );
  await env.sandbox.waitForJobs();
  const calls = factCalls(env);
  await env.reconcile();
  await env.reconcile();
  expect(factCalls(env)).toEqual(calls);
});

test('backfill: without a datapoint the plan shows no bound, and never 0', async () => {
  await using env = await testEnv(specWith());
  await env.reconcile();
  await env.sandbox.waitForJobs();
  const { plan } = await env.reconcile();
  expect(notesOf(plan).filter((note) => note.includes('at most'))).toEqual([]);
});

test('backfill: no job is created while S3 could not write its report, and the plan says what to do', async () => {
  await using env = await testEnv(specWith(', report: { bucket: acme-reports }'));
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  await putObject(env, '/acme-tax/Tax/1.txt');
  const whyBlocked = async () => {
    const { plan } = await env.reconcile();
    return plan.blocked.map(({ id, why }) => [id, why]);
  };
  const blockedBecause = (reason: RegExp) => [['s3.backfill/acme-tax/tax', expect.stringMatching(reason)]];
  expect(await whyBlocked()).toEqual(
    blockedBecause(/acme-reports: the bucket does not exist; create it in us-east-1/),
  );

  await callS3(env.sandbox.endpoint, 'PUT', '/acme-reports');
  const statement = {
    Effect: 'Deny',
    Principal: '*',
    Action: 's3:PutObject',
    Resource: 'arn:aws:s3:::acme-reports/*',
    Condition: { StringNotEquals: { 's3:x-amz-server-side-encryption': 'aws:kms' } },
  };
  const policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await putObject(env, '/acme-reports?policy', policy);
  expect(await whyBlocked()).toEqual(blockedBecause(/bucket policy of acme-reports denies s3:PutObject/i));

  await callS3(env.sandbox.endpoint, 'DELETE', '/acme-reports?policy');
  expect(await whyBlocked()).toEqual([]);
  expect(await env.sandbox.waitForJobs()).toBe(undefined);
});
