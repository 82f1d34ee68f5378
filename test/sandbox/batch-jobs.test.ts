import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { CloudTrailClient, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import { CreateRoleCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Sandbox, SandboxOptions } from '../../src/sandbox/server.ts';
import type { VersionState } from '../../src/sandbox/state.ts';
import { type TestEnv, testEnv } from '../support/env.ts';
import { pythonEnvironment } from '../support/python.ts';
import { callCloudWatch, callS3, type RawResponse } from '../support/raw-aws.ts';
import { createFullDisk } from './full-disk.ts';
import { createRawClient, elementsOf } from './raw-request.ts';
import { changeRolePolicy, changeRules, EAST, put, REPLICA, SOURCE, versionOf } from './support.ts';

/**
 * S3 Batch Operations over raw HTTP. The expected values are those of the S3 User Guide: "Configuring an IAM role for S3 Batch
 * Replication", "Job statuses", "Tracking job failure", "Examples: S3 Batch Operations completion reports", "Troubleshooting
 * S3 Batch Operations", "Amazon S3 replication failure reasons", and of the model of S3 Control (2018-08-20).
 */

const ACCOUNT = '111122223333';
const NAMESPACE = 'http://awss3control.amazonaws.com/doc/2018-08-20/';
const BATCH_ROLE = `arn:aws:iam::${ACCOUNT}:role/batch`;
const REPORTS = 'acme-reports';
const MINUTE = 60_000;
const NOON = Date.parse('2026-11-30T12:00:00Z');

/** The policy of the page on Batch Replication, for a generated manifest without output and a report. */
const BATCH_POLICY = [
  { Action: 's3:InitiateReplication', Resource: `arn:aws:s3:::${SOURCE}/*` },
  {
    Action: ['s3:GetReplicationConfiguration', 's3:PutInventoryConfiguration'],
    Resource: `arn:aws:s3:::${SOURCE}`,
  },
  { Action: 's3:PutObject', Resource: `arn:aws:s3:::${REPORTS}/*` },
];

let env: TestEnv;
let now = NOON;

/** Starts the sandbox with an applied pair, a role for batch jobs and a bucket for their reports. */
async function start(options: SandboxOptions = {}): Promise<void> {
  now = NOON;
  env = await testEnv(undefined, { clock: () => now, ...options });
  await env.reconcile();
  await callS3(env.sandbox.endpoint, 'PUT', `/${REPORTS}`);
  await env.client.send(
    EAST,
    new CreateRoleCommand({ RoleName: 'batch', AssumeRolePolicyDocument: trustOf('batchoperations') }),
  );
  await setBatchPolicy(BATCH_POLICY);
}

const trustOf = (service: string) =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: {
      Effect: 'Allow',
      Principal: { Service: `${service}.s3.amazonaws.com` },
      Action: 'sts:AssumeRole',
    },
  });

const setBatchPolicy = (statements: object[], RoleName = 'batch') =>
  env.client.send(
    EAST,
    new PutRolePolicyCommand({
      RoleName,
      PolicyName: 'policy',
      PolicyDocument: JSON.stringify({
        Version: '2012-10-17',
        Statement: statements.map((statement) => ({ Effect: 'Allow', ...statement })),
      }),
    }),
  );

const control = (method: string, target: string, body?: string, headers: Record<string, string> = {}) =>
  callS3(env.sandbox.endpoint, method, `/v20180820${target}`, {
    headers: { 'x-amz-account-id': ACCOUNT, ...headers },
    ...(body === undefined ? {} : { body }),
  });

const REPORT = `<Enabled>true</Enabled><Bucket>arn:aws:s3:::${REPORTS}</Bucket><Format>Report_CSV_20180820</Format><Prefix>replikey</Prefix><ReportScope>AllTasks</ReportScope>`;

interface JobParts {
  token?: string;
  filter?: string;
  report?: string;
  operation?: string;
  role?: string;
  extra?: string;
}

const jobOf = ({
  token = 'token-1',
  filter = '<EligibleForReplication>true</EligibleForReplication>',
  report = REPORT,
  operation = '<S3ReplicateObject/>',
  role = BATCH_ROLE,
  extra = '<ConfirmationRequired>false</ConfirmationRequired>',
}: JobParts = {}) =>
  `<CreateJobRequest xmlns="${NAMESPACE}">${extra}<Operation>${operation}</Operation><Report>${report}</Report><ClientRequestToken>${token}</ClientRequestToken><Priority>10</Priority><RoleArn>${role}</RoleArn><ManifestGenerator><S3JobManifestGenerator><ExpectedBucketOwner>${ACCOUNT}</ExpectedBucketOwner><SourceBucket>arn:aws:s3:::${SOURCE}</SourceBucket><Filter>${filter}</Filter><EnableManifestOutput>false</EnableManifestOutput></S3JobManifestGenerator></ManifestGenerator></CreateJobRequest>`;

const create = (parts?: JobParts) => control('POST', '/jobs', jobOf(parts));

const textOf = ({ body }: RawResponse, name: string) => elementsOf(body, name)[0];

/** Creates a job, waits until it rests, and returns its id. */
async function runJob(parts?: JobParts): Promise<string> {
  const response = await create(parts);
  expect(response, response.body).toMatchObject({ status: 200 });
  await env.sandbox.waitForJobs();
  return textOf(response, 'JobId') ?? '';
}

async function describeJob(id: string) {
  const response = await control('GET', `/jobs/${id}`);
  const count = (name: string) => Number(textOf(response, name));
  return {
    status: textOf(response, 'Status'),
    reason: textOf(response, 'FailureReason'),
    tasks: [count('TotalNumberOfTasks'), count('NumberOfTasksSucceeded'), count('NumberOfTasksFailed')],
  };
}

const setStatus = (id: string, status: string) =>
  control('POST', `/jobs/${id}/status?requestedJobStatus=${status}`);

/** Puts objects while the rule is disabled, so that S3 has never replicated them. */
async function putExisting(...keys: string[]): Promise<void> {
  await setRule('Disabled');
  for (const Key of keys)
    await env.client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key, Body: 'numbers' }));
  await setRule('Enabled');
}

const setRule = (Status: 'Enabled' | 'Disabled') =>
  changeRules(env.client, (rules) => rules.map((rule) => ({ ...rule, Status })));

const statusOf = (key: string) => versionOf(env.sandbox, SOURCE, key)?.replication?.status;

/** Returns the files of a report by their path in the folder of the job. */
async function readReport(id: string, sandbox: Sandbox = env.sandbox): Promise<Map<string, string>> {
  const folder = `replikey/job-${id}/`;
  const keys = [...(sandbox.store.bucket(REPORTS)?.objects.keys() ?? [])].filter((key) =>
    key.startsWith(folder),
  );
  const files = new Map<string, string>();
  for (const key of keys)
    files.set(key.slice(folder.length), (await callS3(sandbox.endpoint, 'GET', `/${REPORTS}/${key}`)).body);
  return files;
}

/** Adds copies of an existing object under other keys, as if they had never been replicated. */
async function addCopies(key: string, count: number): Promise<void> {
  const { store } = env.sandbox;
  const bucket = store.bucket(SOURCE);
  if (!bucket) return;
  const { replication: _, ...version } = versionOf(env.sandbox, SOURCE, key) as VersionState;
  for (let index = 0; index < count; index += 1) {
    const copy = { ...version, key: `Tax/copies/${index}` };
    bucket.objects.set(copy.key, [copy]);
    store.markObjectChanged(bucket, copy.key);
  }
  await store.flush();
}

describe('S3 Batch Replication', () => {
  afterEach(() => env[Symbol.asyncDispose]());

  test('existing and failed objects: replicates all versions in their order, as the replication role', async () => {
    await start();
    await putExisting('Tax/a.pdf', 'Tax/a.pdf', 'Tax/b c.pdf', 'Other/x.pdf');
    await changeRolePolicy(env.client, (statements) => {
      for (const statement of Object.values(statements)) statement.Effect = 'Deny';
    });
    await put(env, { Key: 'Tax/failed.pdf' });
    expect(statusOf('Tax/failed.pdf')).toBe('FAILED');
    await changeRolePolicy(env.client, (statements) => {
      for (const statement of Object.values(statements)) statement.Effect = 'Allow';
    });
    await put(env, { Key: 'Tax/replicated.pdf' });
    const filter =
      '<EligibleForReplication>true</EligibleForReplication><ObjectReplicationStatuses><member>NONE</member><member>FAILED</member></ObjectReplicationStatuses>';
    const id = await runJob({ filter });
    expect(await describeJob(id)).toEqual({ status: 'Complete', reason: undefined, tasks: [4, 4, 0] });
    expect(['Tax/a.pdf', 'Tax/b c.pdf', 'Tax/failed.pdf', 'Other/x.pdf'].map(statusOf)).toEqual([
      'COMPLETED',
      'COMPLETED',
      'COMPLETED',
      undefined,
    ]);
    // A replica has the version id of its source; older versions stay older.
    const idsOf = (bucket: string) =>
      env.sandbox.store
        .bucket(bucket)
        ?.objects.get('Tax/a.pdf')
        ?.map(({ versionId }) => versionId);
    expect(idsOf(REPLICA)).toEqual(idsOf(SOURCE));
    expect(versionOf(env.sandbox, REPLICA, 'Tax/a.pdf')?.encryption.keyArn).toContain(':us-west-2:');
  });

  test('report: has manifest.json and one CSV file for each result, in the form of AWS', async () => {
    await start();
    await putExisting('Tax/a, b.pdf', 'Tax/c.pdf');
    await env.client.send(
      EAST,
      new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/secret.pdf', Body: 'x', Tagging: 'batch=no' }),
    );
    await env.sandbox.waitForReplication();
    // The tag of the object decides whether the job's role may replicate it.
    await setBatchPolicy([
      ...BATCH_POLICY,
      {
        Effect: 'Deny',
        Action: 's3:InitiateReplication',
        Resource: `arn:aws:s3:::${SOURCE}/Tax/secret.pdf`,
      },
    ]);
    const id = await runJob();
    expect(await describeJob(id)).toMatchObject({ status: 'Complete', tasks: [3, 2, 1] });
    const files = await readReport(id);
    const manifest = JSON.parse(files.get('manifest.json') ?? '') as Record<string, unknown>;
    const [succeeded, failed] = [...files.keys()].filter((name) => name.endsWith('.csv'));
    expect(manifest).toEqual({
      Format: 'Report_CSV_20180820',
      ReportCreationDate: new Date(now).toISOString(),
      Results: [succeeded, failed].map((name, index) => ({
        TaskExecutionStatus: index === 0 ? 'succeeded' : 'failed',
        Bucket: REPORTS,
        MD5Checksum: expect.stringMatching(/^[0-9a-f]{32}$/),
        Key: `replikey/job-${id}/${name}`,
      })),
      ReportSchema: 'Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage',
    });
    expect(succeeded).toMatch(/^results\/[0-9a-f]{40}\.csv$/);
    const versionId = versionOf(env.sandbox, SOURCE, 'Tax/a, b.pdf')?.versionId;
    expect(files.get(succeeded ?? '')?.split('\n')[0]).toBe(
      `${SOURCE},Tax/a%2C%20b.pdf,${versionId},succeeded,200,,Successful`,
    );
    // The examples of AWS have the HTTP status before the error code.
    expect(files.get(failed ?? '')).toMatch(
      /^acme-tax,Tax\/secret\.pdf,[\w-]{32},failed,500,InitiateReplicationNotPermitted,".+"\n$/,
    );
    // "Completion reports are always encrypted with Amazon S3 managed keys (SSE-S3)."
    const report = versionOf(env.sandbox, REPORTS, `replikey/job-${id}/manifest.json`);
    expect(report?.encryption.algorithm).toBe('AES256');
  });

  test('a version that the destination deleted by its id: fails with DstObjectHardDeleted', async () => {
    await start();
    await put(env, { Key: 'Tax/deleted.pdf' });
    const { versionId: VersionId } = versionOf(env.sandbox, REPLICA, 'Tax/deleted.pdf') ?? {};
    await env.client.send(
      { region: 'us-west-2' },
      new DeleteObjectCommand({ Bucket: REPLICA, Key: 'Tax/deleted.pdf', VersionId }),
    );
    const id = await runJob();
    expect(await describeJob(id)).toMatchObject({ status: 'Complete', tasks: [1, 0, 1] });
    const rows = [...(await readReport(id)).values()].join('\n');
    expect(rows).toContain(`,${VersionId},failed,500,DstObjectHardDeleted,`);
  });

  test('COMPLETED objects and a new destination: copies them there', async () => {
    await start();
    await put(env, { Key: 'Tax/a.pdf' });
    const at = { accessKeyId: ACCOUNT, region: 'us-west-2' };
    const body = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>';
    await callS3(env.sandbox.endpoint, 'PUT', '/acme-archive', {
      account: at,
      body: '<CreateBucketConfiguration><LocationConstraint>us-west-2</LocationConstraint></CreateBucketConfiguration>',
    });
    await callS3(env.sandbox.endpoint, 'PUT', '/acme-archive?versioning', { account: at, body });
    await changeRules(env.client, (rules) => [
      ...rules,
      ...rules.map((rule) => ({
        ...rule,
        ID: 'archive',
        Priority: 99,
        Destination: { ...rule.Destination, Bucket: 'arn:aws:s3:::acme-archive' },
      })),
    ]);
    await changeRolePolicy(env.client, (statements) => {
      const Action = ['s3:ReplicateObject', 's3:ReplicateTags'];
      statements.Archive = { Effect: 'Allow', Action, Resource: 'arn:aws:s3:::acme-archive/*' };
      statements.ArchiveKey = { Effect: 'Allow', Action: 'kms:*', Resource: '*' };
    });
    const filter =
      '<EligibleForReplication>true</EligibleForReplication><ObjectReplicationStatuses><member>COMPLETED</member></ObjectReplicationStatuses>';
    const id = await runJob({ filter });
    expect(await describeJob(id)).toMatchObject({ status: 'Complete', tasks: [1, 1, 0] });
    expect(versionOf(env.sandbox, 'acme-archive', 'Tax/a.pdf')).toBeDefined();
  });

  test('CloudWatch: counts failures in OperationsFailedReplication, and has no latency', async () => {
    await start();
    await putExisting('Tax/a.pdf');
    await changeRolePolicy(env.client, (statements) => {
      for (const statement of Object.values(statements)) statement.Effect = 'Deny';
    });
    await runJob();
    const metric = async (MetricName: string, region: string) => {
      const Dimensions = Object.entries({
        SourceBucket: SOURCE,
        DestinationBucket: REPLICA,
        RuleId: 'replikey/tax/tax',
      }).map(([Name, Value]) => ({ Name, Value }));
      const MetricStat = { Metric: { Namespace: 'AWS/S3', MetricName, Dimensions }, Period: 60, Stat: 'Sum' };
      const { json } = await callCloudWatch(
        env.sandbox.endpoint,
        'GetMetricData',
        {
          MetricDataQueries: [{ Id: 'm', MetricStat }],
          StartTime: (now - MINUTE) / 1000,
          EndTime: (now + MINUTE) / 1000,
        },
        { accessKeyId: ACCOUNT, region },
      );
      return (json.MetricDataResults as { Values: number[] }[])[0]?.Values;
    };
    expect(await metric('OperationsFailedReplication', 'us-east-1')).toEqual([1]);
    expect(await metric('ReplicationLatency', 'us-west-2')).toEqual([]);
    expect(await metric('OperationsPendingReplication', 'us-west-2')).toEqual([]);
  });

  test.each([
    [
      'no object',
      '<EligibleForReplication>true</EligibleForReplication><KeyNameConstraint><MatchAnyPrefix><member>None/</member></MatchAnyPrefix></KeyNameConstraint>',
      'Manifest generation found no keys matching the filter criteria.',
    ],
    [
      'an archived object only',
      '<EligibleForReplication>true</EligibleForReplication><KeyNameConstraint><MatchAnySuffix><member>.cold</member></MatchAnySuffix></KeyNameConstraint>',
      'Manifest generation found no keys matching the filter criteria.',
    ],
  ])('a filter that selects %s: the job fails, without a report', async (_, filter, reason) => {
    await start();
    await putExisting('Tax/a.pdf');
    await put(env, { Key: 'Tax/b.cold', StorageClass: 'GLACIER' });
    const id = await runJob({ filter });
    expect(await describeJob(id)).toEqual({ status: 'Failed', reason, tasks: [0, 0, 0] });
    // "written only if at least one task ran" (User Guide, completion reports).
    expect(await readReport(id)).toEqual(new Map());
  });

  test.each([
    ['s3:PutInventoryConfiguration', 'PutInventoryConfiguration'],
    ['s3:GetReplicationConfiguration', 'GetReplicationConfiguration'],
  ])('a job role without %s: the job fails', async (action, text) => {
    await start();
    await putExisting('Tax/a.pdf');
    await setBatchPolicy([...BATCH_POLICY, { Effect: 'Deny', Action: action, Resource: '*' }]);
    const { status, reason } = await describeJob(await runJob());
    expect([status, reason]).toEqual(['Failed', expect.stringContaining(text)]);
    expect(statusOf('Tax/a.pdf')).toBeUndefined();
  });

  test('a report that the job role cannot write: the job fails after its tasks', async () => {
    await start();
    await putExisting('Tax/a.pdf');
    await setBatchPolicy(BATCH_POLICY.slice(0, 2));
    expect(await describeJob(await runJob())).toEqual({
      status: 'Failed',
      // S3 User Guide, "Troubleshooting".
      reason: 'The job report could not be written to your report bucket. Please check your permissions.',
      tasks: [1, 1, 0],
    });
  });

  test('more than 50 % of failed tasks: fails the job after 1,000 tasks', async () => {
    await start();
    await putExisting('Tax/a.pdf');
    await addCopies('Tax/a.pdf', 1_200);
    await setBatchPolicy(BATCH_POLICY.slice(1));
    const id = await runJob();
    const { status, tasks } = await describeJob(id);
    expect([status, tasks]).toEqual(['Failed', [1_201, 0, 1_000]]);
    const failedRows = [...(await readReport(id))].find(([name]) => name.endsWith('.csv'))?.[1] ?? '';
    expect(failedRows.trimEnd().split('\n')).toHaveLength(1_000);
  });
});

describe('job statuses', () => {
  afterEach(() => env[Symbol.asyncDispose]());

  const CONFIRMED = '<ConfirmationRequired>true</ConfirmationRequired>';

  test('a job that needs confirmation: waits in Suspended with its number of tasks, and runs after Ready', async () => {
    await start();
    await putExisting('Tax/a.pdf');
    const id = await runJob({ extra: CONFIRMED });
    const suspended = await control('GET', `/jobs/${id}`);
    expect([textOf(suspended, 'Status'), textOf(suspended, 'SuspendedCause')]).toEqual([
      'Suspended',
      'AWAITING_CONFIRMATION',
    ]);
    expect((await describeJob(id)).tasks).toEqual([1, 0, 0]);
    env.sandbox.faultSettings.suspendedJobTotal = false;
    expect((await describeJob(id)).tasks).toEqual([0, 0, 0]);
    expect(statusOf('Tax/a.pdf')).toBeUndefined();
    expect(await setStatus(id, 'Ready')).toMatchObject({ status: 200 });
    await env.sandbox.waitForJobs();
    expect(await describeJob(id)).toMatchObject({ status: 'Complete', tasks: [1, 1, 0] });
    // The model has JobStatusException for UpdateJobStatus only.
    for (const status of ['Ready', 'Cancelled'])
      expect(await setStatus(id, status)).toMatchObject({ status: 400, code: 'JobStatusException' });
    expect(await setStatus(id, 'Active')).toMatchObject({ status: 400, code: 'BadRequestException' });
  });

  test('jobStateMs: the clock moves a job through the states of the User Guide', async () => {
    await start();
    await putExisting('Tax/a.pdf');
    env.sandbox.faultSettings.jobStateMs = MINUTE;
    const response = await create({ extra: CONFIRMED });
    const id = textOf(response, 'JobId') ?? '';
    const seen: (string | undefined)[] = [];
    const next = async () => {
      await env.sandbox.waitForJobs();
      seen.push((await describeJob(id)).status);
      await env.sandbox.waitForJobs();
      now += MINUTE;
    };
    for (let step = 0; step < 3; step += 1) await next();
    await setStatus(id, 'Ready');
    for (let step = 0; step < 4; step += 1) await next();
    expect(seen).toEqual(['New', 'Preparing', 'Suspended', 'Ready', 'Active', 'Completing', 'Complete']);
    expect(textOf(await control('GET', `/jobs/${id}`), 'TerminationDate')).toBe(
      new Date(now - MINUTE).toISOString(),
    );
  });

  test('a suspended job that is cancelled: ends as Cancelled, without a task', async () => {
    await start();
    await putExisting('Tax/a.pdf');
    const id = await runJob({ extra: CONFIRMED });
    await setStatus(id, 'Cancelled');
    await env.sandbox.waitForJobs();
    expect(await describeJob(id)).toMatchObject({ status: 'Cancelled', tasks: [1, 0, 0] });
    expect(await readReport(id)).toEqual(new Map());
  });

  test('an active job that is cancelled: ends as Cancelled, with a report of the tasks that ran', async () => {
    await start();
    await putExisting('Tax/a.pdf');
    env.sandbox.faultSettings.jobStateMs = MINUTE;
    const id = textOf(await create(), 'JobId') ?? '';
    for (let step = 0; step < 3; step += 1) {
      await env.sandbox.waitForJobs();
      now += MINUTE;
      await describeJob(id);
    }
    await env.sandbox.waitForJobs();
    expect(await describeJob(id)).toMatchObject({ status: 'Active', tasks: [1, 1, 0] });
    const reason = 'statusUpdateReason=wrong%20bucket';
    const cancelled = await control('POST', `/jobs/${id}/status?requestedJobStatus=Cancelled&${reason}`);
    expect(textOf(cancelled, 'Status')).toBe('Cancelling');
    now += MINUTE;
    expect(await describeJob(id)).toMatchObject({ status: 'Cancelled', tasks: [1, 1, 0] });
    expect(textOf(await control('GET', `/jobs/${id}`), 'StatusUpdateReason')).toBe('wrong bucket');
    // User Guide: a report is generated for jobs that "have completed, failed, or been canceled".
    expect([...(await readReport(id)).keys()]).toEqual([expect.stringMatching(/\.csv$/), 'manifest.json']);
  });

  test('jobHorizonDays and jobPropagationMs: NoSuchJobException', async () => {
    await start();
    await putExisting('Tax/a.pdf');
    env.sandbox.faultSettings.jobPropagationMs = 1_000;
    const id = await runJob();
    // S3 User Guide, "Troubleshooting S3 Batch Operations": right after the creation, and 90 days after the end.
    const noSuchJob = { status: 404, code: 'NoSuchJobException', message: 'No such job' };
    expect(await control('GET', `/jobs/${id}`)).toMatchObject(noSuchJob);
    now += 1_000;
    expect(await control('GET', `/jobs/${id}`)).toMatchObject({ status: 200 });
    now += 90 * 24 * 60 * MINUTE;
    expect(await control('GET', `/jobs/${id}`)).toMatchObject(noSuchJob);
    expect(elementsOf((await control('GET', '/jobs')).body, 'JobId')).toEqual([]);
  });
});

describe('jobs', () => {
  afterEach(() => env[Symbol.asyncDispose]());

  test('a repeated token: the same job for the same request, IdempotencyException for another one', async () => {
    await start();
    await putExisting('Tax/a.pdf');
    const id = await runJob();
    expect(textOf(await create(), 'JobId')).toBe(id);
    const other = await create({ extra: '<Description>another</Description>' });
    expect(other).toMatchObject({ status: 400, code: 'IdempotencyException' });
    env.sandbox.faultSettings.repeatedJobToken = 'newJob';
    expect(await runJob()).not.toBe(id);
    expect(elementsOf((await control('GET', '/jobs')).body, 'JobId')).toHaveLength(2);
  });

  test('tags: GetJobTagging returns those of the job, and PutJobTagging replaces them', async () => {
    await start();
    const tag = (key: string) => `<Tags><member><Key>${key}</Key><Value>tax</Value></member></Tags>`;
    const id = await runJob({ extra: tag('replikey:spec') });
    const keysOf = async () => elementsOf((await control('GET', `/jobs/${id}/tagging`)).body, 'Key');
    expect(await keysOf()).toEqual(['replikey:spec']);
    const body = `<PutJobTaggingRequest xmlns="${NAMESPACE}">${tag('team')}</PutJobTaggingRequest>`;
    expect(await control('PUT', `/jobs/${id}/tagging`, body)).toMatchObject({ status: 200 });
    expect(await keysOf()).toEqual(['team']);
    expect(await control('DELETE', `/jobs/${id}/tagging`)).toMatchObject({ status: 200 });
    expect(await keysOf()).toEqual([]);
  });

  test('ListJobs: filters by status, and returns pages', async () => {
    await start();
    await putExisting('Tax/a.pdf');
    const ids = [];
    for (const token of ['a', 'b', 'c']) ids.push(await runJob({ token }));
    const none = await runJob({
      token: 'd',
      filter: '<ObjectReplicationStatuses><member>REPLICA</member></ObjectReplicationStatuses>',
    });
    const page = await control('GET', '/jobs?jobStatuses=Complete&jobStatuses=Active&maxResults=2');
    expect(elementsOf(page.body, 'JobId')).toEqual(ids.slice(1).reverse());
    const rest = await control(
      'GET',
      `/jobs?jobStatuses=Complete&maxResults=2&nextToken=${textOf(page, 'NextToken')}`,
    );
    expect(elementsOf(rest.body, 'JobId')).toEqual(ids.slice(0, 1));
    expect(elementsOf((await control('GET', '/jobs?jobStatuses=Failed')).body, 'JobId')).toEqual([none]);
    expect(await control('GET', '/jobs?maxResults=1001')).toMatchObject({ code: 'InvalidRequestException' });
  });
});

describe('requests that S3 Control rejects', () => {
  beforeAll(async () => {
    env = await testEnv();
  });
  afterAll(() => env[Symbol.asyncDispose]());

  test.each<[name: string, parts: JobParts, status: number, code: string]>([
    ['without a token', { token: '' }, 400, 'BadRequestException'],
    ['with a token of 65 characters', { token: 'x'.repeat(65) }, 400, 'BadRequestException'],
    ['without an operation', { operation: '' }, 400, 'BadRequestException'],
    [
      'with two prefixes',
      {
        filter:
          '<KeyNameConstraint><MatchAnyPrefix><member>a</member><member>b</member></MatchAnyPrefix></KeyNameConstraint>',
      },
      400,
      'BadRequestException',
    ],
    ['with a report without a bucket', { report: '<Enabled>true</Enabled>' }, 400, 'BadRequestException'],
    ['with an unknown element', { extra: '<Colour>red</Colour>' }, 400, 'MalformedXML'],
    [
      'with an operation of AWS that the sandbox lacks',
      { operation: '<S3DeleteObjectTagging/>' },
      501,
      'NotImplemented',
    ],
    ['with a role of another account', { role: 'arn:aws:iam::444455556666:role/batch' }, 403, 'AccessDenied'],
  ])('%s: %s', async (_, parts, status, code) => {
    const response = await create(parts);
    expect(response).toMatchObject({ status, code });
    // The clients of the model expect an ErrorResponse around the error.
    expect(response.body).toContain(`<ErrorResponse xmlns="${NAMESPACE}"><Error><Code>`);
    expect(elementsOf((await control('GET', '/jobs')).body, 'JobId')).toEqual([]);
  });

  test.each([
    ['another account in the header', { 'x-amz-account-id': '444455556666' }, 403, 'AccessDenied'],
    ['no account', { 'x-amz-account-id': '' }, 400, 'MissingSecurityHeader'],
  ])('%s: %s', async (_, headers, status, code) => {
    expect(await control('GET', '/jobs', undefined, headers)).toMatchObject({ status, code });
  });

  test.each([
    ['111122223333.localhost:4566', 200],
    ['111122223333.s3-control.us-east-1.amazonaws.com', 200],
    ['444455556666.s3-control.us-east-1.amazonaws.com', 403],
  ])('the host %s: the account in it must be that of the caller', async (host, status) => {
    const send = createRawClient(env.sandbox.endpoint);
    const headers = { host, 'x-amz-account-id': ACCOUNT };
    expect(await send('GET', '/v20180820/jobs', { headers })).toMatchObject({ status });
  });
});

describe('permissions of the caller, and CloudTrail', () => {
  const JOB_ARN = `arn:aws:s3:us-east-1:${ACCOUNT}:job/`;
  const SESSION = 'ASIADEPLOYER';

  beforeAll(async () => {
    await start();
    await env.client.send(
      EAST,
      new CreateRoleCommand({ RoleName: 'deployer', AssumeRolePolicyDocument: trustOf('batchoperations') }),
    );
    env.sandbox.store.account(ACCOUNT).sessions.set(SESSION, {
      accessKeyId: SESSION,
      roleName: 'deployer',
      sessionName: 'ci',
      expires: Number.POSITIVE_INFINITY,
      transitiveTags: [],
    });
  });
  afterAll(() => env[Symbol.asyncDispose]());

  const asDeployer = async (statements: object[], method: string, target: string, body?: string) => {
    await setBatchPolicy([{ Action: 's3:ListAllMyBuckets', Resource: '*' }, ...statements], 'deployer');
    return callS3(env.sandbox.endpoint, method, `/v20180820${target}`, {
      account: SESSION,
      headers: { 'x-amz-account-id': ACCOUNT },
      ...(body === undefined ? {} : { body }),
    });
  };

  const CREATE = { Action: 's3:CreateJob', Resource: '*' };
  const PASS = {
    Action: 'iam:PassRole',
    Resource: BATCH_ROLE,
    Condition: { StringEquals: { 'iam:PassedToService': 'batchoperations.s3.amazonaws.com' } },
  };
  const TAGS = '<Tags><member><Key>replikey:spec</Key><Value>tax</Value></member></Tags>';

  test.each<[name: string, statements: object[], action: string]>([
    // re:Post QUWNaJ_FVeTGq5y69T2_gsLw: CreateJob has no resource.
    ['s3:CreateJob on jobs only', [{ ...CREATE, Resource: `${JOB_ARN}*` }, PASS], 's3:CreateJob'],
    ['no iam:PassRole', [CREATE], 'iam:PassRole'],
    [
      'iam:PassRole to S3 itself',
      [CREATE, { ...PASS, Condition: { StringEquals: { 'iam:PassedToService': 's3.amazonaws.com' } } }],
      'iam:PassRole',
    ],
    ['no s3:PutJobTagging for its tags', [CREATE, PASS], 's3:PutJobTagging'],
  ])('CreateJob with %s: AccessDenied', async (_, statements, action) => {
    const response = await asDeployer(statements, 'POST', '/jobs', jobOf({ extra: TAGS }));
    expect(response).toMatchObject({ status: 403, code: 'AccessDenied' });
    expect(response.message).toContain(`is not authorized to perform: ${action}`);
  });

  test('the actions on jobs: each needs its permission on the ARN of the job', async () => {
    const tagging = { Action: 's3:PutJobTagging', Resource: `${JOB_ARN}*` };
    const created = await asDeployer([CREATE, PASS, tagging], 'POST', '/jobs', jobOf({ extra: TAGS }));
    expect(created).toMatchObject({ status: 200 });
    const id = textOf(created, 'JobId') ?? '';
    await env.sandbox.waitForJobs();
    for (const [Action, method, target] of [
      ['s3:DescribeJob', 'GET', `/jobs/${id}`],
      ['s3:GetJobTagging', 'GET', `/jobs/${id}/tagging`],
      ['s3:DeleteJobTagging', 'DELETE', `/jobs/${id}/tagging`],
    ] as const) {
      const request = (Resource: string) => asDeployer([{ Action, Resource }], method, target);
      expect(await request(`${JOB_ARN}another`), Action).toMatchObject({ status: 403 });
      expect(await request(`${JOB_ARN}${id}`), Action).toMatchObject({ status: 200 });
    }
    expect(await asDeployer([{ Action: 's3:ListJobs', Resource: '*' }], 'GET', '/jobs')).toMatchObject({
      status: 200,
    });
  });

  test('CloudTrail: has an event of S3 for each change of a job', async () => {
    const id = await runJob({ token: 'trail', extra: '<ConfirmationRequired>true</ConfirmationRequired>' });
    await setStatus(id, 'Cancelled');
    const events = await lookUpEvents();
    // S3 User Guide, "Amazon S3 CloudTrail events": CreateJob and UpdateJobStatus are management events.
    expect(events).toEqual(
      expect.arrayContaining(['s3.amazonaws.com CreateJob', 's3.amazonaws.com UpdateJobStatus']),
    );
    expect(events.join()).not.toContain('DescribeJob');
  });

  async function lookUpEvents(): Promise<string[]> {
    const client = new CloudTrailClient({
      endpoint: env.sandbox.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'test' },
    });
    const { Events = [] } = await client.send(new LookupEventsCommand({}));
    return Events.map(({ EventSource, EventName }) => `${EventSource} ${EventName}`);
  }
});

describe('restarts and clients', () => {
  afterEach(() => env[Symbol.asyncDispose]());

  test('a full disk: the job tries again, and runs each task once', async () => {
    const state = await mkdtemp(path.join(tmpdir(), 'replikey-jobs-'));
    try {
      let isFull = false;
      const errors: string[] = [];
      const fileSystem = createFullDisk(() => isFull);
      await start({ state, storeOptions: { fileSystem }, onError: (message) => errors.push(message) });
      await putExisting('Tax/a.pdf');
      await addCopies('Tax/a.pdf', 300);
      const id = await runJob({ extra: '<ConfirmationRequired>true</ConfirmationRequired>' });
      await setStatus(id, 'Ready');
      isFull = true;
      await expect.poll(() => errors.length, { interval: 1 }).toBeGreaterThan(0);
      expect(errors[0]).toMatch(/^cannot save the batch job .+: ENOSPC: .*; the sandbox tries again in 1 s$/);
      isFull = false;
      await expect
        .poll(async () => (await describeJob(id)).status, { interval: 10, timeout: 10_000 })
        .toBe('Complete');
      expect((await describeJob(id)).tasks).toEqual([301, 301, 0]);
      expect(env.sandbox.store.bucket(REPLICA)?.objects.size).toBe(301);
      const rows = [...(await readReport(id))].find(([name]) => name.endsWith('.csv'))?.[1] ?? '';
      expect(rows.trimEnd().split('\n')).toHaveLength(301);
    } finally {
      await rm(state, { recursive: true, force: true });
    }
  });

  test('a restart: continues a job that was interrupted, and keeps the dates of its filter', async () => {
    const state = await mkdtemp(path.join(tmpdir(), 'replikey-jobs-'));
    try {
      await start({ state });
      await putExisting('Tax/a.pdf');
      await addCopies('Tax/a.pdf', 300);
      const filter =
        '<EligibleForReplication>true</EligibleForReplication><CreatedAfter>2026-11-30T00:00:00Z</CreatedAfter>';
      const id = textOf(await create({ filter }), 'JobId') ?? '';
      await expect.poll(async () => (await describeJob(id)).tasks[1], { interval: 1 }).toBeGreaterThan(0);
      await env[Symbol.asyncDispose]();
      env = await testEnv(undefined, { clock: () => now, state });
      await env.sandbox.waitForJobs();
      expect(await describeJob(id)).toMatchObject({ status: 'Complete', tasks: [301, 301, 0] });
      expect(env.sandbox.store.bucket(REPLICA)?.objects.size).toBe(301);
      const rows = [...(await readReport(id))].find(([name]) => name.endsWith('.csv'))?.[1] ?? '';
      expect(
        new Set(
          rows
            .trimEnd()
            .split('\n')
            .map((row) => row.split(',')[1]),
        ).size,
      ).toBe(301);
      expect(textOf(await control('GET', `/jobs/${id}`), 'CreatedAfter')).toBe('2026-11-30T00:00:00.000Z');
    } finally {
      await rm(state, { recursive: true, force: true });
    }
  });

  const awscli = pythonEnvironment('awscli');
  const execute = promisify(execFile);

  /** The AWS CLI puts the account in front of the host, and not every system resolves names below localhost. */
  const CLI_WITHOUT_DNS = `
import socket, sys
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *args, **options: resolve("127.0.0.1", *args, **options)
from awscli.clidriver import main
sys.exit(main())
`;

  test.skipIf(awscli.missing)('AWS CLI: creates, lists and describes a job', async () => {
    await start({ clock: Date.now });
    await putExisting('Tax/a.pdf');
    const aws = async (...args: string[]) => {
      const { stdout } = await execute(
        awscli.program('python'),
        ['-c', CLI_WITHOUT_DNS, 's3control', ...args, '--account-id', ACCOUNT, '--output', 'json'],
        {
          env: {
            PATH: process.env.PATH,
            AWS_ENDPOINT_URL: env.sandbox.endpoint.replace('127.0.0.1', 'localhost'),
            AWS_ACCESS_KEY_ID: ACCOUNT,
            AWS_SECRET_ACCESS_KEY: 'test',
            AWS_DEFAULT_REGION: 'us-east-1',
          },
        },
      );
      return stdout === '' ? {} : JSON.parse(stdout);
    };
    const generator = {
      S3JobManifestGenerator: {
        SourceBucket: `arn:aws:s3:::${SOURCE}`,
        EnableManifestOutput: false,
        Filter: { EligibleForReplication: true, ObjectReplicationStatuses: ['NONE', 'FAILED'] },
      },
    };
    const { JobId } = await aws(
      'create-job',
      '--operation',
      '{"S3ReplicateObject":{}}',
      '--report',
      '{"Enabled":false}',
      '--manifest-generator',
      JSON.stringify(generator),
      '--priority',
      '1',
      '--role-arn',
      BATCH_ROLE,
      '--no-confirmation-required',
    );
    await env.sandbox.waitForJobs();
    expect((await aws('describe-job', '--job-id', JobId)).Job).toMatchObject({
      Status: 'Complete',
      Operation: { S3ReplicateObject: {} },
      ManifestGenerator: generator,
      ProgressSummary: { TotalNumberOfTasks: 1, NumberOfTasksSucceeded: 1, NumberOfTasksFailed: 0 },
    });
    expect(await aws('list-jobs')).toMatchObject({ Jobs: [{ JobId, Operation: 'S3ReplicateObject' }] });
  });
});
