import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { callKms, callS3, callSqs } from '../support/raw-aws.ts';
import { elementsOf } from './raw-request.ts';

/**
 * Notification configurations over raw HTTP. Errors are those that LocalStack recorded from AWS
 * (tests/aws/services/s3/test_s3_notifications_sqs.snapshot.json), or those in reports of Terraform and CDK users.
 */

const OWNER = '111122223333';
const BUCKET = 'acme-tax';
const QUEUE_ARN = `arn:aws:sqs:us-east-1:${OWNER}:failures`;

let sandbox: Sandbox;
let now: number;
let queueUrl: string;

beforeEach(async () => {
  now = Date.parse('2026-11-30T12:00:00Z');
  sandbox = await startSandbox({ clock: () => now });
  await callS3(sandbox.endpoint, 'PUT', `/${BUCKET}`);
  queueUrl = await createQueue();
});
afterEach(() => sandbox.close());

const sqs = (operation: string, input: object) => callSqs(sandbox.endpoint, operation, input);

async function createQueue(Attributes: Record<string, string> = {}, QueueName = 'failures'): Promise<string> {
  return String((await sqs('CreateQueue', { QueueName, Attributes })).json.QueueUrl);
}

/** The queue policy of aws-facts-operations.md 2.3. */
const policyOf = (bucket = BUCKET, account = OWNER) =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: {
      Effect: 'Allow',
      Principal: { Service: 's3.amazonaws.com' },
      Action: 'SQS:SendMessage',
      Resource: QUEUE_ARN,
      Condition: {
        ArnLike: { 'aws:SourceArn': `arn:aws:s3:*:*:${bucket}` },
        StringEquals: { 'aws:SourceAccount': account },
      },
    },
  });

const setPolicy = (Policy = policyOf()) =>
  sqs('SetQueueAttributes', { QueueUrl: queueUrl, Attributes: { Policy } });

interface QueueEntry {
  arn?: string;
  id?: string;
  events?: string[];
  rules?: [name: string, value: string][];
}

const toXml = (entries: QueueEntry[], extra = ''): string => {
  const queues = entries.map(({ arn = QUEUE_ARN, id, events = ['s3:Replication:*'], rules }) => {
    const filterRules = rules?.map(
      ([name, value]) => `<FilterRule><Name>${name}</Name><Value>${value}</Value></FilterRule>`,
    );
    return [
      '<QueueConfiguration>',
      id === undefined ? '' : `<Id>${id}</Id>`,
      `<Queue>${arn}</Queue>`,
      ...events.map((event) => `<Event>${event}</Event>`),
      filterRules ? `<Filter><S3Key>${filterRules.join('')}</S3Key></Filter>` : '',
      '</QueueConfiguration>',
    ].join('');
  });
  return `<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${queues.join('')}${extra}</NotificationConfiguration>`;
};

const put = (body: string, headers: Record<string, string> = {}) =>
  callS3(sandbox.endpoint, 'PUT', `/${BUCKET}?notification`, { body, headers });
const get = async () => (await callS3(sandbox.endpoint, 'GET', `/${BUCKET}?notification`)).body;
const SKIP = { 'x-amz-skip-destination-validation': 'true' };

async function receivedBodies(): Promise<Record<string, unknown>[]> {
  const { json } = await sqs('ReceiveMessage', { QueueUrl: queueUrl, MaxNumberOfMessages: 10 });
  return ((json.Messages ?? []) as { Body: string }[]).map(({ Body }) => JSON.parse(Body));
}

describe('PutBucketNotificationConfiguration', () => {
  test('a valid destination: stored, and the queue receives the test event', async () => {
    await setPolicy();
    expect((await put(toXml([{ id: 'ours' }]))).status).toBe(200);
    // S3 User Guide, "Event message structure", "Amazon S3 test message".
    expect(await receivedBodies()).toEqual([
      {
        Service: 'Amazon S3',
        Event: 's3:TestEvent',
        Time: '2026-11-30T12:00:00.000Z',
        Bucket: BUCKET,
        RequestId: expect.stringMatching(/^[0-9A-F]{16}$/),
        HostId: expect.any(String),
      },
    ]);
  });

  test('the whole document: returned as it was sent, with ids and capitalised names of filter rules', async () => {
    await setPolicy();
    const entries: QueueEntry[] = [
      {
        id: 'z',
        events: ['s3:ObjectRemoved:*', 's3:ObjectCreated:Put'],
        rules: [
          ['suffix', '.pdf'],
          ['PREFIX', 'Tax/'],
        ],
      },
      { id: 'a b/c', events: ['s3:Replication:OperationFailedReplication'] },
    ];
    const lambda =
      '<CloudFunctionConfiguration><Id>f</Id><CloudFunction>arn:aws:lambda:us-east-1:111122223333:function:f</CloudFunction><Event>s3:ObjectRestore:*</Event></CloudFunctionConfiguration>';
    await put(toXml(entries, `${lambda}<EventBridgeConfiguration></EventBridgeConfiguration>`));
    const body = await get();
    expect(elementsOf(body, 'Id')).toEqual(['z', 'a b/c', 'f']);
    expect(elementsOf(body, 'Event')).toEqual([
      's3:ObjectRemoved:*',
      's3:ObjectCreated:Put',
      's3:Replication:OperationFailedReplication',
      's3:ObjectRestore:*',
    ]);
    // fact: localstack test_filter_rules_case_insensitive
    expect(elementsOf(body, 'Name')).toEqual(['Suffix', 'Prefix']);
    expect(elementsOf(body, 'Value')).toEqual(['.pdf', 'Tax/']);
    expect(elementsOf(body, 'EventBridgeConfiguration')).toEqual(['']);
    expect(await put(body)).toMatchObject({ status: 200 });
    expect(await get()).toBe(body);
    await put(toXml([{}]));
    const replaced = await get();
    expect(elementsOf(replaced, 'EventBridgeConfiguration')).toEqual([]);
    expect(elementsOf(replaced, 'Id')).toEqual([expect.stringMatching(/^[\w+/=]{48}$/)]);
    await put(toXml([]));
    expect(elementsOf(await get(), 'QueueConfiguration')).toEqual([]);
  });

  const DENIED =
    'Permissions on the destination queue do not allow S3 to publish notifications from this bucket';
  test.each([
    ['a queue without policy', undefined, DENIED],
    ['a policy for another bucket', policyOf('acme-other'), DENIED],
    ['a policy for another account', policyOf(BUCKET, '444455556666'), DENIED],
  ])('%s: InvalidArgument, and nothing changes', async (_, policy, reason) => {
    if (policy) await setPolicy(policy);
    const response = await put(toXml([{}, { arn: `${QUEUE_ARN}-2`, events: ['s3:ObjectCreated:*'] }]));
    expect(response).toMatchObject({
      status: 400,
      code: 'InvalidArgument',
      message: 'Unable to validate the following destination configurations',
    });
    // fact: localstack test_multiple_invalid_sqs_arns
    for (const [element, value] of Object.entries({
      ArgumentName1: QUEUE_ARN,
      ArgumentValue1: reason,
      ArgumentName2: `${QUEUE_ARN}-2`,
      ArgumentValue2: 'The destination queue does not exist',
    }))
      expect(elementsOf(response.body, element)).toEqual([value]);
    expect(elementsOf(await get(), 'QueueConfiguration')).toEqual([]);
  });

  test('SkipDestinationValidation: stores a configuration without a check and without a test event', async () => {
    expect((await put(toXml([{}]), SKIP)).status).toBe(200);
    expect(elementsOf(await get(), 'Queue')).toEqual([QUEUE_ARN]);
    expect(await receivedBodies()).toEqual([]);
  });

  test.each<[string, QueueEntry[], string, string?, string?]>([
    // fact: localstack test_invalid_sqs_arn
    ['an invalid ARN', [{ arn: 'invalid-queue' }], 'The ARN could not be parsed', 'Queue', 'invalid-queue'],
    // fact: localstack test_bucket_notification_with_invalid_filter_rules
    [
      'an unknown filter rule',
      [{ rules: [['INVALID', 'x']] }],
      'filter rule name must be either prefix or suffix',
      'FilterRule.Name',
      'INVALID',
    ],
    // moto, tests/test_s3/test_s3.py: test_put_bucket_notification_errors
    ['an unknown event', [{ events: ['s3:Nothing'] }], 'The event is not supported for notifications'],
    [
      'a queue of another Region',
      [{ arn: QUEUE_ARN.replace('us-east-1', 'us-west-2') }],
      'The notification destination service region is not valid for the bucket location constraint',
    ],
    ['a FIFO queue', [{ arn: `${QUEUE_ARN}.fifo` }], 'FIFO SQS queues are not supported.'],
    [
      'one id twice',
      [{ id: 'a' }, { id: 'a', events: ['s3:ObjectCreated:*'] }],
      'Same ID used for multiple configurations. IDs must be unique',
    ],
    // hashicorp/terraform#14421
    [
      'a common event type',
      [{ events: ['s3:Replication:*'] }, { events: ['s3:Replication:OperationNotTracked'] }],
      'Configurations overlap. Configurations on the same bucket cannot share a common event type.',
    ],
    // aws/aws-cdk#29951, matt-filion/serverless-external-s3-event#84
    [
      'a common event type of overlapping prefixes',
      [{ rules: [['prefix', 'Tax/']] }, { rules: [['prefix', 'Tax/2026/']] }],
      'Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type.',
    ],
  ])('%s: InvalidArgument', async (_, entries, message, name, value) => {
    await setPolicy();
    const response = await put(toXml(entries), SKIP);
    expect(response).toMatchObject({ status: 400, code: 'InvalidArgument', message });
    if (name) expect(elementsOf(response.body, 'ArgumentName')).toEqual([name]);
    if (value) expect(elementsOf(response.body, 'ArgumentValue')).toEqual([value]);
  });

  test('one event type of separate prefixes: accepted', async () => {
    await setPolicy();
    const entries: QueueEntry[] = [{ rules: [['prefix', 'Tax/']] }, { rules: [['prefix', 'Law/']] }];
    expect((await put(toXml(entries))).status).toBe(200);
  });

  test('a queue under a customer key: the key policy must allow S3 GenerateDataKey and Decrypt', async () => {
    // S3 User Guide, "Granting permissions to publish event notification messages to a destination", "AWS KMS key policy".
    const { json } = await callKms(sandbox.endpoint, 'CreateKey', {});
    const { KeyId } = json.KeyMetadata as { KeyId: string };
    await setPolicy();
    await sqs('SetQueueAttributes', { QueueUrl: queueUrl, Attributes: { KmsMasterKeyId: KeyId } });
    expect((await put(toXml([{}]))).code).toBe('InvalidArgument');
    const allow = (Action: string[]) => ({
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Principal: { AWS: OWNER }, Action: 'kms:*', Resource: '*' },
        { Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action, Resource: '*' },
      ],
    });
    const putKeyPolicy = (policy: object) =>
      callKms(sandbox.endpoint, 'PutKeyPolicy', {
        KeyId,
        PolicyName: 'default',
        Policy: JSON.stringify(policy),
      });
    await putKeyPolicy(allow(['kms:GenerateDataKey']));
    expect((await put(toXml([{}]))).code).toBe('InvalidArgument');
    await putKeyPolicy(allow(['kms:GenerateDataKey', 'kms:Decrypt']));
    expect((await put(toXml([{}]))).status).toBe(200);
    expect(await receivedBodies()).toHaveLength(1);
  });

  test('a queue under the AWS managed key: S3 cannot use it', async () => {
    await setPolicy();
    await sqs('SetQueueAttributes', { QueueUrl: queueUrl, Attributes: { KmsMasterKeyId: 'alias/aws/sqs' } });
    expect((await put(toXml([{}]))).code).toBe('InvalidArgument');
    // The users of the account can.
    expect((await sqs('SendMessage', { QueueUrl: queueUrl, MessageBody: 'a' })).status).toBe(200);
  });

  test('without s3:PutBucketNotification: denied', async () => {
    const response = await callS3(sandbox.endpoint, 'PUT', `/${BUCKET}?notification`, {
      body: toXml([]),
      account: '444455556666',
    });
    expect(response).toMatchObject({ status: 403, code: 'AccessDenied' });
  });
});
