import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PutObjectCommand, PutObjectTaggingCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FaultSettings } from '../../src/sandbox/faults.ts';
import { type TestEnv, testEnv } from '../support/env.ts';
import { callS3, callSqs } from '../support/raw-aws.ts';
import { changeRolePolicy, changeRules, EAST, put, SOURCE } from './support.ts';

/**
 * Events of replication, as S3 User Guide, "Receiving replication failure events with Amazon S3 Event Notifications" shows
 * them (replication-metrics-events.html).
 */

const OWNER = '111122223333';
const QUEUE_ARN = `arn:aws:sqs:us-east-1:${OWNER}:failures`;
const RULE_ID = 'replikey/tax/tax';

let env: TestEnv;
let now: number;
let state: string;
/** Messages of `onError`. */
let errors: string[];

beforeEach(async () => {
  errors = [];
  now = Date.parse('2026-11-30T12:00:00Z');
  state = await mkdtemp(path.join(tmpdir(), 'replikey-events-'));
  await start();
  await env.reconcile();
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: {
      Effect: 'Allow',
      Principal: { Service: 's3.amazonaws.com' },
      Action: 'sqs:SendMessage',
      Resource: QUEUE_ARN,
      Condition: { ArnLike: { 'aws:SourceArn': `arn:aws:s3:*:*:${SOURCE}` } },
    },
  });
  await sqs('CreateQueue', { QueueName: 'failures', Attributes: { Policy } });
  await setNotifications('<Event>s3:Replication:*</Event>');
  await events();
});
afterEach(async () => {
  await env[Symbol.asyncDispose]();
  await rm(state, { recursive: true });
});

const start = async (faultSettings: Partial<FaultSettings> = {}) => {
  env = await testEnv(undefined, {
    faultSettings,
    clock: () => now,
    state,
    onError: (message) => errors.push(message),
  });
};

/** Puts an object, and makes a change while the object is in flight: a restart of the sandbox continues its replication. */
async function putAndChange(change: () => unknown, faultSettings?: Partial<FaultSettings>): Promise<void> {
  env.sandbox.faultSettings.replicationDelayMs = 3_600_000;
  await env.client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/2026.pdf', Body: 'numbers' }));
  await change();
  await env[Symbol.asyncDispose]();
  await start(faultSettings);
  if (!faultSettings) await env.sandbox.waitForReplication();
}

const sqs = (operation: string, input: object) => callSqs(env.sandbox.endpoint, operation, input);

const setNotifications = (content: string) =>
  callS3(env.sandbox.endpoint, 'PUT', `/${SOURCE}?notification`, {
    body: `<NotificationConfiguration><QueueConfiguration><Id>ReplicationEventName</Id><Queue>${QUEUE_ARN}</Queue>${content}</QueueConfiguration></NotificationConfiguration>`,
  });

/** Sets metrics and Replication Time Control of the rule. */
const setMetrics = (metrics: boolean, timeControl = false) =>
  changeRules(env.client, (rules) =>
    rules.map((rule) => {
      const { Metrics: _, ReplicationTime: __, ...destination } = rule.Destination ?? { Bucket: '' };
      const minutes = { Minutes: 15 };
      return {
        ...rule,
        Destination: {
          ...destination,
          ...(metrics
            ? { Metrics: { Status: 'Enabled', ...(timeControl ? { EventThreshold: minutes } : {}) } }
            : {}),
          ...(timeControl ? { ReplicationTime: { Status: 'Enabled', Time: minutes } } : {}),
        },
      };
    }),
  );

/** Denies the role an action. */
const deny = (Action: string) =>
  changeRolePolicy(env.client, (statements) => {
    statements.Denied = { Sid: 'Denied', Effect: 'Deny', Action, Resource: '*' };
  });

interface EventRecord {
  eventName: string;
  s3: { object: Record<string, unknown> };
  replicationEventData: Record<string, string>;
}

/** Receives and deletes the events of the queue. */
async function events(): Promise<EventRecord[]> {
  const QueueUrl = `${env.sandbox.endpoint}/${OWNER}/failures`;
  const { json } = await sqs('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 });
  const messages = (json.Messages ?? []) as { Body: string; ReceiptHandle: string }[];
  for (const { ReceiptHandle } of messages) await sqs('DeleteMessage', { QueueUrl, ReceiptHandle });
  return messages.flatMap(({ Body }) => (JSON.parse(Body) as { Records?: EventRecord[] }).Records ?? []);
}

const namesOf = (records: EventRecord[]): string[] => records.map(({ eventName }) => eventName);

describe('OperationFailedReplication', () => {
  test('a failed object: the message has the form of the sample of AWS', async () => {
    await setMetrics(true);
    await deny('s3:GetObjectVersionForReplication');
    const version = await put(env, { Key: 'Tax/red flower@2026.pdf' });
    expect(await events()).toEqual([
      {
        eventVersion: '2.2',
        eventSource: 'aws:s3',
        awsRegion: 'us-east-1',
        eventTime: '2026-11-30T12:00:00.000Z',
        eventName: 'Replication:OperationFailedReplication',
        userIdentity: { principalId: 's3.amazonaws.com' },
        requestParameters: { sourceIPAddress: 's3.amazonaws.com' },
        responseElements: { 'x-amz-request-id': expect.any(String), 'x-amz-id-2': expect.any(String) },
        s3: {
          s3SchemaVersion: '1.0',
          configurationId: 'ReplicationEventName',
          bucket: {
            name: SOURCE,
            ownerIdentity: { principalId: OWNER },
            arn: `arn:aws:s3:::${SOURCE}`,
          },
          object: {
            // S3 User Guide, "Event message structure": "red flower.jpg" becomes "red+flower.jpg".
            // fact: localstack TestS3NotificationsToSQS::test_key_encoding
            key: 'Tax/red+flower%402026.pdf',
            size: 7,
            eTag: version?.etag.replaceAll('"', ''),
            versionId: version?.versionId,
            sequencer: expect.stringMatching(/^[0-9A-F]{18}$/),
          },
        },
        replicationEventData: {
          replicationRuleId: RULE_ID,
          destinationBucket: 'arn:aws:s3:::acme-tax-replica',
          s3Operation: 'OBJECT_PUT',
          requestTime: '2026-11-30T12:00:00.000Z',
          failureReason: 'SrcGetObjectNotPermitted',
        },
      },
    ]);
  });

  test('a rule without metrics: no event', async () => {
    await setMetrics(false);
    await deny('s3:GetObjectVersionForReplication');
    expect((await put(env))?.replication?.status).toBe('FAILED');
    expect(await events()).toEqual([]);
  });

  test('a completed object: no event', async () => {
    await setMetrics(true);
    expect((await put(env))?.replication?.status).toBe('COMPLETED');
    expect(await events()).toEqual([]);
  });

  test('a failed change of tags: the operation is OBJECT_PUT_TAGGING', async () => {
    await setMetrics(true);
    await put(env, { Key: 'Tax/a' });
    await deny('s3:GetObjectVersionTagging');
    now += 60_000;
    const Tagging = { TagSet: [{ Key: 'tier', Value: 'gold' }] };
    await env.client.send(EAST, new PutObjectTaggingCommand({ Bucket: SOURCE, Key: 'Tax/a', Tagging }));
    await env.sandbox.waitForReplication();
    expect(await events()).toMatchObject([
      {
        eventName: 'Replication:OperationFailedReplication',
        replicationEventData: {
          s3Operation: 'OBJECT_PUT_TAGGING',
          requestTime: '2026-11-30T12:01:00.000Z',
          failureReason: 'SrcGetTaggingNotPermitted',
        },
      },
    ]);
  });

  test('a removed configuration: fails with SrcBucketReplicationConfigMissing', async () => {
    await setMetrics(true);
    await putAndChange(() => callS3(env.sandbox.endpoint, 'DELETE', `/${SOURCE}?replication`));
    expect((await events()).map(({ replicationEventData }) => replicationEventData.failureReason)).toEqual([
      'SrcBucketReplicationConfigMissing',
    ]);
  });

  test('filters of the configuration: only keys with the prefix, and event types of the list', async () => {
    await setMetrics(true);
    await deny('s3:GetObjectVersionForReplication');
    await setNotifications(
      '<Event>s3:Replication:OperationFailedReplication</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>Tax/2026</Value></FilterRule></S3Key></Filter>',
    );
    await put(env, { Key: 'Tax/2025.pdf' });
    await put(env, { Key: 'Tax/2026.pdf' });
    expect((await events()).map(({ s3 }) => s3.object.key)).toEqual(['Tax/2026.pdf']);
    await setNotifications('<Event>s3:Replication:OperationNotTracked</Event>');
    await put(env, { Key: 'Tax/2026.pdf' });
    expect(await events()).toEqual([]);
  });

  test('notificationDelayMs: a new configuration takes effect after the delay', async () => {
    await setMetrics(true);
    await deny('s3:GetObjectVersionForReplication');
    env.sandbox.faultSettings.notificationDelayMs = 300_000;
    await setNotifications('<Event>s3:ObjectCreated:*</Event>');
    await events();
    await put(env, { Key: 'Tax/a' });
    expect(await events()).toHaveLength(1);
    now += 300_000;
    await put(env, { Key: 'Tax/b' });
    expect(await events()).toEqual([]);
  });

  test('a queue that was deleted: the event is lost, and the sandbox reports it', async () => {
    await setMetrics(true);
    await deny('s3:GetObjectVersionForReplication');
    await sqs('DeleteQueue', { QueueUrl: `${env.sandbox.endpoint}/${OWNER}/failures` });
    await put(env, { Key: 'Tax/a' });
    expect(errors).toEqual([
      `cannot send the event Replication:OperationFailedReplication of s3://${SOURCE}/Tax/a to ${QUEUE_ARN}: the queue ${QUEUE_ARN} does not exist`,
    ]);
  });
});

describe('OperationNotTracked', () => {
  test('metrics that are disabled while an object is in flight: not tracked', async () => {
    await setMetrics(true);
    await putAndChange(() => setMetrics(false));
    expect(namesOf(await events())).toEqual(['Replication:OperationNotTracked']);
  });
});

describe('Replication Time Control', () => {
  test('an object that is replicated after 15 minutes: missed threshold, then replicated', async () => {
    await setMetrics(true, true);
    await putAndChange(() => {
      now += 15 * 60_000;
    });
    expect(namesOf(await events()).sort()).toEqual([
      'Replication:OperationMissedThreshold',
      'Replication:OperationReplicatedAfterThreshold',
    ]);
  });

  test('an object that is pending at the threshold: missed threshold, once, also after a restart', async () => {
    await setMetrics(true, true);
    const inFlight = { replicationDelayMs: 3_600_000 };
    await putAndChange(() => {
      now += 15 * 60_000;
    }, inFlight);
    const received: string[] = [];
    await expect.poll(async () => received.push(...namesOf(await events()))).toBe(1);
    expect(received).toEqual(['Replication:OperationMissedThreshold']);
    await env[Symbol.asyncDispose]();
    await start();
    await env.sandbox.waitForReplication();
    expect(namesOf(await events())).toEqual(['Replication:OperationReplicatedAfterThreshold']);
  });

  test('an object that is replicated in time: no event', async () => {
    await setMetrics(true, true);
    await put(env);
    expect(await events()).toEqual([]);
  });

  test('an object that is late without Replication Time Control: no event', async () => {
    await setMetrics(true);
    await putAndChange(() => {
      now += 15 * 60_000;
    });
    expect(await events()).toEqual([]);
  });
});
