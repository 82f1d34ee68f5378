import { GetRoleCommand } from '@aws-sdk/client-iam';
import { DescribeKeyCommand } from '@aws-sdk/client-kms';
import { GetBucketVersioningCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { expect, test } from 'vitest';
import { createReplayClients } from '../../src/snapshot/replay.ts';
import type { SnapshotResponse } from '../../src/snapshot/snapshot.ts';

const region = 'us-east-1';
const buckets = (names: string[], next?: string, asked?: string): SnapshotResponse => ({
  call: 's3:ListBuckets',
  region,
  input: { MaxBuckets: 1_000, ...(asked === undefined ? {} : { ContinuationToken: asked }) },
  output: {
    Buckets: names.map((Name) => ({ Name })),
    ...(next === undefined ? {} : { ContinuationToken: next }),
  },
});
const roles: SnapshotResponse = {
  call: 'iam:ListRoles',
  region,
  input: {},
  output: { Roles: [{ RoleName: 'there' }] },
};
const aliases: SnapshotResponse = {
  call: 'kms:ListAliases',
  region,
  input: {},
  output: { Aliases: [{ AliasName: 'alias/there' }], Truncated: false },
};

const ask = (
  answers: SnapshotResponse[],
  service: 's3' | 'iam' | 'kms' | 'sts',
  command: object,
  at = { region },
) =>
  createReplayClients({ format: 1, observedAt: '2026-01-01T00:00:00Z', answers })
    .get(service, at)
    .send(command);

const versioning = (Bucket: string) => new GetBucketVersioningCommand({ Bucket });

test.each([
  ['a bucket', [buckets(['there'])], 's3', versioning('new'), 'NoSuchBucket'],
  ['a bucket, by HEAD', [buckets(['there'])], 's3', new HeadBucketCommand({ Bucket: 'new' }), 'NotFound'],
  [
    'a bucket after two pages',
    [buckets(['a'], 'n'), buckets(['b'], undefined, 'n')],
    's3',
    versioning('new'),
    'NoSuchBucket',
  ],
  ['a role', [roles], 'iam', new GetRoleCommand({ RoleName: 'new' }), 'NoSuchEntityException'],
  ['an alias', [aliases], 'kms', new DescribeKeyCommand({ KeyId: 'alias/new' }), 'NotFoundException'],
] as const)('%s that a listing does not name is absent', async (_, answers, service, command, name) => {
  await expect(ask([...answers], service, command)).rejects.toMatchObject({ name });
});

test.each([
  ['a bucket that is listed, but was not read', [buckets(['there'])], 's3', versioning('there'), { region }],
  ['a bucket where nothing was listed', [], 's3', versioning('new'), { region }],
  ['a bucket where the second page is missing', [buckets(['a'], 'n')], 's3', versioning('new'), { region }],
  [
    'a bucket where the first page is missing',
    [buckets(['b'], undefined, 'n')],
    's3',
    versioning('new'),
    { region },
  ],
  [
    'a bucket of another account',
    [buckets(['there'])],
    's3',
    versioning('new'),
    { region, account: 'other' },
  ],
  [
    'an alias of another Region',
    [aliases],
    'kms',
    new DescribeKeyCommand({ KeyId: 'alias/new' }),
    { region: 'eu-west-3' },
  ],
  ['a key by its id', [aliases], 'kms', new DescribeKeyCommand({ KeyId: '1234' }), { region }],
] as const)('%s is not known', async (_, answers, service, command, at) => {
  await expect(ask([...answers], service, command, at)).rejects.toThrow('it was not observed');
});

test('what IAM and STS answered in one Region holds in all; of an account that nobody asked nothing is known', async () => {
  const me: SnapshotResponse = {
    call: 'sts:GetCallerIdentity',
    region,
    input: {},
    output: { Account: '111122223333' },
  };
  const command = new GetCallerIdentityCommand({});
  expect(await ask([me], 'sts', command, { region: 'eu-west-1' })).toEqual({ Account: '111122223333' });
  await expect(ask([me], 'sts', command, { region, ...{ account: 'other' } })).rejects.toThrow(
    'nothing of the account "other" was observed',
  );
});
