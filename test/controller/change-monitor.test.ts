import {
  AttachRolePolicyCommand,
  CreatePolicyCommand,
  CreatePolicyVersionCommand,
  DeleteRolePolicyCommand,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  PutKeyPolicyCommand,
} from '@aws-sdk/client-kms';
import {
  DeleteBucketPolicyCommand,
  DeleteBucketReplicationCommand,
  GetBucketReplicationCommand,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { describe, expect, test, vi } from 'vitest';
import type { ControllerOptions } from '../../src/controller/controller.ts';
import type { PairStatus } from '../../src/controller/status.ts';
import { queueAddressOf } from '../../src/util/arn.ts';
import { parseQueueName } from '../../src/util/queue-address.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { clientsOfJane, JANE, policyJson } from '../support/other-caller.ts';
import { testController } from '../support/test-controller.ts';

const ACCOUNT = '111122223333';
const QUEUE_ARN = `arn:aws:sqs:us-east-1:${ACCOUNT}:changes`;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** The statement with which EventBridge may send to a queue (Amazon EventBridge User Guide, "Amazon SQS permissions"). */
const QUEUE_POLICY = policyJson({
  Effect: 'Allow',
  Principal: { Service: 'events.amazonaws.com' },
  Action: 'sqs:SendMessage',
  Resource: QUEUE_ARN,
  Condition: { ArnEquals: { 'aws:SourceArn': `arn:aws:events:us-east-1:${ACCOUNT}:rule/replikey-changes` } },
});

/** Starts a controller with an interval of an hour, a queue of the sandbox, and a converged pair. */
async function feedController(options: Partial<ControllerOptions> = {}, yaml = TAX_SPEC) {
  const clock = fakeClock();
  const env = await testEnv(yaml, { clock: clock.now });
  const sqs = new SQSClient({
    endpoint: env.sandbox.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'any' },
  });
  const s3 = new S3Client({
    endpoint: env.sandbox.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'any' },
    forcePathStyle: true,
  });
  const createQueue = () =>
    sqs.send(new CreateQueueCommand({ QueueName: 'changes', Attributes: { Policy: QUEUE_POLICY } }));
  const { QueueUrl = '' } = await createQueue();
  env.sandbox.faultSettings.changeQueue = QUEUE_ARN;
  const results: string[] = [];
  const queue = queueAddressOf(parseQueueName(QUEUE_ARN), env.sandbox.endpoint);
  const loop = testController(env, {
    clock,
    intervalMs: HOUR,
    loadCloudTrail: () => import('../../src/aws/cloudtrail.ts'),
    changes: { queues: [queue], waitSeconds: 0, loadSqs: () => import('../../src/aws/sqs.ts') },
    observer: { onChangeEvent: ({ result }) => void results.push(result) },
    ...options,
  });
  const specFiles = { files: [{ file: 'specs/tax.yaml', bytes: Buffer.from(yaml) }], problems: [] };
  await loop.controller.update(specFiles);
  await loop.idle();
  const counts = () => env.sandbox.log.counts();
  const running = {
    ...loop,
    env,
    clock,
    sqs,
    s3,
    QueueUrl,
    createQueue,
    results,
    counts,
    lookups: () => counts()['cloudtrail:LookupEvents'] ?? 0,
    pair: () => loop.controller.status().pairs[0] as PairStatus,
    events: () => (loop.controller.status().pairs[0] as PairStatus).conditions.Events,
    messageCount: async () => {
      const { Attributes } = await sqs.send(
        new GetQueueAttributesCommand({
          QueueUrl,
          AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
        }),
      );
      return Object.values(Attributes ?? {}).reduce((sum, count) => sum + Number(count), 0);
    },
    /** Advances the clock in steps until an assertion holds. Returns the time, in milliseconds. */
    async until(assertion: () => unknown, stepMs = 500): Promise<number> {
      const startedAt = clock.now();
      await vi.waitFor(
        async () => {
          // A call takes no time of this clock.
          await loop.idle();
          await clock.advance(stepMs);
          await assertion();
        },
        { timeout: 20_000, interval: 5 },
      );
      return clock.now() - startedAt;
    },
    async [Symbol.asyncDispose]() {
      const drained = loop.controller.drain();
      await clock.advance(MINUTE);
      await drained;
      sqs.destroy();
      s3.destroy();
      await env[Symbol.asyncDispose]();
    },
  };
  // The events of the first run.
  await running.until(async () => {
    expect(running.pair().conditions.Ready.status).toBe('True');
    expect(await running.messageCount()).toBe(0);
    expect(running.events()?.status).toBe('True');
  });
  // A second pass learns the ids of the new keys.
  await clock.advance(2 * MINUTE);
  await loop.idle();
  results.length = 0;
  return running;
}

async function keyIdOf({ client }: TestEnv, alias: string, region: string): Promise<string> {
  const { KeyMetadata } = await client.send({ region }, new DescribeKeyCommand({ KeyId: alias }));
  return KeyMetadata?.KeyId ?? '';
}

const ADMINISTRATION = {
  Sid: 'Administration',
  Effect: 'Allow',
  Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
  Action: ['kms:Get*', 'kms:Put*', 'kms:Describe*', 'kms:List*', 'kms:Enable*', 'kms:Disable*'],
  Resource: '*',
};

describe('change events', () => {
  test('another caller changes a policy, a role and a bucket: reverted within seconds, and attributed without LookupEvents', async () => {
    await using running = await feedController();
    const { env, pair } = running;
    const { kms, iam, s3 } = await clientsOfJane(env);
    const KeyId = await keyIdOf(env, 'alias/acme-tax', 'us-east-1');
    const changes: [id: string, event: string, change: () => Promise<unknown>][] = [
      [
        'kms.key-policy/alias/acme-tax@us-east-1',
        'PutKeyPolicy',
        () => kms.send(new PutKeyPolicyCommand({ KeyId, Policy: policyJson([ADMINISTRATION]) })),
      ],
      [
        'iam.role-policy/replikey-acme-tax',
        'DeleteRolePolicy',
        () =>
          iam.send(new DeleteRolePolicyCommand({ RoleName: 'replikey-acme-tax', PolicyName: 'replikey' })),
      ],
      [
        's3.replication/acme-tax',
        'DeleteBucketReplication',
        () => s3.send(new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' })),
      ],
    ];
    for (const [id, event, change] of changes) {
      await change();
      const ms = await running.until(() =>
        expect(pair().changes[0]).toMatchObject({
          cause: 'drift',
          result: 'applied',
          steps: [{ id, lastChange: { by: JANE, event } }],
        }),
      );
      expect(ms).toBeLessThan(15_000);
    }
    expect(running.lookups()).toBe(0);
    const { ReplicationConfiguration } = await s3.send(
      new GetBucketReplicationCommand({ Bucket: 'acme-tax' }),
    );
    expect(ReplicationConfiguration?.Rules).toHaveLength(1);
    // The events of the reverts are those of replikey itself, and start no pass.
    await running.until(async () => expect(await running.messageCount()).toBe(0));
    const { adds } = running.controller.status().queue;
    await running.clock.advance(5 * MINUTE);
    await running.idle();
    expect(running.controller.status().queue.adds).toBe(adds);
    expect(running.results).toContain('own');
    expect(running.events()).toMatchObject({ status: 'True', reason: 'Receiving' });
  });

  test('changes that only the proof reads: a disabled key, an attached policy and its new version', async () => {
    await using running = await feedController();
    const { env, pair } = running;
    const { iam, kms } = await clientsOfJane(env);
    const KeyId = await keyIdOf(env, 'alias/acme-tax', 'us-east-1');
    await kms.send(new DisableKeyCommand({ KeyId }));
    await running.until(() => expect(pair().conditions.Ready.message).toContain('Disabled'));
    await kms.send(new EnableKeyCommand({ KeyId }));
    await running.until(() => expect(pair().conditions.Ready.status).toBe('True'));

    const deny = policyJson({ Effect: 'Deny', Action: 's3:ReplicateObject', Resource: '*' });
    const harmless = policyJson({ Effect: 'Allow', Action: 's3:ListAllMyBuckets', Resource: '*' });
    const { Policy } = await iam.send(
      new CreatePolicyCommand({ PolicyName: 'company-limits', PolicyDocument: harmless }),
    );
    const PolicyArn = Policy?.Arn;
    const passes = () => running.results.filter((result) => result === 'pass').length;
    const before = passes();
    await iam.send(new AttachRolePolicyCommand({ RoleName: 'replikey-acme-tax', PolicyArn }));
    await running.until(() => expect(passes()).toBe(before + 1));
    await running.clock.advance(10_000);
    await running.idle();
    expect(pair().conditions.Proven.status).toBe('True');
    await iam.send(new CreatePolicyVersionCommand({ PolicyArn, PolicyDocument: deny, SetAsDefault: true }));
    await running.until(() => expect(pair().conditions.Proven.status).toBe('False'));
    expect(running.lookups()).toBe(0);
  });

  test('events about other resources, failed calls and duplicates: no additional pass', async () => {
    await using running = await feedController();
    const { env, results } = running;
    const { iam, s3 } = await clientsOfJane(env);
    const addsBefore = running.controller.status().queue.adds;
    const role = { RoleName: 'admin', PolicyName: 'more', PolicyDocument: policyJson([]) };
    await iam
      .send(new PutRolePolicyCommand({ ...role, PolicyDocument: '{' }))
      .catch((error: Error) => expect(error.name).toContain('MalformedPolicyDocument'));
    await running.until(() => expect(results).toContain('failed'));
    await running.clock.advance(10_000);
    await running.idle();
    expect(running.controller.status().queue.adds).toBe(addsBefore);

    await s3.send(
      new PutBucketVersioningCommand({
        Bucket: 'acme-tax',
        VersioningConfiguration: { Status: 'Enabled' },
      }),
    );
    await running.until(() => expect(results).toContain('pass'));
    const { sqs, QueueUrl } = running;
    const event = changeEventBody({ at: running.clock.now() });
    for (let copy = 0; copy < 3; copy += 1)
      await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: event }));
    await running.until(async () => expect(await running.messageCount()).toBe(0));
    await running.clock.advance(10_000);
    await running.idle();
    expect(results.filter((result) => result === 'pass')).toHaveLength(2);
    expect(running.controller.status().queue.adds).toBeLessThanOrEqual(addsBefore + 2);
  });

  test("another caller's replikey changes a bucket: a pass, because the ARN differs", async () => {
    await using running = await feedController();
    const { sqs, QueueUrl, results, clock } = running;
    const MessageBody = changeEventBody({ at: clock.now(), userAgent: 'replikey/0.1.0' });
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));
    await running.until(() => expect(results).toEqual(['pass']));
  });

  test('a clean pass reads the state before a change: the earlier event announces the drift of the next pass', async () => {
    await using running = await feedController();
    const { env, sqs, QueueUrl, clock, results, pair, events } = running;
    const { s3 } = await clientsOfJane(env);
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: changeEventBody({ at: clock.now() }) }));
    await running.until(() => expect(results).toContain('pass'));
    await clock.advance(10_000);
    await running.idle();
    expect(pair().changes[0]?.cause).not.toBe('drift');
    // The change takes effect only now, as S3 may still return the previous state to the pass.
    env.sandbox.faultSettings.changeQueue = '';
    await s3.send(new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }));
    // No event of a revert arrives, because it fails.
    const what = { status: 403, code: 'AccessDenied' };
    env.sandbox.faultSettings.faults = [{ match: 'PutBucketReplication', nth: 1, times: 10_000, what }];
    env.sandbox.faultSettings.changeQueue = QUEUE_ARN;
    await running.until(
      () => expect(pair().changes[0]).toMatchObject({ result: 'failed', cause: 'drift' }),
      60_000,
    );
    for (let minute = 0; minute < 30; minute += 1) {
      await clock.advance(MINUTE);
      await running.idle();
      expect(events()?.status).toBe('True');
    }
  });

  test('a message that is no change event: stays for the dead-letter queue, with one warning', async () => {
    await using running = await feedController();
    const { sqs, QueueUrl } = running;
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: '{"source":"acme.app","detail":{}}' }));
    const isWarning = ({ msg }: { msg: string }) => msg.startsWith('a message is no change event');
    await running.until(() => expect(running.lines.filter(isWarning)).toHaveLength(1));
    await running.clock.advance(MINUTE);
    expect(await running.messageCount()).toBe(1);
    expect(running.lines.filter(isWarning)).toHaveLength(1);
  });

  test('no event announces drift: Events is False after the delivery delay, and True after the next event', async () => {
    await using running = await feedController();
    const { env, events } = running;
    const { s3 } = await clientsOfJane(env);
    env.sandbox.faultSettings.changeQueue = '';
    await running.clock.advance(MINUTE);
    await s3.send(new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }));
    await running.until(
      () => expect(running.pair().changes[0]).toMatchObject({ result: 'applied', cause: 'drift' }),
      60_000,
    );
    expect(events()?.status).toBe('True');
    await running.until(() => expect(events()?.status).toBe('False'), 60_000);
    expect(events()).toMatchObject({
      reason: 'ChangeMissed',
      message: expect.stringMatching(
        /^no event announced the change of s3\.replication\/acme-tax between 2026-\S+Z and 2026-\S+Z: check that a trail with logging on records account 111122223333 in us-east-1, and that its EventBridge rule /,
      ),
    });
    env.sandbox.faultSettings.changeQueue = QUEUE_ARN;
    await running.s3.send(
      new PutBucketVersioningCommand({
        Bucket: 'acme-tax',
        VersioningConfiguration: { Status: 'Enabled' },
      }),
    );
    await running.until(() => expect(events()).toMatchObject({ status: 'True', reason: 'Receiving' }));
  });

  test('the queue cannot be received: Events is False after a minute, and True again when it can', async () => {
    await using running = await feedController();
    const { sqs, QueueUrl, events } = running;
    await sqs.send(new DeleteQueueCommand({ QueueUrl }));
    await running.until(() => expect(events()?.status).toBe('False'), 5_000);
    expect(events()).toMatchObject({
      reason: 'Unreadable',
      message: expect.stringMatching(
        /^cannot receive change events from arn:aws:sqs:us-east-1:111122223333:changes since \S+Z: .*; check that the queue exists/,
      ),
    });
    await running.clock.advance(MINUTE);
    await running.createQueue();
    await running.until(() => expect(events()?.status).toBe('True'), 5_000);
  });

  test('several processes: an event of another process is returned, and one for both is handled after a minute', async () => {
    const books = TAX_SPEC.replace('name: tax', 'name: books').replaceAll(
      'bucket: acme-tax',
      'bucket: acme-books',
    );
    const isAssigned = ({ key }: { key: string }) => key === 'tax';
    await using running = await feedController({ isAssigned }, `${TAX_SPEC}---\n${books}`);
    const { sqs, QueueUrl, clock, results } = running;
    const send = (bucket: string, eventID: string) =>
      sqs.send(
        new SendMessageCommand({
          QueueUrl,
          MessageBody: changeEventBody({ at: clock.now(), bucket, eventID }),
        }),
      );
    await send('acme-books', 'of-books');
    await running.until(() => expect(results).toHaveLength(1));
    await clock.advance(5 * MINUTE);
    expect(await running.messageCount()).toBe(1);

    // Both pairs use the key. This process does not know whether the other one has seen the event.
    const { kms } = await clientsOfJane(running.env);
    const KeyId = await keyIdOf(running.env, 'alias/acme-tax', 'us-east-1');
    await running.until(async () => expect(await running.messageCount()).toBe(1));
    results.length = 0;
    await kms.send(new DisableKeyCommand({ KeyId }));
    await running.until(() => expect(results).toEqual(['pass']));
    expect(await running.messageCount()).toBe(2);
    const ms = await running.until(async () => expect(await running.messageCount()).toBe(1));
    expect(ms).toBeGreaterThan(50_000);
    expect(results).toEqual(['pass']);
  });

  test('a deleted policy of a pair without events: the feed of another Region proves nothing', async () => {
    await using running = await feedController();
    const { env, events } = running;
    const { s3 } = await clientsOfJane(env);
    env.sandbox.faultSettings.changeQueue = '';
    await s3.send(new DeleteBucketPolicyCommand({ Bucket: 'acme-tax' })).catch(() => undefined);
    await s3.send(new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }));
    await running.until(() => expect(events()?.reason).toBe('ChangeMissed'), 60_000);
    const { sqs, QueueUrl } = running;
    const elsewhere = { at: running.clock.now(), region: 'eu-central-1', bucket: 'acme-books' };
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: changeEventBody(elsewhere) }));
    await running.until(async () => expect(await running.messageCount()).toBe(0));
    expect(events()?.reason).toBe('ChangeMissed');
  });
});

/** Returns an event of EventBridge about PutBucketVersioning. */
function changeEventBody({
  eventID = '9d8c7b6a-5e4f-4a3b-8c2d-1e0f9a8b7c6d',
  at,
  region = 'us-east-1',
  bucket = 'acme-tax',
  userAgent = 'aws-cli/2.31.0',
}: {
  at: number;
  region?: string;
  bucket?: string;
  eventID?: string;
  userAgent?: string;
}) {
  const time = new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
  return JSON.stringify({
    version: '0',
    id: '0cdc5423-ed4e-71d8-c4f7-9c4ab361748c',
    'detail-type': 'AWS API Call via CloudTrail',
    source: 'aws.s3',
    account: ACCOUNT,
    time,
    region,
    resources: [],
    detail: {
      eventVersion: '1.11',
      userIdentity: { type: 'AssumedRole', arn: JANE, accountId: ACCOUNT },
      eventTime: time,
      eventSource: 's3.amazonaws.com',
      eventName: 'PutBucketVersioning',
      awsRegion: region,
      sourceIPAddress: '192.0.2.1',
      userAgent: `[${userAgent}]`,
      requestParameters: { bucketName: bucket, versioning: '' },
      responseElements: null,
      eventID,
      readOnly: false,
      eventType: 'AwsApiCall',
      managementEvent: true,
      recipientAccountId: ACCOUNT,
      eventCategory: 'Management',
    },
  });
}
