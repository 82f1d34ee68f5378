import { describe, expect, test } from 'vitest';
import { parseFailureMessage } from '../../src/controller/failure-events.ts';
import { queueAddressOf } from '../../src/util/arn.ts';
import { parseQueueName } from '../../src/util/queue-address.ts';

/**
 * The example of Amazon S3 User Guide, "Receiving replication failure events with Amazon S3 Event Notifications", and its
 * fields as in "Event message structure".
 */
const EXAMPLE = {
  eventVersion: '2.2',
  eventSource: 'aws:s3',
  awsRegion: 'us-east-1',
  eventTime: '2024-09-05T21:04:32.527Z',
  eventName: 'Replication:OperationFailedReplication',
  userIdentity: { principalId: 's3.amazonaws.com' },
  requestParameters: { sourceIPAddress: 's3.amazonaws.com' },
  responseElements: {
    'x-amz-request-id': '123bf045-2b4b-4ca8-a211-c34a63c59426',
    'x-amz-id-2': '12VAWNDIHnwJsRhTccqQTeAPoXQmRt22KkewMV8G2XZihAuf9CLDdmkApgZzudaIe2KlLfDqGS0=',
  },
  s3: {
    s3SchemaVersion: '1.0',
    configurationId: 'MDgzMzJlYzUtYTQ3NC00ZTQ5LWJiOWItMjYzZTc0MDAyOTQ1',
    bucket: {
      name: 'amzn-s3-demo-bucket1',
      ownerIdentity: { principalId: 'A1B2C3' },
      arn: 'arn:aws:s3:::amzn-s3-demo-bucket1',
    },
    object: {
      key: 'replication-object-put-test.png',
      size: 520080,
      eTag: 'e12345ca7e88a38428305d3ff7fcb99f',
      versionId: 'abcdeH0Xp66ep__QDjR76LK7Gc9X4wKO',
      sequencer: '0066DA1CBF104C0D51',
    },
  },
  replicationEventData: {
    replicationRuleId: 'notification-test-replication-rule',
    destinationBucket: 'arn:aws:s3:::amzn-s3-demo-bucket2',
    s3Operation: 'OBJECT_PUT',
    requestTime: '2024-09-05T21:03:59.168Z',
    failureReason: 'AssumeRoleNotPermitted',
  },
};
const bodyOf = (...records: object[]) => JSON.stringify({ Records: records });
const withKey = (key: string) => ({
  ...EXAMPLE,
  s3: { ...EXAMPLE.s3, object: { ...EXAMPLE.s3.object, key } },
});

const FAILURE = {
  bucket: 'amzn-s3-demo-bucket1',
  rule: 'notification-test-replication-rule',
  key: 'replication-object-put-test.png',
  versionId: 'abcdeH0Xp66ep__QDjR76LK7Gc9X4wKO',
  sequencer: '0066DA1CBF104C0D51',
  operation: 'OBJECT_PUT',
  reason: 'AssumeRoleNotPermitted',
  requestedAt: Date.parse('2024-09-05T21:03:59.168Z'),
  reportedAt: Date.parse('2024-09-05T21:04:32.527Z'),
};

describe('parseFailureMessage', () => {
  test('the example of AWS: every field', () => {
    expect(parseFailureMessage(bodyOf(EXAMPLE))).toEqual({
      type: 'events',
      failures: [FAILURE],
      notices: [],
    });
  });

  test('a message in the envelope of SNS: the same event', () => {
    // Amazon SNS Developer Guide, "Amazon SNS message and JSON formats": without raw message delivery.
    const envelope = JSON.stringify({
      Type: 'Notification',
      MessageId: '22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324',
      TopicArn: 'arn:aws:sns:us-west-2:123456789012:MyTopic',
      Subject: 'Amazon S3 Notification',
      Message: bodyOf(EXAMPLE),
      Timestamp: '2012-05-02T00:54:06.655Z',
      SignatureVersion: '1',
      Signature: 'EXAMPLEw6JRN',
      SigningCertURL: 'https://sns.us-west-2.amazonaws.com/SimpleNotificationService.pem',
      UnsubscribeURL: 'https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe',
    });
    expect(parseFailureMessage(envelope)).toEqual({ type: 'events', failures: [FAILURE], notices: [] });
  });

  test.each([
    // Amazon S3 User Guide, "Event message structure": the key is URL encoded, "red flower.jpg" as "red+flower.jpg".
    ['red+flower.jpg', 'red flower.jpg'],
    ['Tax/2027+%C3%BC%2B%26.pdf', 'Tax/2027 ü+&.pdf'],
    ['%E0%A4%A', '%E0%A4%A'],
  ])('the key %s: decoded as %s', (key, decoded) => {
    expect(parseFailureMessage(bodyOf(withKey(key)))).toMatchObject({ failures: [{ key: decoded }] });
  });

  test('the test event of a new notification configuration: recognized', () => {
    // Amazon S3 User Guide, "Event message structure".
    const event = {
      Service: 'Amazon S3',
      Event: 's3:TestEvent',
      Time: '2014-10-13T15:57:02.089Z',
      Bucket: 'amzn-s3-demo-bucket',
      RequestId: '5582815E1AEA5ADF',
      HostId: '8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE',
    };
    expect(parseFailureMessage(JSON.stringify(event))).toEqual({ type: 'test' });
  });

  test('an event about a late object: no failure', () => {
    const late = { ...EXAMPLE, eventName: 's3:Replication:OperationMissedThreshold' };
    expect(parseFailureMessage(bodyOf(late))).toEqual({
      type: 'events',
      failures: [],
      notices: [
        {
          bucket: 'amzn-s3-demo-bucket1',
          rule: 'notification-test-replication-rule',
          event: 'OperationMissedThreshold',
        },
      ],
    });
  });

  test.each([
    'hello',
    '',
    'null',
    '[]',
    '{"Records":[]}',
    '{"Records":[{"eventSource":"aws:s3"}]}',
    '{"Type":"Notification","Message":"hello"}',
    bodyOf({ ...EXAMPLE, eventName: 'ObjectCreated:Put' }),
    bodyOf(EXAMPLE, { ...EXAMPLE, eventSource: 'aws:ses' }),
    bodyOf({ ...EXAMPLE, replicationEventData: undefined }),
  ])('the message %s: unknown', (body) => {
    expect(parseFailureMessage(body)).toMatchObject({ type: 'unknown', why: expect.any(String) });
  });

  test('invalid times and long texts: no times, and shortened texts', () => {
    const record = {
      ...withKey('k'.repeat(5_000)),
      eventTime: 'yesterday',
      replicationEventData: {
        ...EXAMPLE.replicationEventData,
        requestTime: '',
        failureReason: 'R'.repeat(5_000),
      },
    };
    const message = parseFailureMessage(bodyOf(record));
    const [failure] = message.type === 'events' ? message.failures : [];
    expect(failure).not.toHaveProperty('requestedAt');
    expect(failure).not.toHaveProperty('reportedAt');
    expect([failure?.key.length, failure?.reason.length]).toEqual([1_024, 64]);
  });
});

describe('parseQueueName', () => {
  test.each([
    // Amazon SQS Developer Guide, "Queue and message identifiers", and the older URLs of "Amazon SQS endpoints".
    ['https://sqs.us-east-2.amazonaws.com/123456789012/MyQueue', 'us-east-2', undefined],
    ['https://us-west-2.queue.amazonaws.com/123456789012/MyQueue', 'us-west-2', undefined],
    ['https://queue.amazonaws.com/123456789012/MyQueue', 'us-east-1', undefined],
    ['https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/MyQueue', 'us-gov-west-1', undefined],
    [
      'arn:aws:sqs:us-east-2:123456789012:MyQueue',
      'us-east-2',
      'https://sqs.us-east-2.amazonaws.com/123456789012/MyQueue',
    ],
    [
      'arn:aws-cn:sqs:cn-north-1:123456789012:MyQueue',
      'cn-north-1',
      'https://sqs.cn-north-1.amazonaws.com.cn/123456789012/MyQueue',
    ],
  ])('%s: its Region, account and URL', (text, region, url = text) => {
    expect(queueAddressOf(parseQueueName(text))).toMatchObject({
      region,
      accountId: '123456789012',
      name: 'MyQueue',
      url,
      arn: expect.stringMatching(new RegExp(`^arn:aws(-cn|-us-gov)?:sqs:${region}:123456789012:MyQueue$`)),
    });
  });

  test('an ARN with a custom endpoint: a URL of the endpoint', () => {
    const name = parseQueueName('arn:aws:sqs:us-east-2:123456789012:MyQueue');
    expect(queueAddressOf(name, 'http://127.0.0.1:4566/').url).toBe(
      'http://127.0.0.1:4566/123456789012/MyQueue',
    );
  });

  test.each([
    ['failures', 'Expected the URL or the ARN'],
    ['arn:aws:sns:us-east-1:111122223333:topic', 'Expected the ARN of an SQS queue'],
    ['arn:aws:sqs:us-east-1:1:queue', 'account id of 12 digits'],
    ['https://sqs.us-east-1.amazonaws.com/111122223333/q.fifo', 'standard queues only'],
    ['https://sqs.us-east-1.amazonaws.com/111122223333', 'account id of 12 digits'],
    ['https://user@sqs.us-east-1.amazonaws.com/111122223333/q', 'without user name'],
    ['http://127.0.0.1:4566/111122223333/q', 'use the ARN'],
  ])('%s: rejected with a reason', (text, reason) => {
    expect(() => parseQueueName(text)).toThrow(reason);
  });
});
