import { GetRoleCommand } from '@aws-sdk/client-iam';
import { DescribeKeyCommand } from '@aws-sdk/client-kms';
import { GetBucketVersioningCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { expect, test } from 'vitest';
import { createReplayClients } from '../../src/snapshot/replay.ts';
import type { SnapshotResponse } from '../../src/snapshot/snapshot.ts';

const region = 'us-east-1';
const bucketList = (names: string[], nextToken?: string, requestToken?: string): SnapshotResponse => ({
  call: 's3:ListBuckets',
  region,
  input: { MaxBuckets: 1_000, ...(requestToken === undefined ? {} : { ContinuationToken: requestToken }) },
  output: {
    Buckets: names.map((Name) => ({ Name })),
    ...(nextToken === undefined ? {} : { ContinuationToken: nextToken }),
  },
});
const roleList: SnapshotResponse = {
  call: 'iam:ListRoles',
  region,
  input: {},
  output: { Roles: [{ RoleName: 'existing' }] },
};
const aliasList: SnapshotResponse = {
  call: 'kms:ListAliases',
  region,
  input: {},
  output: { Aliases: [{ AliasName: 'alias/existing' }], Truncated: false },
};

const replay = (
  responses: SnapshotResponse[],
  service: 's3' | 'iam' | 'kms' | 'sts',
  command: object,
  location = { region },
) =>
  createReplayClients({ format: 1, observedAt: '2026-01-01T00:00:00Z', answers: responses })
    .get(service, location)
    .send(command);

const versioning = (Bucket: string) => new GetBucketVersioningCommand({ Bucket });

test.each([
  ['a bucket', [bucketList(['existing'])], 's3', versioning('new'), 'NoSuchBucket'],
  [
    'a bucket, by HEAD',
    [bucketList(['existing'])],
    's3',
    new HeadBucketCommand({ Bucket: 'new' }),
    'NotFound',
  ],
  [
    'a bucket after two pages',
    [bucketList(['a'], 'n'), bucketList(['b'], undefined, 'n')],
    's3',
    versioning('new'),
    'NoSuchBucket',
  ],
  ['a role', [roleList], 'iam', new GetRoleCommand({ RoleName: 'new' }), 'NoSuchEntityException'],
  ['an alias', [aliasList], 'kms', new DescribeKeyCommand({ KeyId: 'alias/new' }), 'NotFoundException'],
] as const)(
  'replay: %s that a complete listing lacks is absent',
  async (_, responses, service, command, name) => {
    await expect(replay([...responses], service, command)).rejects.toMatchObject({ name });
  },
);

test.each([
  [
    'a listed bucket whose settings were not read',
    [bucketList(['existing'])],
    's3',
    versioning('existing'),
    { region },
  ],
  ['a bucket without a listing', [], 's3', versioning('new'), { region }],
  [
    'a bucket without the second page of the listing',
    [bucketList(['a'], 'n')],
    's3',
    versioning('new'),
    { region },
  ],
  [
    'a bucket without the first page of the listing',
    [bucketList(['b'], undefined, 'n')],
    's3',
    versioning('new'),
    { region },
  ],
  [
    'a bucket of another account',
    [bucketList(['existing'])],
    's3',
    versioning('new'),
    { region, account: 'other' },
  ],
  [
    'an alias of another Region',
    [aliasList],
    'kms',
    new DescribeKeyCommand({ KeyId: 'alias/new' }),
    { region: 'eu-west-3' },
  ],
  ['a key by its id', [aliasList], 'kms', new DescribeKeyCommand({ KeyId: '1234' }), { region }],
] as const)('replay: %s is not in the snapshot', async (_, responses, service, command, location) => {
  await expect(replay([...responses], service, command, location)).rejects.toThrow('not in the snapshot');
});

test('replay: IAM and STS responses apply to every Region, but not to another account', async () => {
  const identity: SnapshotResponse = {
    call: 'sts:GetCallerIdentity',
    region,
    input: {},
    output: { Account: '111122223333' },
  };
  const command = new GetCallerIdentityCommand({});
  expect(await replay([identity], 'sts', command, { region: 'eu-west-1' })).toEqual({
    Account: '111122223333',
  });
  await expect(replay([identity], 'sts', command, { region, ...{ account: 'other' } })).rejects.toThrow(
    'the snapshot contains nothing from the account "other"',
  );
});
