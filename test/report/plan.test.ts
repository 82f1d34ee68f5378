import {
  CreateBucketCommand,
  PutBucketEncryptionCommand,
  PutBucketVersioningCommand,
} from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { outcomeJson, planJson } from '../../src/report/json.ts';
import { outcomeText } from '../../src/report/outcome-text.ts';
import { planText } from '../../src/report/plan-text.ts';
import { createPaint } from '../../src/report/style.ts';
import { type TestEnv, testEnv } from '../support/env.ts';

const plain = createPaint({}, {});

/** A bucket that somebody made before, versioned, with a default key of its own. */
async function foundBucket({ door }: TestEnv): Promise<void> {
  const at = { region: 'us-east-1' };
  const key = 'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555';
  await door.send(at, new CreateBucketCommand({ Bucket: 'acme-tax' }));
  await door.send(
    at,
    new PutBucketVersioningCommand({ Bucket: 'acme-tax', VersioningConfiguration: { Status: 'Enabled' } }),
  );
  await door.send(
    at,
    new PutBucketEncryptionCommand({
      Bucket: 'acme-tax',
      ServerSideEncryptionConfiguration: {
        Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: key } }],
      },
    }),
  );
}

test('a plan says per pair what changes, from what to what, why, and at what risk', async () => {
  await using env = await testEnv();
  await foundBucket(env);
  const { plan } = await env.reconcile({ dryRun: true });
  const text = planText(plan, env.specs.pairs);
  await expect(
    text.replace(/\S*spec\.yaml/, 'spec.yaml').replace(/Checksum \w+/, 'Checksum C'),
  ).toMatchFileSnapshot('golden/plan.txt');
});

test('a risk that nobody allowed is refused with the words that allow it, and nothing is changed', async () => {
  await using env = await testEnv();
  await foundBucket(env);
  env.sandbox.log.reset();
  const outcome = await env.reconcile();
  expect(outcomeText(outcome, plain)).toMatch(
    /^Refused: nothing was changed\.\n {2}! s3\.encryption\/acme-tax: .+\n {6}allow it with --allow change-default-key$/,
  );
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  const allowed = await env.reconcile({ allowedRisks: ['change-default-key'] });
  expect(outcomeText(allowed, plain)).toMatch(/^Converged: 11 applied/);
});

test('what cannot be read again after it was applied is told with the reason, and is no success', async () => {
  await using env = await testEnv();
  env.sandbox.faultSettings.faults = [
    // The third reading of the configuration: one for the plan, one after the write, one at the end.
    { match: 'GetBucketReplication', nth: 3, what: { status: 403, code: 'AccessDenied' } },
  ];
  const text = outcomeText(await env.reconcile(), plain);
  expect(text).toMatch(/^Not converged: 13 applied, 0 failed, 0 skipped, 0 blocked\.$/m);
  expect(text).toMatch(
    /not seen again s3\.replication\/acme-tax: cannot be read: s3:GetBucketReplication in us-east-1: AccessDenied/,
  );
  expect(text).toMatch(/^Run it again once the cause is mended/m);
});

test('a failure is told with its cause, what was skipped for it, and what to do', async () => {
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
  expect(text).toMatch(/Run it again/);
});

test('the JSON of a plan and of a pass are the same values, and JSON', async () => {
  await using env = await testEnv();
  const { plan, proof } = await env.reconcile({ dryRun: true });
  const planned = JSON.parse(JSON.stringify(planJson(plan, proof)));
  expect(planned.proof).toMatchObject([
    { spec: 'tax', verdict: 'proven', findings: [], requests: expect.any(Number) },
  ]);
  expect(planned.summary).toEqual({ create: 13, update: 0, delete: 0, blocked: 0, unchanged: 0 });
  const done = JSON.parse(JSON.stringify(outcomeJson(await env.reconcile(), env.door.calls)));
  expect(done.plan).toEqual(planned);
  expect(done.results).toHaveLength(13);
  expect(done.left.summary).toEqual({ create: 0, update: 0, delete: 0, blocked: 0, unchanged: 13 });
  expect(done.calls.writes).toBe(env.sandbox.log.entries.filter(({ write }) => write).length);
});
