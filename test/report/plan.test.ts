import {
  CreateBucketCommand,
  PutBucketEncryptionCommand,
  PutBucketVersioningCommand,
} from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { INTERRUPTED } from '../../src/reconcile/step-result.ts';
import { outcomeJson, planJson } from '../../src/report/json.ts';
import { outcomeText } from '../../src/report/outcome-text.ts';
import { planText } from '../../src/report/plan-text.ts';
import { createPaint } from '../../src/report/style.ts';
import { type TestEnv, testEnv } from '../support/env.ts';

const plain = createPaint({}, {});

/** Creates a versioned bucket with its own default key. */
async function createBucket({ client }: TestEnv): Promise<void> {
  const location = { region: 'us-east-1' };
  const key = 'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555';
  await client.send(location, new CreateBucketCommand({ Bucket: 'acme-tax' }));
  await client.send(
    location,
    new PutBucketVersioningCommand({ Bucket: 'acme-tax', VersioningConfiguration: { Status: 'Enabled' } }),
  );
  await client.send(
    location,
    new PutBucketEncryptionCommand({
      Bucket: 'acme-tax',
      ServerSideEncryptionConfiguration: {
        Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: key } }],
      },
    }),
  );
}

test('plan text: shows for each pair the changed values, the reasons and the risks', async () => {
  await using env = await testEnv();
  await createBucket(env);
  const { plan } = await env.reconcile({ dryRun: true });
  const text = planText(plan, env.specs.pairs);
  await expect(
    text.replace(/\S*spec\.yaml/, 'spec.yaml').replace(/Checksum \w+/, 'Checksum C'),
  ).toMatchFileSnapshot('golden/plan.txt');
});

test('outcome text: a risk that is not allowed is refused with its option, and nothing is written', async () => {
  await using env = await testEnv();
  await createBucket(env);
  env.sandbox.log.reset();
  const outcome = await env.reconcile();
  expect(outcomeText(outcome, plain)).toMatch(
    /^Refused: nothing was changed\.\n {2}! s3\.encryption\/acme-tax: .+\n {6}allow it with --allow change-default-key$/,
  );
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  const allowed = await env.reconcile({ allowedRisks: ['change-default-key'] });
  expect(outcomeText(allowed, plain)).toMatch(/^Converged: 11 applied/);
});

test('outcome text: an unreadable resource after apply is reported as newly blocked', async () => {
  await using env = await testEnv();
  env.sandbox.faultSettings.faults = [
    // The third read of the configuration: the plan reads it first, then the write, then the final check.
    { match: 'GetBucketReplication', nth: 3, what: { status: 403, code: 'AccessDenied' } },
  ];
  const text = outcomeText(await env.reconcile(), plain);
  expect(text).toMatch(/^Not converged: 13 applied, 0 failed, 0 skipped, 0 blocked\.$/m);
  expect(text).toMatch(
    /newly blocked s3\.replication\/acme-tax: cannot be read: s3:GetBucketReplication in us-east-1: AccessDenied/,
  );
  expect(text).toMatch(/^Fix the cause, then run it again/m);
});

test('outcome text: shows the cause of a failure, the skipped steps and the required action', async () => {
  await using env = await testEnv();
  env.sandbox.faultSettings.faults = [
    {
      match: 'PutBucketEncryption',
      nth: 1,
      times: 1_000,
      what: { status: 403, code: 'AccessDenied', message: 'Access Denied' },
    },
  ];
  const text = outcomeText(await env.reconcile(), plain);
  expect(text).toMatch(/^Not converged: 10 applied, 2 failed, 1 skipped, 0 blocked\.$/m);
  expect(text).toMatch(
    /failed s3\.encryption\/acme-tax: s3:PutBucketEncryption in us-east-1: AccessDenied \(HTTP 403\): Access Denied, request [\w-]+; these credentials lack the permission/,
  );
  expect(text).toMatch(
    /skipped s3\.replication\/acme-tax: s3\.encryption\/acme-tax(-replica)? was not applied/,
  );
  expect(text).toMatch(/then run it again/);
});

test('outcome text: an interruption counts what was not started, and names only what failed or was in flight', async () => {
  await using env = await testEnv();
  env.sandbox.faultSettings.faults = [
    { match: 'PutBucketEncryption', nth: 1, what: { status: 403, code: 'AccessDenied' } },
  ];
  const { plan, results } = await env.reconcile();
  const interrupted = results.map((result) => {
    if (result.id.startsWith('iam.role-policy/'))
      return { ...result, result: 'failed' as const, why: INTERRUPTED.inFlight };
    return result.id.startsWith('kms.key-policy/')
      ? { ...result, result: 'skipped' as const, why: INTERRUPTED.notStarted }
      : result;
  });
  const text = outcomeText({ plan, results: interrupted, refusals: [], proof: [] }, plain);
  expect(text).toMatch(/^Interrupted: 8 applied, 1 in flight, 2 not started, 1 failed, 1 skipped\.$/m);
  expect(text).toMatch(
    /^ {2}in flight iam\.role-policy\/replikey-acme-tax: interrupted: the call in flight/m,
  );
  expect(text).not.toContain('kms.key-policy');
  expect(text).toMatch(/^Fix the cause, then run it again/m);
});

test('JSON: the plan of a pass is equal to the plan of a dry run', async () => {
  await using env = await testEnv();
  const { plan, proof } = await env.reconcile({ dryRun: true });
  const planValue = JSON.parse(JSON.stringify(planJson(plan, proof)));
  expect(planValue.proof).toMatchObject([
    { spec: 'tax', verdict: 'proven', findings: [], requests: expect.any(Number) },
  ]);
  expect(planValue.summary).toEqual({ create: 13, update: 0, delete: 0, blocked: 0, unchanged: 0 });
  const pass = JSON.parse(JSON.stringify(outcomeJson(await env.reconcile(), env.client.calls)));
  expect(pass.plan).toEqual(planValue);
  expect(pass.results).toHaveLength(13);
  expect(pass.left.summary).toEqual({ create: 0, update: 0, delete: 0, blocked: 0, unchanged: 13 });
  expect(pass.calls.writes).toBe(env.sandbox.log.entries.filter(({ write }) => write).length);
});
