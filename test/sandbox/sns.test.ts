import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createKeyService } from '../../src/sandbox/kms/keys.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createTopicService } from '../../src/sandbox/sns/topic-service.ts';
import { createQueueService } from '../../src/sandbox/sqs/queue-service.ts';
import { callCloudWatch, callKms, callQuery, callS3, callSqs } from '../support/raw-aws.ts';
import { elementsOf } from './raw-request.ts';

/**
 * SNS over raw HTTP. Responses and errors are those that LocalStack recorded from AWS
 * (tests/aws/services/sns/test_sns.snapshot.json); other facts name the page of the SNS documentation.
 */

const OWNER = '111122223333';
const OTHER = '444455556666';
const TOPIC_ARN = `arn:aws:sns:us-east-1:${OWNER}:replication`;
const QUEUE_ARN = `arn:aws:sqs:us-east-1:${OWNER}:failures`;

let sandbox: Sandbox;
let errors: string[];

beforeEach(async () => {
  errors = [];
  sandbox = await startSandbox({ onError: (message) => errors.push(message) });
});
afterEach(() => sandbox.close());

const sns = (operation: string, input: Record<string, string>, account = OWNER) =>
  callQuery(sandbox.endpoint, 'sns', operation, input, account);
const sqs = (operation: string, input: object) => callSqs(sandbox.endpoint, operation, input);
const elementOf = (body: string, name: string): string => elementsOf(body, name)[0] ?? '';
const unescapeXml = (text: string): string => text.replaceAll('&quot;', '"').replaceAll('&amp;', '&');

/** Returns the attributes of a response, by name. */
const attributesOf = (body: string): Record<string, string> =>
  Object.fromEntries(
    elementsOf(body, 'entry').map((entry) => [
      elementOf(entry, 'key'),
      unescapeXml(elementOf(entry, 'value')),
    ]),
  );

const createTopic = async (
  Name = 'replication',
  attributes: Record<string, string> = {},
): Promise<string> => {
  const response = await sns('CreateTopic', { Name, ...toEntries('Attributes', attributes) });
  return elementOf(response.body, 'TopicArn');
};

/** Returns a map in the form of the Query protocol. */
const toEntries = (name: string, values: Record<string, string>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(values).flatMap(([key, value], index) => [
      [`${name}.entry.${index + 1}.key`, key],
      [`${name}.entry.${index + 1}.value`, value],
    ]),
  );

const policyOf = (statement: object): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: { Effect: 'Allow', Resource: '*', ...statement } });

/** Creates a queue that SNS may send to for the topic. */
async function createQueue(
  Policy = policyOf({
    Principal: { Service: 'sns.amazonaws.com' },
    Action: 'sqs:SendMessage',
    Condition: { ArnEquals: { 'aws:SourceArn': TOPIC_ARN } },
  }),
): Promise<void> {
  await sqs('CreateQueue', { QueueName: 'failures', Attributes: { Policy } });
}

const subscribe = (attributes: Record<string, string> = {}) =>
  sns('Subscribe', {
    TopicArn: TOPIC_ARN,
    Protocol: 'sqs',
    Endpoint: QUEUE_ARN,
    ...toEntries('Attributes', attributes),
  });

interface Message {
  Body: string;
  MessageAttributes?: object;
}

async function received(): Promise<Message[]> {
  const QueueUrl = `${sandbox.endpoint}/${OWNER}/failures`;
  const { json } = await sqs('ReceiveMessage', {
    QueueUrl,
    MaxNumberOfMessages: 10,
    MessageAttributeNames: ['All'],
  });
  return (json.Messages ?? []) as Message[];
}

const setPolicy = (AttributeValue: string) =>
  sns('SetTopicAttributes', { TopicArn: TOPIC_ARN, AttributeName: 'Policy', AttributeValue });

describe('topics', () => {
  test('GetTopicAttributes: the attributes of a new topic', async () => {
    expect(await createTopic()).toBe(TOPIC_ARN);
    const { body } = await sns('GetTopicAttributes', { TopicArn: TOPIC_ARN });
    const { Policy = '', EffectiveDeliveryPolicy, ...attributes } = attributesOf(body);
    // fact: localstack TestSNSTopicCrud::test_create_topic_test_arn
    expect(attributes).toEqual({
      TopicArn: TOPIC_ARN,
      Owner: OWNER,
      DisplayName: '',
      SubscriptionsConfirmed: '0',
      SubscriptionsDeleted: '0',
      SubscriptionsPending: '0',
    });
    expect(JSON.parse(EffectiveDeliveryPolicy ?? '')).toHaveProperty(
      'http.defaultHealthyRetryPolicy.numRetries',
      3,
    );
    expect(JSON.parse(Policy)).toEqual({
      Version: '2008-10-17',
      Id: '__default_policy_ID',
      Statement: [
        {
          Sid: '__default_statement_ID',
          Effect: 'Allow',
          Principal: { AWS: '*' },
          Action: [
            'SNS:GetTopicAttributes',
            'SNS:SetTopicAttributes',
            'SNS:AddPermission',
            'SNS:RemovePermission',
            'SNS:DeleteTopic',
            'SNS:Subscribe',
            'SNS:ListSubscriptionsByTopic',
            'SNS:Publish',
          ],
          Resource: TOPIC_ARN,
          Condition: { StringEquals: { 'AWS:SourceOwner': OWNER } },
        },
      ],
    });
  });

  test('CreateTopic: returns an existing topic, and rejects other tags', async () => {
    const tag = { 'Tags.member.1.Key': 'team', 'Tags.member.1.Value': 'tax' };
    await sns('CreateTopic', { Name: 'replication', ...tag });
    expect(await createTopic()).toBe(TOPIC_ARN);
    // fact: localstack TestSNSTopicCrud::test_create_duplicate_topic_with_more_tags
    expect(
      await sns('CreateTopic', { Name: 'replication', ...tag, 'Tags.member.1.Value': 'law' }),
    ).toMatchObject({
      status: 400,
      code: 'InvalidParameter',
      message: 'Invalid parameter: Tags Reason: Topic already exists with different tags',
    });
    expect(elementsOf((await sns('ListTopics', {})).body, 'TopicArn')).toEqual([TOPIC_ARN]);
  });

  test('a FIFO topic: has the suffix, and its messages are not implemented', async () => {
    expect(
      (await sns('CreateTopic', { Name: 'a', ...toEntries('Attributes', { FifoTopic: 'true' }) })).message,
    ).toBe('Invalid parameter: Topic Name');
    const arn = await createTopic('a.fifo', { FifoTopic: 'true' });
    const { body } = await sns('GetTopicAttributes', { TopicArn: arn });
    expect(attributesOf(body)).toMatchObject({ FifoTopic: 'true', ContentBasedDeduplication: 'false' });
    expect((await sns('Publish', { TopicArn: arn, Message: 'a', MessageGroupId: 'g' })).status).toBe(501);
  });

  test('tags: added, listed and removed', async () => {
    const ResourceArn = await createTopic();
    const keys = {
      'Tags.member.1.Key': 'k1',
      'Tags.member.1.Value': 'v1',
      'Tags.member.2.Key': 'k2',
      'Tags.member.2.Value': 'v2',
    };
    await sns('TagResource', { ResourceArn, ...keys });
    await sns('UntagResource', { ResourceArn, 'TagKeys.member.1': 'k1' });
    const { body } = await sns('ListTagsForResource', { ResourceArn });
    expect([elementsOf(body, 'Key'), elementsOf(body, 'Value')]).toEqual([['k2'], ['v2']]);
  });

  test('DeleteTopic twice: succeeds', async () => {
    // SNS API Reference, DeleteTopic.
    await createTopic();
    for (const _ of [1, 2]) expect((await sns('DeleteTopic', { TopicArn: TOPIC_ARN })).status).toBe(200);
    expect((await sns('ListTagsForResource', { ResourceArn: TOPIC_ARN })).code).toBe('ResourceNotFound');
  });

  test.each([
    ['a topic that does not exist', { TopicArn: TOPIC_ARN }, 404, 'NotFound', 'Topic does not exist'],
    [
      'text that is not an ARN',
      { TopicArn: 'replication' },
      400,
      'InvalidParameter',
      'Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1',
    ],
  ])('GetTopicAttributes of %s: rejected', async (_, input, status, code, message) => {
    expect(await sns('GetTopicAttributes', input)).toMatchObject({ status, code, message });
  });

  test.each([
    // https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html
    ['a wildcard', { Principal: '*', Action: 'SNS:*' }, 'Policy statement action out of service scope!'],
    [
      'an action of SQS',
      { Principal: '*', Action: 'sqs:SendMessage' },
      'Policy statement action out of service scope!',
    ],
    [
      'a role that does not exist',
      { Principal: { AWS: `arn:aws:iam::${OWNER}:role/absent` }, Action: 'SNS:Publish' },
      'Policy Error: PrincipalNotFound',
    ],
  ])('SetTopicAttributes with a policy with %s: rejected', async (_, statement, message) => {
    await createTopic();
    expect(await setPolicy(policyOf(statement))).toMatchObject({
      status: 400,
      code: 'InvalidParameter',
      message: `Invalid parameter: ${message}`,
    });
  });

  // https://github.com/cloud-custodian/cloud-custodian/issues/1779
  test('SetTopicAttributes with a policy without statements: rejected', async () => {
    await createTopic();
    expect(await setPolicy(JSON.stringify({ Version: '2012-10-17', Statement: [] }))).toMatchObject({
      status: 400,
      code: 'InvalidParameter',
      message: 'Invalid parameter: Policy Error: null',
    });
  });

  test('another account: needs the topic policy', async () => {
    await createTopic();
    const publish = { TopicArn: TOPIC_ARN, Message: 'a' };
    expect(await sns('Publish', publish, OTHER)).toMatchObject({
      status: 403,
      code: 'AuthorizationError',
      message: expect.stringContaining(
        `User: arn:aws:iam::${OTHER}:root is not authorized to perform: SNS:Publish on resource: ${TOPIC_ARN}`,
      ),
    });
    await setPolicy(policyOf({ Principal: { AWS: OTHER }, Action: 'SNS:Publish' }));
    expect((await sns('Publish', publish, OTHER)).status).toBe(200);
  });
});

describe('subscriptions of queues', () => {
  test('Publish: the queue receives the message in its envelope', async () => {
    await createTopic();
    await createQueue();
    const { body } = await subscribe();
    const subscriptionArn = elementOf(body, 'SubscriptionArn');
    expect(subscriptionArn).toMatch(new RegExp(`^${TOPIC_ARN}:[0-9a-f-]{36}$`));
    const published = await sns('Publish', {
      TopicArn: TOPIC_ARN,
      Subject: 'Failed',
      Message: 'hello',
      'MessageAttributes.entry.1.Name': 'rule',
      'MessageAttributes.entry.1.Value.DataType': 'String',
      'MessageAttributes.entry.1.Value.StringValue': 'tax',
    });
    const [message] = await received();
    // fact: localstack TestSNSPublishCrud::test_publish_message_before_subscribe_topic
    expect(JSON.parse(message?.Body ?? '')).toEqual({
      Type: 'Notification',
      MessageId: elementOf(published.body, 'MessageId'),
      TopicArn: TOPIC_ARN,
      Subject: 'Failed',
      Message: 'hello',
      Timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      SignatureVersion: '1',
      Signature: expect.any(String),
      SigningCertURL: expect.stringMatching(
        /^https:\/\/sns\.us-east-1\.amazonaws\.com\/SimpleNotificationService-/,
      ),
      UnsubscribeURL: `https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=${subscriptionArn}`,
      MessageAttributes: { rule: { Type: 'String', Value: 'tax' } },
    });
  });

  test('RawMessageDelivery: the queue receives the message itself, with its attributes', async () => {
    await createTopic();
    await createQueue();
    await subscribe({ RawMessageDelivery: 'true' });
    await sns('Publish', {
      TopicArn: TOPIC_ARN,
      Message: JSON.stringify({ default: 'for others', sqs: 'for queues' }),
      MessageStructure: 'json',
      'MessageAttributes.entry.1.Name': 'rule',
      'MessageAttributes.entry.1.Value.DataType': 'Binary',
      'MessageAttributes.entry.1.Value.BinaryValue': 'dGF4',
    });
    expect(await received()).toMatchObject([
      { Body: 'for queues', MessageAttributes: { rule: { DataType: 'Binary', BinaryValue: 'dGF4' } } },
    ]);
  });

  test('a queue policy that does not allow SNS: the message is lost, and the sandbox reports it', async () => {
    await createTopic();
    await createQueue(policyOf({ Principal: { Service: 's3.amazonaws.com' }, Action: 'sqs:SendMessage' }));
    await subscribe();
    expect((await sns('Publish', { TopicArn: TOPIC_ARN, Message: 'a' })).status).toBe(200);
    expect(await received()).toEqual([]);
    expect(errors).toEqual([
      expect.stringContaining(
        `cannot deliver a message of ${TOPIC_ARN} to ${QUEUE_ARN}: queue policy of failures does not allow`,
      ),
    ]);
  });

  test('Subscribe twice: returns the same subscription; Unsubscribe twice succeeds', async () => {
    await createTopic();
    const [first, second] = [await subscribe(), await subscribe()];
    expect(second.body.replace(/<RequestId>.*/, '')).toBe(first.body.replace(/<RequestId>.*/, ''));
    expect((await subscribe({ RawMessageDelivery: 'true' })).message).toBe(
      'Invalid parameter: Attributes Reason: Subscription already exists with different attributes',
    );
    const SubscriptionArn = elementOf(first.body, 'SubscriptionArn');
    const list = await sns('ListSubscriptionsByTopic', { TopicArn: TOPIC_ARN });
    expect(elementsOf(list.body, 'Endpoint')).toEqual([QUEUE_ARN]);
    for (const _ of [1, 2]) expect((await sns('Unsubscribe', { SubscriptionArn })).status).toBe(200);
    expect((await sns('GetSubscriptionAttributes', { SubscriptionArn })).code).toBe('NotFound');
  });

  test.each([
    [
      'an unknown protocol',
      { Protocol: 'pigeon' },
      400,
      'Invalid parameter: Amazon SNS does not support this protocol string: pigeon',
    ],
    [
      'a protocol that the sandbox does not have',
      { Protocol: 'email' },
      501,
      'The sandbox does not implement subscriptions with the protocol email',
    ],
    ['an endpoint that is not a queue', { Endpoint: 'failures' }, 400, 'Invalid parameter: SQS endpoint ARN'],
    [
      'a FIFO queue',
      { Endpoint: `${QUEUE_ARN}.fifo` },
      400,
      'Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics',
    ],
    [
      'an invalid RawMessageDelivery',
      toEntries('Attributes', { RawMessageDelivery: 'wrongvalue' }),
      400,
      'Invalid parameter: Attributes Reason: RawMessageDelivery: Invalid value [wrongvalue]. Must be true or false.',
    ],
  ])('Subscribe with %s: rejected', async (_, input, status, message) => {
    await createTopic();
    const response = await sns('Subscribe', {
      TopicArn: TOPIC_ARN,
      Protocol: 'sqs',
      Endpoint: QUEUE_ARN,
      ...input,
    });
    expect(response).toMatchObject({ status, message });
  });

  test.each([
    ['an empty message', { Message: '' }, 'Empty message'],
    ['an empty subject', { Message: 'a', Subject: '' }, 'Subject'],
    ['a message above 256 KB', { Message: 'x'.repeat(262_145) }, 'Message too long'],
    [
      'a structure without default',
      { Message: '{}', MessageStructure: 'json' },
      'Message Structure - No default entry in JSON message body',
    ],
  ])('Publish with %s: rejected', async (_, input, message) => {
    await createTopic();
    expect((await sns('Publish', { TopicArn: TOPIC_ARN, ...input })).message).toBe(
      `Invalid parameter: ${message}`,
    );
  });
});

describe('services as publishers', () => {
  const BUCKET = 'acme-tax';
  const putNotification = () =>
    callS3(sandbox.endpoint, 'PUT', `/${BUCKET}?notification`, {
      body: `<NotificationConfiguration><TopicConfiguration><Topic>${TOPIC_ARN}</Topic><Event>s3:Replication:*</Event></TopicConfiguration></NotificationConfiguration>`,
    });
  const S3_STATEMENT = {
    Principal: { Service: 's3.amazonaws.com' },
    Action: 'SNS:Publish',
    Condition: {
      ArnLike: { 'aws:SourceArn': `arn:aws:s3:*:*:${BUCKET}` },
      StringEquals: { 'aws:SourceAccount': OWNER },
    },
  };

  test('S3: needs a statement of the topic policy, and the test event reaches the queue', async () => {
    await callS3(sandbox.endpoint, 'PUT', `/${BUCKET}`);
    expect(elementsOf((await putNotification()).body, 'ArgumentValue1')).toEqual([
      'The destination topic does not exist',
    ]);
    await createTopic();
    await createQueue();
    await subscribe();
    // S3 sends no aws:SourceOwner, so the default policy of the topic does not allow it.
    const denied = await putNotification();
    expect(denied.message).toBe('Unable to validate the following destination configurations');
    expect(elementsOf(denied.body, 'ArgumentName1')).toEqual([TOPIC_ARN]);
    expect(elementsOf(denied.body, 'ArgumentValue1')).toEqual([
      'Permissions on the destination topic do not allow S3 to publish notifications from this bucket',
    ]);
    await setPolicy(policyOf(S3_STATEMENT));
    expect((await putNotification()).status).toBe(200);
    const [message] = await received();
    const envelope = JSON.parse(message?.Body ?? '');
    // fact: localstack TestS3NotificationsToSns::test_object_created_put
    expect(envelope.Subject).toBe('Amazon S3 Notification');
    expect(JSON.parse(envelope.Message)).toMatchObject({
      Service: 'Amazon S3',
      Event: 's3:TestEvent',
      Bucket: BUCKET,
    });
  });

  test('a topic under a customer key: S3 needs the key', async () => {
    await callS3(sandbox.endpoint, 'PUT', `/${BUCKET}`);
    const { json } = await callKms(sandbox.endpoint, 'CreateKey', {});
    const { KeyId } = json.KeyMetadata as { KeyId: string };
    await createTopic('replication', { KmsMasterKeyId: KeyId, Policy: policyOf(S3_STATEMENT) });
    expect((await putNotification()).status).toBe(400);
    const statements = [
      { Effect: 'Allow', Principal: { AWS: OWNER }, Action: 'kms:*', Resource: '*' },
      {
        Effect: 'Allow',
        Principal: { Service: 's3.amazonaws.com' },
        Action: ['kms:GenerateDataKey*', 'kms:Decrypt'],
        Resource: '*',
      },
    ];
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: statements });
    await callKms(sandbox.endpoint, 'PutKeyPolicy', { KeyId, PolicyName: 'default', Policy });
    expect((await putNotification()).status).toBe(200);
    expect((await sns('Publish', { TopicArn: TOPIC_ARN, Message: 'a' })).status).toBe(200);
    await callKms(sandbox.endpoint, 'DisableKey', { KeyId });
    expect((await sns('Publish', { TopicArn: TOPIC_ARN, Message: 'a' })).code).toBe('KMSDisabled');
  });

  test('CloudWatch: an alarm of the account notifies a topic with the default policy', async () => {
    await createTopic();
    await createQueue();
    await subscribe();
    const alarm = { AlarmName: 'failed', Namespace: 'AWS/S3', MetricName: 'OperationsFailedReplication' };
    const threshold = { Statistic: 'Sum', Period: 60, EvaluationPeriods: 1, Threshold: 0 };
    const put = await callCloudWatch(sandbox.endpoint, 'PutMetricAlarm', {
      ...alarm,
      ...threshold,
      ComparisonOperator: 'GreaterThanThreshold',
      AlarmActions: [TOPIC_ARN, `${TOPIC_ARN}-absent`],
    });
    expect(put.status).toBe(200);
    const state = { AlarmName: 'failed', StateValue: 'ALARM', StateReason: 'rehearsal' };
    expect((await callCloudWatch(sandbox.endpoint, 'SetAlarmState', state)).status).toBe(200);
    const [message] = await received();
    const envelope = JSON.parse(message?.Body ?? '');
    expect(envelope.Subject).toBe('ALARM: "failed" in US East (N. Virginia)');
    expect(JSON.parse(envelope.Message)).toMatchObject({ AlarmName: 'failed', NewStateReason: 'rehearsal' });
    expect(errors).toEqual([
      `cannot notify ${TOPIC_ARN}-absent of the alarm arn:aws:cloudwatch:us-east-1:${OWNER}:alarm:failed: the topic ${TOPIC_ARN}-absent does not exist`,
    ]);
  });

  test('CloudWatch: the default policy allows alarms of the account, and no others', async () => {
    // SNS Developer Guide, "aws:SourceAccount versus aws:SourceOwner".
    await createTopic();
    const { store } = sandbox;
    const clock = Date.now;
    const keyService = createKeyService(store, clock);
    const queues = createQueueService({ store, keyService, clock });
    const topics = createTopicService({ store, keyService, queues, clock, onError: () => {} });
    const alarmOf = (account: string) => ({
      service: 'cloudwatch.amazonaws.com',
      sourceArn: `arn:aws:cloudwatch:us-east-1:${account}:alarm:failed`,
      sourceAccount: account,
    });
    expect(topics.findRefusal(TOPIC_ARN, alarmOf(OWNER))).toBeUndefined();
    expect(topics.findRefusal(TOPIC_ARN, alarmOf(OTHER))?.cause).toBe('denied');
    await setPolicy(policyOf(S3_STATEMENT));
    expect(topics.findRefusal(TOPIC_ARN, alarmOf(OWNER))?.cause).toBe('denied');
  });
});

test('restart: topics and subscriptions survive', async () => {
  const state = await mkdtemp(path.join(tmpdir(), 'replikey-sns-'));
  const restart = async () => {
    await sandbox.close();
    sandbox = await startSandbox({ state });
  };
  await restart();
  await createTopic();
  await createQueue();
  await subscribe({ RawMessageDelivery: 'true' });
  await restart();
  await sns('Publish', { TopicArn: TOPIC_ARN, Message: 'a' });
  expect(await received()).toMatchObject([{ Body: 'a' }]);
  await sandbox.close();
  await rm(state, { recursive: true });
  sandbox = await startSandbox();
});
