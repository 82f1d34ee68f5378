import { GetRoleCommand, GetRolePolicyCommand } from '@aws-sdk/client-iam';
import { expect, test } from 'vitest';
import { createJob, describeJob } from '../../src/aws/batch-jobs.ts';
import { ROLE_POLICY_NAME } from '../../src/core/ids.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

const EAST = { region: 'us-east-1' };
const RoleName = 'replikey-batch-acme-tax';
const BACKFILL_SPEC = TAX_SPEC.replace(
  '  rules:',
  '  backfill: { before: "2026-01-01T00:00:00Z", report: { bucket: acme-reports } }\n  rules:',
);

test('backfill: the role of batch jobs has the trust and the permissions of the User Guide, and no more', async () => {
  await using env = await testEnv(BACKFILL_SPEC);
  await env.reconcile();
  const { Role } = await env.client.send(EAST, new GetRoleCommand({ RoleName }));
  // S3 User Guide, "Configuring an IAM role for S3 Batch Replication".
  expect(JSON.parse(decodeURIComponent(Role?.AssumeRolePolicyDocument ?? '')).Statement).toMatchObject([
    {
      Effect: 'Allow',
      Principal: { Service: ['batchoperations.s3.amazonaws.com'] },
      Action: ['sts:AssumeRole'],
    },
  ]);
  const { PolicyDocument = '' } = await env.client.send(
    EAST,
    new GetRolePolicyCommand({ RoleName, PolicyName: ROLE_POLICY_NAME }),
  );
  const statements = JSON.parse(decodeURIComponent(PolicyDocument)).Statement as Record<string, unknown>[];
  expect(statements.map(({ Sid: _, ...statement }) => statement)).toEqual([
    {
      Effect: 'Allow',
      Action: ['s3:GetReplicationConfiguration', 's3:PutInventoryConfiguration'],
      Resource: ['arn:aws:s3:::acme-tax'],
    },
    { Effect: 'Allow', Action: ['s3:InitiateReplication'], Resource: ['arn:aws:s3:::acme-tax/Tax/*'] },
    { Effect: 'Allow', Action: ['s3:PutObject'], Resource: ['arn:aws:s3:::acme-reports/replikey/*'] },
  ]);
});

test('backfill: a batch job that uses the role finds and replicates existing objects', async () => {
  await using env = await testEnv(BACKFILL_SPEC);
  const { endpoint } = env.sandbox;
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  await callS3(endpoint, 'PUT', '/acme-tax/Tax/old.txt', { body: 'old' });
  await env.reconcile();
  const id = await createJob(env.client, EAST, {
    ConfirmationRequired: false,
    Operation: { S3ReplicateObject: {} },
    Report: { Enabled: false },
    ClientRequestToken: 'token',
    Priority: 10,
    RoleArn: `arn:aws:iam::111122223333:role/${RoleName}`,
    ManifestGenerator: {
      S3JobManifestGenerator: {
        SourceBucket: 'arn:aws:s3:::acme-tax',
        EnableManifestOutput: false,
        Filter: {
          EligibleForReplication: true,
          ObjectReplicationStatuses: ['NONE'],
          KeyNameConstraint: { MatchAnyPrefix: ['Tax/'] },
        },
      },
    },
  });
  await expect.poll(async () => (await describeJob(env.client, EAST, id)).Status).toBe('Complete');
  const job = await describeJob(env.client, EAST, id);
  expect(job.ProgressSummary).toMatchObject({ TotalNumberOfTasks: 1, NumberOfTasksSucceeded: 1 });
});
