import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SQS } from '@aws-sdk/client-sqs';
import { STS } from '@aws-sdk/client-sts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/server.ts';
import { addMessage } from '../../src/sandbox/sqs/queue-contents.ts';
import { createMemoryStore } from '../../src/sandbox/store.ts';
import { callKms, callQuery, callSqs, type RawCredentials } from '../support/raw-aws.ts';
import { createFullDisk } from './full-disk.ts';

/**
 * SQS over raw HTTP. Messages of errors are those that LocalStack recorded from AWS
 * (tests/aws/services/sqs/test_sqs.snapshot.json); other facts name the page of the SQS documentation.
 */

const OWNER = '111122223333';
const OTHER = '444455556666';
const QUEUE_ARN = `arn:aws:sqs:us-east-1:${OWNER}:failures`;

interface ReceivedMessage {
  MessageId: string;
  ReceiptHandle: string;
  Body: string;
  MD5OfBody: string;
  Attributes?: Record<string, string>;
}

let sandbox: Sandbox;
let now: number;

const start = async (options: SandboxOptions = {}) => {
  sandbox = await startSandbox({ clock: () => now, ...options });
};

beforeEach(() => {
  now = Date.parse('2026-11-30T12:00:00Z');
  return start();
});
afterEach(() => sandbox.close());

const sqs = (operation: string, input: object, account: string | RawCredentials = OWNER) =>
  callSqs(sandbox.endpoint, operation, input, account);

async function createQueue(name = 'failures', Attributes: Record<string, string> = {}): Promise<string> {
  const { json } = await sqs('CreateQueue', { QueueName: name, Attributes });
  return String(json.QueueUrl);
}

async function receive(QueueUrl: string, input: object = {}): Promise<ReceivedMessage[]> {
  const { status, json } = await sqs('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10, ...input });
  expect(status).toBe(200);
  return (json.Messages ?? []) as ReceivedMessage[];
}

const bodiesOf = (messages: ReceivedMessage[]): string[] => messages.map(({ Body }) => Body);

const policyFor = (statement: object): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: { Effect: 'Allow', Action: 'sqs:SendMessage', Resource: QUEUE_ARN, ...statement },
  });

describe('queues', () => {
  test('CreateQueue: the URL names the endpoint of the request, account and queue', async () => {
    expect(await createQueue()).toBe(`${sandbox.endpoint}/${OWNER}/failures`);
  });

  test('requests at the path of the queue URL: routed by the signing service', async () => {
    const QueueUrl = await createQueue();
    const { status, json } = await callSqs(
      sandbox.endpoint,
      'GetQueueAttributes',
      { QueueUrl, AttributeNames: ['QueueArn'] },
      OWNER,
      { path: `/${OWNER}/failures` },
    );
    expect([status, json]).toEqual([200, { Attributes: { QueueArn: QUEUE_ARN } }]);
  });

  test('GetQueueAttributes: the defaults of a new queue', async () => {
    const QueueUrl = await createQueue();
    const { json } = await sqs('GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] });
    // SQS API Reference, SetQueueAttributes. fact: localstack test_create_queue_with_attributes
    expect(json.Attributes).toEqual({
      QueueArn: QUEUE_ARN,
      ApproximateNumberOfMessages: '0',
      ApproximateNumberOfMessagesNotVisible: '0',
      ApproximateNumberOfMessagesDelayed: '0',
      CreatedTimestamp: '1796040000',
      LastModifiedTimestamp: '1796040000',
      VisibilityTimeout: '30',
      MaximumMessageSize: '1048576',
      MessageRetentionPeriod: '345600',
      DelaySeconds: '0',
      ReceiveMessageWaitTimeSeconds: '0',
      SqsManagedSseEnabled: 'true',
    });
  });

  test('CreateQueue: returns an existing queue, and rejects another value of an attribute', async () => {
    const url = await createQueue('failures', { DelaySeconds: '1' });
    expect(await createQueue('failures', { DelaySeconds: '1' })).toBe(url);
    expect(await createQueue()).toBe(url);
    // fact: localstack test_create_queue_with_different_attributes_raises_exception
    expect(
      await sqs('CreateQueue', { QueueName: 'failures', Attributes: { DelaySeconds: '2' } }),
    ).toMatchObject({
      status: 400,
      code: 'com.amazonaws.sqs#QueueNameExists',
      message: 'A queue already exists with the same name and a different value for attribute DelaySeconds',
    });
  });

  test('a queue that does not exist: the code of the Query protocol is in a header', async () => {
    const response = await sqs('GetQueueUrl', { QueueName: 'absent' });
    expect(response).toMatchObject({ status: 400, code: 'com.amazonaws.sqs#QueueDoesNotExist' });
    // SQS Developer Guide, "Migrating to the AWS JSON protocol".
    expect(response.headers.get('x-amzn-query-error')).toBe('AWS.SimpleQueueService.NonExistentQueue;Sender');
    const QueueUrl = `${sandbox.endpoint}/${OWNER}/absent`;
    expect((await sqs('SendMessage', { QueueUrl, MessageBody: 'x' })).code).toBe(
      'com.amazonaws.sqs#QueueDoesNotExist',
    );
  });

  test.each(['http://incorrect-queue-address', 'absent'])(
    'GetQueueAttributes of the URL %s: the queue does not exist',
    async (QueueUrl) => {
      // moto, test_get_queue_url_error_not_exists, verified against AWS.
      expect(await sqs('GetQueueAttributes', { QueueUrl })).toMatchObject({
        status: 400,
        code: 'com.amazonaws.sqs#QueueDoesNotExist',
        message: 'The specified queue does not exist.',
      });
    },
  );

  test('the name of a queue of the caller as its URL: accepted', async () => {
    // moto, test_send_message_delay_seconds_validation, verified against AWS.
    await createQueue();
    expect((await sqs('SendMessage', { QueueUrl: 'failures', MessageBody: 'a' })).status).toBe(200);
  });

  test('a queue of another Region: does not exist for the Region of the signature', async () => {
    const QueueUrl = await createQueue();
    const west = { accessKeyId: OWNER, region: 'us-west-2' };
    expect((await sqs('GetQueueAttributes', { QueueUrl }, west)).code).toBe(
      'com.amazonaws.sqs#QueueDoesNotExist',
    );
  });

  test.each([
    ['a name with a space', { QueueName: 'a b' }, 'com.amazon.coral.service#InvalidParameterValueException'],
    [
      'a FIFO queue without the suffix',
      { QueueName: 'a', Attributes: { FifoQueue: 'true' } },
      'com.amazon.coral.service#InvalidParameterValueException',
    ],
    [
      'an unknown attribute',
      { QueueName: 'a', Attributes: { Colour: 'red' } },
      'com.amazonaws.sqs#InvalidAttributeName',
    ],
    [
      'a visibility timeout above 12 hours',
      { QueueName: 'a', Attributes: { VisibilityTimeout: '43201' } },
      'com.amazonaws.sqs#InvalidAttributeValue',
    ],
    ['a redrive policy', { QueueName: 'a', Attributes: { RedrivePolicy: '{}' } }, 'NotImplemented'],
  ])('CreateQueue with %s: rejected, and no queue exists', async (_, input, code) => {
    expect((await sqs('CreateQueue', input)).code).toBe(code);
    expect((await sqs('ListQueues', {})).json).toEqual({});
  });

  test('ListQueues: pages of the queues with a prefix, in one Region', async () => {
    for (const name of ['b-1', 'b-2', 'a-1']) await createQueue(name);
    const first = await sqs('ListQueues', { QueueNamePrefix: 'b-', MaxResults: 1 });
    expect(first.json.QueueUrls).toEqual([`${sandbox.endpoint}/${OWNER}/b-1`]);
    const second = await sqs('ListQueues', {
      QueueNamePrefix: 'b-',
      MaxResults: 1,
      NextToken: first.json.NextToken,
    });
    expect(second.json).toEqual({ QueueUrls: [`${sandbox.endpoint}/${OWNER}/b-2`] });
  });

  test('tags: added, listed and removed', async () => {
    const QueueUrl = await createQueue();
    await sqs('TagQueue', { QueueUrl, Tags: { team: 'tax', tier: 'gold' } });
    await sqs('UntagQueue', { QueueUrl, TagKeys: ['tier'] });
    expect((await sqs('ListQueueTags', { QueueUrl })).json).toEqual({ Tags: { team: 'tax' } });
  });

  test('PurgeQueue: removes all messages, and is rejected for 60 seconds', async () => {
    const QueueUrl = await createQueue();
    await sqs('SendMessage', { QueueUrl, MessageBody: 'a' });
    expect((await sqs('PurgeQueue', { QueueUrl })).status).toBe(200);
    expect(await receive(QueueUrl)).toEqual([]);
    // fact: localstack test_successive_purge_calls_fail
    expect(await sqs('PurgeQueue', { QueueUrl })).toMatchObject({
      status: 403,
      message: 'Only one PurgeQueue operation on failures is allowed every 60 seconds.',
    });
    now += 60_000;
    expect((await sqs('PurgeQueue', { QueueUrl })).status).toBe(200);
  });
});

describe('messages', () => {
  test('a received message: hidden until its visibility timeout, then received again', async () => {
    const QueueUrl = await createQueue();
    await sqs('SendMessage', { QueueUrl, MessageBody: 'hello' });
    const [first] = await receive(QueueUrl, { MessageSystemAttributeNames: ['All'] });
    expect(first).toMatchObject({
      Body: 'hello',
      MD5OfBody: '5d41402abc4b2a76b9719d911017c592',
      Attributes: { ApproximateReceiveCount: '1', SentTimestamp: String(now), SenderId: OWNER },
    });
    expect(await receive(QueueUrl)).toEqual([]);
    now += 30_000;
    const [second] = await receive(QueueUrl, { AttributeNames: ['ApproximateReceiveCount'] });
    expect(second?.Attributes).toEqual({ ApproximateReceiveCount: '2' });
    expect(second?.MessageId).toBe(first?.MessageId);
    expect(second?.ReceiptHandle).not.toBe(first?.ReceiptHandle);
  });

  test('DeleteMessage: deletes with the last receipt handle; an earlier one succeeds without effect', async () => {
    // SQS API Reference, DeleteMessage.
    const QueueUrl = await createQueue();
    await sqs('SendMessage', { QueueUrl, MessageBody: 'a' });
    const [first] = await receive(QueueUrl, { VisibilityTimeout: 0 });
    const [second] = await receive(QueueUrl, { VisibilityTimeout: 0 });
    expect((await sqs('DeleteMessage', { QueueUrl, ReceiptHandle: first?.ReceiptHandle })).status).toBe(200);
    expect(await receive(QueueUrl, { VisibilityTimeout: 0 })).toHaveLength(1);
    const [last] = await receive(QueueUrl, { VisibilityTimeout: 0 });
    expect((await sqs('DeleteMessage', { QueueUrl, ReceiptHandle: second?.ReceiptHandle })).status).toBe(200);
    await sqs('DeleteMessage', { QueueUrl, ReceiptHandle: last?.ReceiptHandle });
    expect(await receive(QueueUrl)).toEqual([]);
    expect(await sqs('DeleteMessage', { QueueUrl, ReceiptHandle: 'handle' })).toMatchObject({
      status: 404,
      code: 'com.amazonaws.sqs#ReceiptHandleIsInvalid',
      message: 'The input receipt handle "handle" is not a valid receipt handle.',
    });
  });

  test('ChangeMessageVisibility: makes a message visible, and rejects one that is not in flight', async () => {
    const QueueUrl = await createQueue();
    await sqs('SendMessage', { QueueUrl, MessageBody: 'a' });
    const [message] = await receive(QueueUrl);
    const input = { QueueUrl, ReceiptHandle: message?.ReceiptHandle, VisibilityTimeout: 0 };
    expect((await sqs('ChangeMessageVisibility', input)).status).toBe(200);
    expect((await sqs('ChangeMessageVisibility', input)).message).toBe(
      `Value ${message?.ReceiptHandle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.`,
    );
    expect(await receive(QueueUrl)).toHaveLength(1);
  });

  test('DelaySeconds: a message is received after its delay', async () => {
    const QueueUrl = await createQueue();
    await sqs('SendMessage', { QueueUrl, MessageBody: 'a', DelaySeconds: 5 });
    const { json } = await sqs('GetQueueAttributes', {
      QueueUrl,
      AttributeNames: ['ApproximateNumberOfMessagesDelayed'],
    });
    expect(json.Attributes).toEqual({ ApproximateNumberOfMessagesDelayed: '1' });
    expect(await receive(QueueUrl)).toEqual([]);
    now += 5_000;
    expect(await receive(QueueUrl)).toHaveLength(1);
  });

  test('retention: a message is removed after four days', async () => {
    const QueueUrl = await createQueue();
    await sqs('SendMessage', { QueueUrl, MessageBody: 'a' });
    now += 4 * 86_400_000;
    expect(await receive(QueueUrl, { VisibilityTimeout: 0 })).toHaveLength(1);
    now += 1;
    const AttributeNames = ['ApproximateNumberOfMessages'];
    expect((await sqs('GetQueueAttributes', { QueueUrl, AttributeNames })).json.Attributes).toEqual({
      ApproximateNumberOfMessages: '0',
    });
    expect(await receive(QueueUrl)).toEqual([]);
  });

  test('batches: each entry succeeds or fails by itself', async () => {
    const QueueUrl = await createQueue();
    const sent = await sqs('SendMessageBatch', {
      QueueUrl,
      Entries: [
        { Id: '1', MessageBody: 'a' },
        { Id: '2', MessageBody: 'b', DelaySeconds: 901 },
      ],
    });
    expect(sent.json).toMatchObject({
      Successful: [{ Id: '1' }],
      Failed: [{ Id: '2', SenderFault: true, Code: 'InvalidParameterValue' }],
    });
    const [message] = await receive(QueueUrl);
    const entry = { Id: '1', ReceiptHandle: message?.ReceiptHandle };
    expect((await sqs('DeleteMessageBatch', { QueueUrl, Entries: [entry] })).json).toEqual({
      Successful: [{ Id: '1' }],
    });
    // moto, test_delete_message_batch_with_zero_entries, verified against AWS.
    const empty = await sqs('DeleteMessageBatch', { QueueUrl, Entries: [] });
    expect(empty).toMatchObject({
      code: 'com.amazonaws.sqs#EmptyBatchRequest',
      message: 'There should be at least one DeleteMessageBatchRequestEntry in the request.',
    });
    // fact: localstack test_too_many_entries_in_batch_request
    const Entries = Array.from({ length: 20 }, (_, index) => ({ Id: String(index), ReceiptHandle: 'x' }));
    const tooMany = await sqs('DeleteMessageBatch', { QueueUrl, Entries });
    expect(tooMany.message).toBe('Maximum number of entries per request are 10. You have sent 20.');
    expect(tooMany.headers.get('x-amzn-query-error')).toBe(
      'AWS.SimpleQueueService.TooManyEntriesInBatchRequest;Sender',
    );
  });

  test.each([
    [
      'ReceiveMessage with 11 messages',
      'ReceiveMessage',
      { MaxNumberOfMessages: 11 },
      'Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.',
    ],
    [
      'ReceiveMessage with 21 seconds',
      'ReceiveMessage',
      { WaitTimeSeconds: 21 },
      'Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be between 0 and 20, if provided.',
    ],
    [
      'SendMessage with more than the maximum size',
      'SendMessage',
      { MessageBody: 'x'.repeat(1025) },
      'One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.',
    ],
    // fact: localstack test_fifo_queue_send_message_with_delay_seconds_fails, for the other type of queue
    [
      'SendMessage with a deduplication id to a standard queue',
      'SendMessage',
      { MessageBody: 'a', MessageDeduplicationId: 'x' },
      'Value x for parameter MessageDeduplicationId is invalid. Reason: The request include parameter that is not valid for this queue type.',
    ],
  ])('%s: rejected', async (_, operation, input, message) => {
    const QueueUrl = await createQueue('failures', { MaximumMessageSize: '1024' });
    expect(await sqs(operation, { QueueUrl, ...input })).toMatchObject({ status: 400, message });
  });

  test('FIFO: order within a group, one message of a group in flight, and no duplicates', async () => {
    const QueueUrl = await createQueue('failures.fifo', { FifoQueue: 'true' });
    const send = (MessageBody: string, MessageGroupId: string, MessageDeduplicationId = MessageBody) =>
      sqs('SendMessage', { QueueUrl, MessageBody, MessageGroupId, MessageDeduplicationId });
    const { json } = await send('a-1', 'a');
    for (const [body, group] of [
      ['b-1', 'b'],
      ['a-2', 'a'],
    ] as const)
      await send(body, group);
    expect((await send('a-1', 'a')).json).toMatchObject({
      MessageId: json.MessageId,
      SequenceNumber: json.SequenceNumber,
    });
    expect(bodiesOf(await receive(QueueUrl, { MaxNumberOfMessages: 1 }))).toEqual(['a-1']);
    expect(bodiesOf(await receive(QueueUrl))).toEqual(['b-1']);
    now += 30_000;
    expect(bodiesOf(await receive(QueueUrl))).toEqual(['a-1', 'b-1', 'a-2']);
    // fact: localstack test_send_batch_missing_message_group_id_for_fifo_queue
    const Entries = [
      { Id: '1', MessageBody: 'x', MessageGroupId: 'a', MessageDeduplicationId: 'x' },
      { Id: '2', MessageBody: 'y' },
    ];
    expect(await sqs('SendMessageBatch', { QueueUrl, Entries })).toMatchObject({
      status: 400,
      code: 'com.amazon.coral.service#InvalidParameterValueException',
      message: 'The request must contain the parameter MessageGroupId.',
    });
    expect((await sqs('SendMessage', { QueueUrl, MessageBody: 'x' })).message).toBe(
      'The request must contain the parameter MessageGroupId.',
    );
  });
});

test('a queue with 200,000 messages: rejects others, and accepts them after a deletion', async () => {
  const QueueUrl = await createQueue();
  const queue = sandbox.store.queue(QUEUE_ARN);
  if (!queue) throw new Error('no queue');
  const store = createMemoryStore();
  for (let count = 0; count < 200_000; count++) addMessage(store, queue, { body: 'x', sender: OWNER }, now);
  const send = { QueueUrl, MessageBody: 'a' };
  expect(await sqs('SendMessage', send)).toMatchObject({ status: 403, code: 'com.amazonaws.sqs#OverLimit' });
  const [message] = await receive(QueueUrl);
  await sqs('DeleteMessage', { QueueUrl, ReceiptHandle: message?.ReceiptHandle });
  expect((await sqs('SendMessage', send)).status).toBe(200);
});

describe('long polling', () => {
  test('a message that arrives during the wait: returned immediately', async () => {
    const QueueUrl = await createQueue();
    const waiting = receive(QueueUrl, { WaitTimeSeconds: 20 });
    await untilCalled('ReceiveMessage', 1);
    await sqs('SendMessage', { QueueUrl, MessageBody: 'a' });
    expect(bodiesOf(await waiting)).toEqual(['a']);
  });

  test('a message that becomes visible during the wait: returned', async () => {
    await sandbox.close();
    await startSandbox().then((started) => {
      sandbox = started;
    });
    const QueueUrl = await createQueue();
    await sqs('SendMessage', { QueueUrl, MessageBody: 'a' });
    await receive(QueueUrl, { VisibilityTimeout: 1 });
    expect(bodiesOf(await receive(QueueUrl, { WaitTimeSeconds: 20 }))).toEqual(['a']);
  });

  test('one message for two receivers: only one receives it', async () => {
    const QueueUrl = await createQueue();
    const waiting = [1, 2].map(() => receive(QueueUrl, { WaitTimeSeconds: 20 }));
    await untilCalled('ReceiveMessage', 2);
    await sqs('SendMessage', { QueueUrl, MessageBody: 'a' });
    expect(bodiesOf(await Promise.race(waiting))).toEqual(['a']);
    await sqs('SendMessage', { QueueUrl, MessageBody: 'b' });
    expect((await Promise.all(waiting)).flatMap(bodiesOf).sort()).toEqual(['a', 'b']);
  });

  test('a client that disconnects: takes no message', async () => {
    const QueueUrl = await createQueue();
    const controller = new AbortController();
    const waiting = callSqs(sandbox.endpoint, 'ReceiveMessage', { QueueUrl, WaitTimeSeconds: 20 }, OWNER, {
      signal: controller.signal,
    });
    await untilCalled('ReceiveMessage', 1);
    controller.abort();
    await expect(waiting).rejects.toThrow();
    await untilAnswered('ReceiveMessage');
    await sqs('SendMessage', { QueueUrl, MessageBody: 'a' });
    expect(bodiesOf(await receive(QueueUrl))).toEqual(['a']);
  });

  test('a queue that is deleted during the wait: does not exist', async () => {
    const QueueUrl = await createQueue();
    const waiting = sqs('ReceiveMessage', { QueueUrl, WaitTimeSeconds: 20 });
    await untilCalled('ReceiveMessage', 1);
    await sqs('DeleteQueue', { QueueUrl });
    expect((await waiting).code).toBe('com.amazonaws.sqs#QueueDoesNotExist');
  });

  test('close of the sandbox: ends many waits, without a warning of Node.js', async () => {
    const warnings: Error[] = [];
    const addWarning = (warning: Error) => void warnings.push(warning);
    process.on('warning', addWarning);
    const QueueUrl = await createQueue();
    const waiting = Array.from({ length: 20 }, () =>
      sqs('ReceiveMessage', { QueueUrl, WaitTimeSeconds: 20 }).catch(() => 'closed'),
    );
    await untilCalled('ReceiveMessage', 20);
    await sandbox.close();
    await Promise.all(waiting);
    process.off('warning', addWarning);
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).toEqual([]);
    await start();
  });

  /** Waits until the sandbox handles a number of calls of an operation. */
  const untilCalled = (operation: string, count: number) =>
    expect.poll(() => entriesOf(operation).length).toBe(count);
  const untilAnswered = (operation: string) =>
    expect.poll(() => entriesOf(operation).every(({ status }) => status !== undefined)).toBe(true);
  const entriesOf = (name: string) => sandbox.log.entries.filter(({ operation }) => operation === name);
});

describe('access', () => {
  test('another account: needs the queue policy, which cannot grant the actions of the owner', async () => {
    const QueueUrl = await createQueue();
    const send = { QueueUrl, MessageBody: 'a' };
    const denied = await sqs('SendMessage', send, OTHER);
    expect(denied).toMatchObject({ status: 403, code: 'com.amazon.coral.service#AccessDeniedException' });
    expect(denied.message).toContain(
      `User: arn:aws:iam::${OTHER}:root is not authorized to perform: sqs:sendmessage on resource: ${QUEUE_ARN}`,
    );
    expect(denied.headers.get('x-amzn-query-error')).toBe('AccessDenied;Sender');
    const Policy = policyFor({ Principal: { AWS: OTHER }, Action: 'sqs:*' });
    await sqs('SetQueueAttributes', { QueueUrl, Attributes: { Policy } });
    expect((await sqs('SendMessage', send, OTHER)).status).toBe(200);
    // SQS Developer Guide, "Limitations of Amazon SQS custom policies": no cross-account SetQueueAttributes.
    expect((await sqs('SetQueueAttributes', { QueueUrl, Attributes: {} }, OTHER)).status).toBe(403);
    expect(
      (await sqs('GetQueueUrl', { QueueName: 'failures', QueueOwnerAWSAccountId: OWNER }, OTHER)).json,
    ).toEqual({
      QueueUrl,
    });
  });

  test('GetQueueUrl of another account without permission: as for a queue that does not exist', async () => {
    await createQueue();
    const input = { QueueName: 'failures', QueueOwnerAWSAccountId: OWNER };
    expect((await sqs('GetQueueUrl', input, OTHER)).message).toBe(
      'The specified queue does not exist or you do not have access to it.',
    );
  });

  test('a session of a role: its identity policy decides in its own account', async () => {
    const QueueUrl = await createQueue();
    const toDocument = (statement: object) =>
      JSON.stringify({ Version: '2012-10-17', Statement: { Effect: 'Allow', ...statement } });
    const role = { RoleName: 'sender' };
    const trust = toDocument({ Principal: { AWS: OWNER }, Action: 'sts:AssumeRole' });
    await callQuery(sandbox.endpoint, 'iam', 'CreateRole', { ...role, AssumeRolePolicyDocument: trust });
    const policy = toDocument({ Action: 'sqs:SendMessage', Resource: QUEUE_ARN });
    await callQuery(sandbox.endpoint, 'iam', 'PutRolePolicy', {
      ...role,
      PolicyName: 'p',
      PolicyDocument: policy,
    });
    const config = { endpoint: sandbox.endpoint, region: 'us-east-1' };
    const user = { accessKeyId: `AKIA${OWNER}`, secretAccessKey: 'any' };
    const sts = new STS({ ...config, credentials: user });
    const assumed = await sts.assumeRole({
      RoleArn: `arn:aws:iam::${OWNER}:role/sender`,
      RoleSessionName: 'session',
    });
    const { AccessKeyId = '', SecretAccessKey = '', SessionToken = '' } = assumed.Credentials ?? {};
    const client = new SQS({
      ...config,
      credentials: { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken },
    });
    await client.sendMessage({ QueueUrl, MessageBody: 'a' });
    await expect(client.receiveMessage({ QueueUrl })).rejects.toMatchObject({
      message: expect.stringContaining('is not authorized to perform: sqs:receivemessage'),
    });
    const Policy = policyFor({ Effect: 'Deny', Principal: '*' });
    await sqs('SetQueueAttributes', { QueueUrl, Attributes: { Policy } });
    await expect(client.sendMessage({ QueueUrl, MessageBody: 'a' })).rejects.toThrow(
      'queue policy of failures denies',
    );
    sts.destroy();
    client.destroy();
  });

  test.each([
    ['text that is not JSON', '{'],
    ['a statement without principal', policyFor({})],
    ['an action of another service', policyFor({ Principal: '*', Action: 's3:GetObject' })],
    ['a role that does not exist', policyFor({ Principal: { AWS: `arn:aws:iam::${OWNER}:role/absent` } })],
    ['more than 8192 bytes', policyFor({ Principal: '*', Sid: 'x'.repeat(8192) })],
  ])('SetQueueAttributes with a policy with %s: rejected, and the policy is unchanged', async (_, Policy) => {
    const QueueUrl = await createQueue();
    expect(await sqs('SetQueueAttributes', { QueueUrl, Attributes: { Policy } })).toMatchObject({
      status: 400,
      code: 'com.amazonaws.sqs#InvalidAttributeValue',
      message: 'Invalid value for the parameter Policy.',
    });
    expect((await sqs('GetQueueAttributes', { QueueUrl, AttributeNames: ['Policy'] })).json).toEqual({});
  });

  test('a queue under a customer key: the sender needs the key too', async () => {
    const { json } = await callKms(sandbox.endpoint, 'CreateKey', {});
    const keyId = (json.KeyMetadata as { KeyId: string }).KeyId;
    const QueueUrl = await createQueue('failures', { KmsMasterKeyId: keyId });
    const { json: attributes } = await sqs('GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] });
    // fact: localstack test_sse_queue_attributes
    expect(attributes.Attributes).toMatchObject({ KmsMasterKeyId: keyId, SqsManagedSseEnabled: 'false' });
    const send = { QueueUrl, MessageBody: 'a' };
    expect((await sqs('SendMessage', send)).status).toBe(200);
    await callKms(sandbox.endpoint, 'DisableKey', { KeyId: keyId });
    const disabled = await sqs('SendMessage', send);
    expect(disabled.code).toBe('com.amazonaws.sqs#KmsDisabled');
    expect(disabled.headers.get('x-amzn-query-error')).toBe('KMS.DisabledException;Sender');
  });
});

describe('saved state', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'replikey-sqs-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const restart = async () => {
    await sandbox.close();
    await start({ state: folder });
  };

  test('a full disk: no message is added, received or deleted, and later calls succeed', async () => {
    let isFull = false;
    await sandbox.close();
    await start({ state: folder, storeOptions: { fileSystem: createFullDisk(() => isFull) } });
    const QueueUrl = await createQueue();
    const send = (MessageBody: string) => sqs('SendMessage', { QueueUrl, MessageBody });
    await send('kept');
    const [message] = await receive(QueueUrl, { VisibilityTimeout: 0 });
    const deletion = { QueueUrl, ReceiptHandle: message?.ReceiptHandle };
    isFull = true;
    const receipt = { QueueUrl, VisibilityTimeout: 60 };
    for (const response of [
      await send('lost'),
      await sqs('DeleteMessage', deletion),
      await sqs('ReceiveMessage', receipt),
      await sqs('DeleteQueue', { QueueUrl }),
    ])
      expect(response).toMatchObject({ status: 500, message: expect.stringContaining('ENOSPC') });
    isFull = false;
    expect((await sqs('DeleteMessage', deletion)).status).toBe(200);
    await send('next');
    expect(bodiesOf(await receive(QueueUrl))).toEqual(['next']);
  });

  test('restart: queues, policies and messages survive, deleted ones do not', async () => {
    await restart();
    await createQueue();
    const urlOf = (name: string) => `${sandbox.endpoint}/${OWNER}/${name}`;
    await createQueue('gone');
    await sqs('SendMessage', { QueueUrl: urlOf('gone'), MessageBody: 'lost' });
    await sqs('DeleteQueue', { QueueUrl: urlOf('gone') });
    const Policy = policyFor({ Principal: { AWS: OTHER } });
    await sqs('SetQueueAttributes', { QueueUrl: urlOf('failures'), Attributes: { Policy } });
    for (const body of ['first', 'second', 'third'])
      await sqs('SendMessage', { QueueUrl: urlOf('failures'), MessageBody: body });
    const [first] = await receive(urlOf('failures'), { MaxNumberOfMessages: 1 });
    await restart();
    expect((await sqs('ListQueues', {})).json.QueueUrls).toEqual([urlOf('failures')]);
    expect((await sqs('SendMessage', { QueueUrl: urlOf('failures'), MessageBody: 'x' }, OTHER)).status).toBe(
      200,
    );
    // The message in flight stays hidden, and its receipt handle is still valid.
    expect(bodiesOf(await receive(urlOf('failures')))).toEqual(['second', 'third', 'x']);
    await sqs('DeleteMessage', { QueueUrl: urlOf('failures'), ReceiptHandle: first?.ReceiptHandle });
    await restart();
    now += 30_000;
    expect(bodiesOf(await receive(urlOf('failures')))).toEqual(['second', 'third', 'x']);
  });
});
