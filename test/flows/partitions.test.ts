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
