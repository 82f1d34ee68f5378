import { CreateBucketCommand, type CreateBucketCommandInput } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { TAX_SPEC, testEnv } from '../support/env.ts';

// Names and errors of the account-regional namespace:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/gpbucketnamespaces.html and bucketnamingrules.html
const specOf = (account: string) =>
  TAX_SPEC.replace('bucket: acme-tax,', `bucket: acme-${account}-us-east-1-an,`).replace(
    'bucket: acme-tax-replica,',
    `bucket: acme-${account}-us-west-2-an,`,
  );

test('account-regional names: CreateBucket sends the namespace, and the pair converges and replicates', async () => {
  await using env = await testEnv(specOf('111122223333'));
  const first = await env.reconcile();
  expect(first.results.filter(({ result }) => result !== 'applied')).toEqual([]);
  expect(first.remaining?.waves).toEqual([]);
  expect((await env.canaries()).map(({ result }) => result)).toEqual(['replicated', 'replicated']);
});

test('account-regional names: the suffix of another account than that of the ambient credentials blocks the pair', async () => {
  await using env = await testEnv(specOf('999922223333'));
  const { plan } = await env.reconcile();
  expect(plan.waves).toEqual([]);
  expect(plan.blocked.map(({ why }) => why).join()).toContain(
    'only account 999922223333 can create it, not 111122223333',
  );
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
});

const REGIONAL = { BucketNamespace: 'account-regional' } as const;

test.each<[condition: string, input: CreateBucketCommandInput, error: string]>([
  ['no namespace', { Bucket: 'acme-111122223333-us-east-1-an' }, 'MissingNamespaceHeader'],
  ['the global namespace', { Bucket: 'acme-an', BucketNamespace: 'global' }, 'MissingNamespaceHeader'],
  ['another account', { Bucket: 'acme-444455556666-us-east-1-an', ...REGIONAL }, 'InvalidBucketNamespace'],
  ['another Region', { Bucket: 'acme-111122223333-us-west-2-an', ...REGIONAL }, 'InvalidBucketNamespace'],
  ['no prefix', { Bucket: '111122223333-us-east-1-an', ...REGIONAL }, 'InvalidBucketNamespace'],
  ['no suffix', { Bucket: 'acme', ...REGIONAL }, 'InvalidNamespaceHeader'],
])('CreateBucket: S3 refuses a name with %s', async (_, input, error) => {
  await using env = await testEnv();
  await expect(
    env.client.send({ region: 'us-east-1' }, new CreateBucketCommand(input)),
  ).rejects.toMatchObject({
    name: error,
    $metadata: { httpStatusCode: 400 },
  });
});

// "Any attempt to re-create an account regional namespace bucket that you already own in any AWS Region will return an
// HTTP 409 BucketAlreadyOwnedByYou error."
test('CreateBucket: S3 refuses to create an account-regional bucket twice, also in us-east-1', async () => {
  await using env = await testEnv();
  const create = () =>
    env.client.send(
      { region: 'us-east-1' },
      new CreateBucketCommand({ Bucket: 'acme-111122223333-us-east-1-an', ...REGIONAL }),
    );
  expect(await create()).toMatchObject({ Location: '/acme-111122223333-us-east-1-an' });
  await expect(create()).rejects.toMatchObject({ name: 'BucketAlreadyOwnedByYou' });
});
