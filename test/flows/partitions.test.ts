import { GetRoleCommand, GetRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { ListAliasesCommand } from '@aws-sdk/client-kms';
import { GetBucketReplicationCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { TAX_SPEC, testEnv } from '../support/env.ts';

// Partitions and their Regions: the column "ARN" of the AWS General Reference, and the partitions.json of the SDKs.
describe.each([
  ['aws-eusc', 'eusc-de-east-1', 'eusc-de-east-1'],
  ['aws-cn', 'cn-north-1', 'cn-northwest-1'],
  ['aws-iso-f', 'us-isof-south-1', 'us-isof-east-1'],
])('partition %s', (partition, sourceRegion, destinationRegion) => {
  const spec = TAX_SPEC.replace('us-east-1', sourceRegion).replace('us-west-2', destinationRegion);

  test('a pair is proven, converges and replicates, and every ARN names the partition', async () => {
    await using env = await testEnv(spec);
    const first = await env.reconcile();
    expect(first.refusals).toEqual([]);
    expect(first.proof.map(({ verdict }) => verdict)).toEqual(
      ['proven', 'proven'].slice(0, first.proof.length),
    );
    expect(first.remaining?.waves).toEqual([]);
    expect((await env.canaries()).map(({ result }) => result)).toEqual(['replicated', 'replicated']);

    const send = <O>(command: Parameters<typeof env.client.send<O>>[1]) =>
      env.client.send({ region: sourceRegion }, command);
    const documents = JSON.stringify([
      await send(new GetRoleCommand({ RoleName: 'replikey-acme-tax' })),
      await send(new GetRolePolicyCommand({ RoleName: 'replikey-acme-tax', PolicyName: 'replikey' })),
      await send(new ListAliasesCommand({})),
      await send(new GetBucketReplicationCommand({ Bucket: 'acme-tax' })),
      await send(new HeadBucketCommand({ Bucket: 'acme-tax' })),
    ]);
    const partitions = [...decodeURIComponent(documents).matchAll(/arn:([^:]+):/g)].map(([, name]) => name);
    expect(partitions.length).toBeGreaterThan(10);
    expect(new Set(partitions)).toEqual(new Set([partition]));
  });

  // The message of IAM: hashicorp/terraform-provider-aws and the IAM guide, "MalformedPolicyDocument".
  test('IAM refuses a policy that names a resource of the partition aws', async () => {
    await using env = await testEnv(spec);
    await env.reconcile();
    const PolicyDocument = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: 'arn:aws:s3:::acme-tax' }],
    });
    await expect(
      env.client.send(
        { region: sourceRegion },
        new PutRolePolicyCommand({ RoleName: 'replikey-acme-tax', PolicyName: 'other', PolicyDocument }),
      ),
    ).rejects.toMatchObject({
      name: 'MalformedPolicyDocumentException',
      message: 'Partition "aws" is not valid for resource "arn:aws:s3:::acme-tax".',
    });
  });
});

// Errors of a Region that is not enabled: S3 InvalidToken, KMS UnrecognizedClientException, STS InvalidClientTokenId
// (https://docs.aws.amazon.com/general/latest/gr/rande-manage.html, and the error references of the services).
test.each([
  ['destination', TAX_SPEC.replaceAll('tax', 'late').replace('us-west-2', 'af-south-1')],
  ['source', TAX_SPEC.replaceAll('tax', 'late').replace('us-east-1', 'af-south-1')],
])('opt-in Region: as %s it blocks its pair with a hint, and another pair is applied', async (_, late) => {
  await using env = await testEnv();
  env.sandbox.faultSettings.disabledRegions = ['af-south-1'];
  const { plan, results } = await env.reconcileWith(`${late}---\n${TAX_SPEC}`);
  expect(results.map(({ result }) => result)).toEqual(plan.waves.flat().map(() => 'applied'));
  expect(new Set(plan.waves.flat().flatMap(({ pairs }) => pairs))).toEqual(new Set(['tax']));
  expect(new Set(plan.blocked.flatMap(({ pairs }) => pairs))).toEqual(new Set(['late']));
  expect(plan.blocked.map(({ why }) => why).join()).toContain(
    'aws account enable-region --region-name af-south-1',
  );
});

test('opt-in Region: credentials that are invalid in every Region stop the run', async () => {
  await using env = await testEnv();
  env.sandbox.faultSettings.disabledRegions = ['us-east-1', 'us-west-2'];
  await expect(env.reconcile()).rejects.toMatchObject({ exitCode: 4 });
});
