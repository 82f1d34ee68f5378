import { CreateRoleCommand } from '@aws-sdk/client-iam';
import { expect, test } from 'vitest';
import { createJob, describeJob, listJobs, updateJobStatus } from '../../src/aws/batch-jobs.ts';
import { createAwsClient } from '../../src/aws/client.ts';
import type { SdkClients } from '../../src/aws/sdk-clients.ts';
import { testEnv } from '../support/env.ts';

const EAST = { region: 'us-east-1' };
const MISSING_JOB = '01234567-89ab-cdef-0123-456789abcdef';

const REQUEST = {
  ConfirmationRequired: true,
  Operation: { S3ReplicateObject: {} },
  Report: { Enabled: false },
  ClientRequestToken: 'token',
  Description: 'replikey backfill tax 0123456789abcdef acme-tax',
  Priority: 10,
  RoleArn: 'arn:aws:iam::111122223333:role/batch',
  ManifestGenerator: {
    S3JobManifestGenerator: {
      SourceBucket: 'arn:aws:s3:::acme-tax',
      EnableManifestOutput: false,
      Filter: { EligibleForReplication: true, CreatedBefore: new Date('2026-12-01T00:00:00Z') },
    },
  },
};

const TRUST = {
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Principal: { Service: 'batchoperations.s3.amazonaws.com' }, Action: 'sts:AssumeRole' },
  ],
};

test('batch jobs: a job is created, listed, read and cancelled', async () => {
  await using env = await testEnv();
  await env.reconcile();
  env.sandbox.faultSettings.jobStateMs = 60_000;
  expect(await listJobs(env.client, EAST)).toEqual([]);
  await env.client.send(
    EAST,
    new CreateRoleCommand({ RoleName: 'batch', AssumeRolePolicyDocument: JSON.stringify(TRUST) }),
  );
  const id = await createJob(env.client, EAST, REQUEST);
  expect(await listJobs(env.client, EAST)).toMatchObject([
    { JobId: id, Description: REQUEST.Description, Operation: 'S3ReplicateObject', Priority: 10 },
  ]);
  expect(await describeJob(env.client, EAST, id)).toMatchObject({
    JobId: id,
    RoleArn: REQUEST.RoleArn,
    ManifestGenerator: REQUEST.ManifestGenerator,
  });
  await updateJobStatus(env.client, EAST, id, 'Cancelled', 'the spec has changed');
  expect(await describeJob(env.client, EAST, id)).toMatchObject({
    Status: expect.stringMatching(/^Cancell(ing|ed)$/),
    StatusUpdateReason: 'the spec has changed',
  });
  // API_control_UpdateJobStatus, JobStatusException: the job no longer waits for a confirmation.
  await expect(updateJobStatus(env.client, EAST, id, 'Ready', 'approved')).rejects.toMatchObject({
    name: 'JobStatusException',
  });
});

test('batch jobs: a job that AWS no longer lists is NoSuchJobException', async () => {
  await using env = await testEnv();
  // S3 User Guide, "Troubleshooting Batch Operations": the job ended more than 90 days ago, or was only just created.
  await expect(describeJob(env.client, EAST, MISSING_JOB)).rejects.toMatchObject({
    name: 'NoSuchJobException',
  });
});

/** Returns a client whose calls get these responses in order. An error is thrown. */
function clientWith(...responses: unknown[]) {
  const clients: SdkClients = {
    endpoint: async () => 'aws',
    now: Date.now,
    get: () => ({
      async send(command) {
        if (command.constructor.name.startsWith('GetCallerIdentity')) return { Account: '111122223333' };
        const response = responses.shift();
        if (response instanceof Error) throw response;
        return response;
      },
      destroy() {},
    }),
    destroy() {},
  };
  return createAwsClient({ clients, accounts: [], region: 'us-east-1' });
}

test('batch jobs: a list follows its pages', async () => {
  const aws = clientWith({ Jobs: [{ JobId: 'a' }], NextToken: 't' }, { Jobs: [{ JobId: 'b' }] });
  expect(await listJobs(aws, EAST)).toEqual([{ JobId: 'a' }, { JobId: 'b' }]);
  expect(aws.calls.byOperation.get('s3control:ListJobs')).toBe(2);
});

test('batch jobs: an empty response is an empty list, and no job', async () => {
  // AWS does not document whether an empty list has the element.
  expect(await listJobs(clientWith({}), EAST)).toEqual([]);
  await expect(describeJob(clientWith({}), EAST, MISSING_JOB)).rejects.toThrow('Job is missing');
  await expect(createJob(clientWith({}), EAST, REQUEST)).rejects.toThrow('JobId is missing');
});

// AWS does not document for how long a ClientRequestToken is remembered, so a second attempt may create a second job.
test('batch jobs: CreateJob is not sent again when its response is lost', async () => {
  const reset = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
  const aws = clientWith(reset, { JobId: 'second' });
  await expect(createJob(aws, EAST, REQUEST)).rejects.toBe(reset);
  expect(aws.calls.byOperation.get('s3control:CreateJob')).toBe(1);
});

test('batch jobs: CreateJob is sent again after a throttle, which created nothing', async () => {
  const throttle = Object.assign(new Error('slow down'), { name: 'TooManyRequestsException' });
  const aws = clientWith(throttle, { JobId: 'only' });
  expect(await createJob(aws, EAST, REQUEST)).toBe('only');
});

test('listJobs: the batches of a pass share one list for each Region, and another pass reads again', async () => {
  await using env = await testEnv();
  const pass = env.client.withBatching();
  // Each batch of specs has its own cache.
  await Promise.all([1, 2, 3].map(() => listJobs(pass.withCache(), EAST)));
  await listJobs(pass.withCache(), { region: 'us-west-2' });
  expect(env.sandbox.log.counts()).toEqual({ 's3control:ListJobs': 2, 'sts:GetCallerIdentity': 1 });
  await listJobs(env.client.withBatching().withCache(), EAST);
  await listJobs(env.client, EAST);
  expect(env.sandbox.log.counts()['s3control:ListJobs']).toBe(4);
});
