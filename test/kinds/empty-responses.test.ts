import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAwsClient } from '../../src/aws/client.ts';
import { commandInfo } from '../../src/aws/command.ts';
import { InvalidResponseError } from '../../src/aws/response.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import type { Aws } from '../../src/core/resource.ts';
import { kinds } from '../../src/kinds/index.ts';
import { TEST_SECRET } from '../support/secrets.ts';

const NAMES: Record<string, string> = {
  bucket: 'acme-tax',
  key: 'alias/acme-tax',
  role: 'replikey-acme-tax',
  queue: 'arn:aws:sqs:us-east-1:111122223333:failures',
  topic: 'arn:aws:sns:us-east-1:111122223333:failures',
  alarm: 'replikey-tax-tax-failed',
};
const location = { region: 'us-east-1' };

/** The field that a valid response of a read must contain, by operation. */
const REQUIRED: Record<string, Record<string, string>> = {
  'kms.key': { DescribeKey: 'KeyMetadata' },
  'kms.key-policy': { DescribeKey: 'KeyMetadata', GetKeyPolicy: 'Policy' },
  'iam.role': { GetRole: 'Role' },
  'iam.role-policy': { GetRolePolicy: 'PolicyDocument' },
  's3.encryption': { GetBucketEncryption: 'ServerSideEncryptionConfiguration' },
  's3.bucket-policy': { GetBucketPolicy: 'Policy' },
  's3.public-access': { GetPublicAccessBlock: 'PublicAccessBlockConfiguration' },
  's3.ownership': { GetBucketOwnershipControls: 'OwnershipControls' },
  's3.object-lock': { GetObjectLockConfiguration: 'ObjectLockConfiguration' },
  's3.reencryption': { GetBucketEncryption: 'ServerSideEncryptionConfiguration' },
  's3.replication': { GetBucketReplication: 'ReplicationConfiguration' },
  'cloudwatch.alarm': { DescribeAlarms: 'MetricAlarms' },
  'sqs.queue-policy': { GetQueueAttributes: 'Attributes' },
  'sns.topic-policy': { GetTopicAttributes: 'Attributes' },
};

/** Kinds that read the versioning of a bucket: S3 returns an empty document for a bucket that never had any. */
const MAY_BE_EMPTY = ['s3.bucket', 's3.versioning'];

/** Kinds that list jobs. AWS does not document whether an empty list has the element. */
const EMPTY_IS_EMPTY_LIST = ['s3.backfill'];

/** Kinds with an empty document in place of an error. */
const EMPTY_IS_ABSENT = ['s3.notification'];

const fetchOf = (kindName: string, aws: Aws): Promise<unknown> => {
  const kind = kinds.get(kindName);
  if (!kind) throw new Error(`unknown kind ${kindName}`);
  return kind.fetch(aws, location, NAMES[kind.scope.type] ?? '');
};

/** An AWS client for which one operation returns a response without fields. */
const awsWithEmpty = (emptyOperation: string): Aws => ({
  accountId: async () => '111122223333',
  now: () => 0,
  send: async (_, command) => {
    const { operation } = commandInfo(command);
    const isDescribedKey = operation === 'DescribeKey' && emptyOperation !== operation;
    const Arn = 'arn:aws:kms:us-east-1:111122223333:key/1';
    return (isDescribedKey ? { KeyMetadata: { KeyId: '1', Arn } } : {}) as never;
  },
});

test('kinds: each has a required field, or may be empty', () => {
  const covered = [...Object.keys(REQUIRED), ...MAY_BE_EMPTY, ...EMPTY_IS_EMPTY_LIST, ...EMPTY_IS_ABSENT];
  expect(covered.sort()).toEqual([...kinds.keys()].sort());
});

describe.each(Object.entries(REQUIRED))('%s', (kindName, required) => {
  test.each(Object.entries(required))(
    'refuses an empty response of %s: it lacks %s',
    async (operation, field) => {
      const error = await fetchOf(kindName, awsWithEmpty(operation)).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(InvalidResponseError);
      expect(error).toMatchObject({ message: `invalid response: ${field} is missing` });
    },
  );
});

test.each(MAY_BE_EMPTY)('%s: reads an empty response as a bucket without versioning', async (kindName) => {
  expect(await fetchOf(kindName, awsWithEmpty('GetBucketVersioning'))).toEqual(
    kindName === 's3.bucket' ? { region: 'us-east-1' } : {},
  );
});

test.each(EMPTY_IS_EMPTY_LIST)('%s: an empty response means that there is no job', async (kindName) => {
  expect(await fetchOf(kindName, awsWithEmpty(''))).toMatchObject({ jobs: [] });
});

test.each(EMPTY_IS_ABSENT)('%s: an empty document means that there is none', async (kindName) => {
  expect(await fetchOf(kindName, awsWithEmpty(''))).toBe(undefined);
});

describe('an endpoint that returns 200 without a body', () => {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200).end();
  });
  beforeAll(() => new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve)));
  afterAll(() => void server.close());

  test.each(Object.keys(REQUIRED))(
    'fails the read of %s, and does not mean that it is absent',
    async (kindName) => {
      const clients = createSdkClients([], {
        endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        credentials: { accessKeyId: '111122223333', secretAccessKey: TEST_SECRET },
      });
      const client = createAwsClient({ clients, accounts: [], region: 'us-east-1', retryTimeoutMs: 0 });
      // The caller identity is known, so that the read of the document fails.
      const aws: Aws = {
        accountId: async () => '111122223333',
        now: () => 0,
        send: (...call) => client.send(...call),
      };
      await expect(fetchOf(kindName, aws)).rejects.toThrow(
        /invalid response: \w+ is missing|cannot parse the response/,
      );
      clients.destroy();
    },
  );
});
