import {
  CloudTrailClient,
  type Event,
  LookupEventsCommand,
  type LookupEventsRequest,
} from '@aws-sdk/client-cloudtrail';
import { CreateRoleCommand, DeleteRoleCommand, GetRoleCommand } from '@aws-sdk/client-iam';
import { CreateAliasCommand, CreateKeyCommand, EncryptCommand } from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AwsClient } from '../../src/aws/client.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { clientOf, EAST, WEST } from './support.ts';

const ACCOUNT = '111122223333';
const NOON = Date.UTC(2026, 0, 1, 12);
const TRUST = JSON.stringify({
  Version: '2012-10-17',
  Statement: { Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' },
});

let sandbox: Sandbox;
let client: AwsClient;
let now = NOON;
let keyArn = '';

/** Makes calls to a sandbox, one minute apart. */
beforeAll(async () => {
  sandbox = await startSandbox({ clock: () => now });
  client = clientOf(sandbox, ACCOUNT);
  const versioned = { Bucket: 'acme', VersioningConfiguration: { Status: 'Enabled' as const } };
  const perform = async (call: Promise<unknown>) => {
    await call;
    now += 60_000;
  };
  await perform(
    client.send(
      WEST,
      new CreateBucketCommand({
        Bucket: 'acme',
        CreateBucketConfiguration: { LocationConstraint: 'us-west-2' },
      }),
    ),
  );
  await perform(client.send(WEST, new PutBucketVersioningCommand(versioned)));
  await perform(
    client.send(
      WEST,
      new PutPublicAccessBlockCommand({
        Bucket: 'acme',
        PublicAccessBlockConfiguration: { BlockPublicAcls: true },
      }),
    ),
  );
  await perform(client.send(WEST, new PutObjectCommand({ Bucket: 'acme', Key: 'a', Body: 'x' })));
  await perform(
    client.send(WEST, new CreateRoleCommand({ RoleName: 'acme', AssumeRolePolicyDocument: TRUST })),
  );
  await perform(client.send(WEST, new GetRoleCommand({ RoleName: 'acme' })));
  await perform(client.send(EAST, new DeleteRoleCommand({ RoleName: 'other' })).catch(() => {}));
  const { KeyMetadata } = await client.send(EAST, new CreateKeyCommand({}));
  keyArn = KeyMetadata?.Arn ?? '';
  await perform(client.send(EAST, new CreateAliasCommand({ AliasName: 'alias/acme', TargetKeyId: keyArn })));
  await perform(client.send(EAST, new EncryptCommand({ KeyId: keyArn, Plaintext: Buffer.from('x') })));
});
afterAll(() => sandbox.close());

async function withClient<T>(
  { region = 'us-east-1', account = ACCOUNT }: { region?: string; account?: string },
  use: (client: CloudTrailClient) => Promise<T>,
): Promise<T> {
  const credentials = { accessKeyId: account, secretAccessKey: 'any' };
  const client = new CloudTrailClient({ endpoint: sandbox.endpoint, region, credentials, maxAttempts: 1 });
  try {
    return await use(client);
  } finally {
    client.destroy();
  }
}

const lookUp = (input: LookupEventsRequest, location = {}) =>
  withClient(location, async (client) => (await client.send(new LookupEventsCommand(input))).Events ?? []);

const names = (events: Event[]) => events.map(({ EventName }) => EventName);
const by = (
  AttributeKey: 'EventName' | 'ResourceName' | 'Username' | 'EventSource',
  AttributeValue: string,
) => ({
  LookupAttributes: [{ AttributeKey, AttributeValue }],
});

test('LookupEvents: returns the changes of a Region, newest first, and those of IAM in us-east-1', async () => {
  expect(names(await lookUp({}, { region: 'us-west-2' }))).toEqual([
    'PutBucketPublicAccessBlock',
    'PutBucketVersioning',
    'CreateBucket',
  ]);
  expect(names(await lookUp({}))).toEqual(['CreateAlias', 'CreateKey', 'DeleteRole', 'CreateRole']);
  expect(await lookUp({}, { account: '999988887777' })).toEqual([]);
});

test('LookupEvents: filters by one attribute', async () => {
  expect(names(await lookUp(by('EventName', 'CreateRole')))).toEqual(['CreateRole']);
  expect(names(await lookUp(by('EventName', 'PutPublicAccessBlock'), { region: 'us-west-2' }))).toEqual([]);
  expect(names(await lookUp(by('ResourceName', 'acme')))).toEqual(['CreateRole']);
  expect(names(await lookUp(by('ResourceName', 'alias/acme')))).toEqual(['CreateAlias']);
  expect(names(await lookUp(by('EventSource', 'kms.amazonaws.com')))).toEqual(['CreateAlias', 'CreateKey']);
  expect(await lookUp(by('Username', 'root'))).toHaveLength(4);
});

test('LookupEvents: filters by time, in whole seconds', async () => {
  const at = (minutes: number) => new Date(NOON + minutes * 60_000);
  const west = { region: 'us-west-2' };
  expect(names(await lookUp({ StartTime: at(1), EndTime: at(1) }, west))).toEqual(['PutBucketVersioning']);
  expect(names(await lookUp({ StartTime: at(2) }, west))).toEqual(['PutBucketPublicAccessBlock']);
  expect(names(await lookUp({ EndTime: at(0) }, west))).toEqual(['CreateBucket']);
});

test('LookupEvents: events have caller, time, user agent, parameters and error code', async () => {
  const [created] = await lookUp(by('EventName', 'CreateRole'));
  expect(created).toMatchObject({
    EventTime: new Date(NOON + 4 * 60_000),
    Username: 'root',
    ReadOnly: 'false',
  });
  expect(JSON.parse(created?.CloudTrailEvent ?? '')).toMatchObject({
    userIdentity: { type: 'Root', arn: `arn:aws:iam::${ACCOUNT}:root` },
    eventTime: '2026-01-01T12:04:00Z',
    eventSource: 'iam.amazonaws.com',
    eventName: 'CreateRole',
    awsRegion: 'us-east-1',
    userAgent: expect.stringMatching(/^replikey\//),
    requestParameters: { roleName: 'acme' },
  });
  const [versioned] = await lookUp(by('EventName', 'PutBucketVersioning'), { region: 'us-west-2' });
  expect(JSON.parse(versioned?.CloudTrailEvent ?? '')).toMatchObject({
    userAgent: expect.stringMatching(/^\[replikey\/.*\]$/),
    requestParameters: { bucketName: 'acme' },
  });
  const [refused] = await lookUp(by('EventName', 'DeleteRole'));
  expect(JSON.parse(refused?.CloudTrailEvent ?? '')).toMatchObject({ errorCode: 'NoSuchEntity' });
});

test('LookupEvents: returns pages', async () => {
  const pagesOfNames = await withClient({}, async (client) => {
    const pages: (string | undefined)[][] = [];
    for (let NextToken: string | undefined; ; ) {
      const page = await client.send(new LookupEventsCommand({ MaxResults: 3, NextToken }));
      pages.push(names(page.Events ?? []));
      NextToken = page.NextToken;
      if (NextToken === undefined) return pages;
    }
  });
  expect(pagesOfNames).toEqual([['CreateAlias', 'CreateKey', 'DeleteRole'], ['CreateRole']]);
});

test.each<[string, LookupEventsRequest]>([
  ['InvalidMaxResultsException', { MaxResults: 51 }],
  ['InvalidTimeRangeException', { StartTime: new Date(2), EndTime: new Date(1) }],
  [
    'InvalidLookupAttributesException',
    {
      LookupAttributes: [
        { AttributeKey: 'EventName', AttributeValue: 'CreateRole' },
        { AttributeKey: 'Username', AttributeValue: 'root' },
      ],
    },
  ],
])('LookupEvents: returns %s for invalid input', async (name, input) => {
  await expect(lookUp(input)).rejects.toMatchObject({ name });
});

test('LookupEvents: trailDelayMs delays events', async () => {
  sandbox.faultSettings.trailDelayMs = 3 * 60_000;
  expect(names(await lookUp({}))).toEqual(['DeleteRole', 'CreateRole']);
  sandbox.faultSettings.trailDelayMs = 0;
});
