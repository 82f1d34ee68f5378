import { CreateRoleCommand } from '@aws-sdk/client-iam';
import { CreateAliasCommand, CreateKeyCommand } from '@aws-sdk/client-kms';
import { CreateBucketCommand, PutBucketTaggingCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const east = { region: 'us-east-1' };

/** Creates a bucket with the tags of its manager. */
async function createExisting({ client }: TestEnv, tags: Record<string, string>): Promise<void> {
  await client.send(east, new CreateBucketCommand({ Bucket: 'acme-tax' }));
  const TagSet = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  if (TagSet.length > 0)
    await client.send(east, new PutBucketTaggingCommand({ Bucket: 'acme-tax', Tagging: { TagSet } }));
}
/** The existing bucket uses SSE-S3. */
const ENCRYPTION_RISK = 'change-default-encryption';
const withAdopt = (adopt: string) => `${TAX_SPEC}  policy: { adopt: ${adopt} }\n`;
const remarksOf = async (env: TestEnv) => {
  const { plan, refusals } = await env.reconcile({ dryRun: true, allowedRisks: [ENCRYPTION_RISK] });
  return {
    notes: plan.notes.map(({ id, message }) => `${id} ${message}`),
    refused: refusals.map(({ id, message }) => `${id}: ${message}`),
  };
};

const EXISTING_OBJECTS_NOTE =
  's3.replication/acme-tax S3 replicates only objects written after this change; declare backfill for objects that exist already';

describe('existing resources', () => {
  test('without a manager: are used, with a note', async () => {
    await using env = await testEnv();
    await createExisting(env, {});
    expect(await remarksOf(env)).toEqual({
      notes: [
        EXISTING_OBJECTS_NOTE,
        's3.bucket/acme-tax already exists: replikey changes only the settings in this plan',
      ],
      refused: [],
    });
    const { remaining } = await env.reconcile({ allowedRisks: [ENCRYPTION_RISK] });
    expect(remaining?.waves).toEqual([]);
    env.sandbox.log.reset();
    await env.reconcile();
    expect(env.sandbox.log.counts()).not.toHaveProperty('s3:GetBucketTagging');
  });

  test.each([
    ['ManagedBy', 'terraform', 'terraform'],
    ['terraform', 'true', 'Terraform'],
    ['services.k8s.aws/controller-version', 's3-v1.0.9', 'an ACK controller (s3-v1.0.9)'],
    ['crossplane-name', 'tax', 'Crossplane (tax)'],
    ['pulumi:project', 'tax', 'Pulumi (tax)'],
  ])(
    'with a tag of another manager (%s): are refused until the risk is allowed',
    async (key, value, manager) => {
      await using env = await testEnv();
      await createExisting(env, { [key]: value });
      expect((await remarksOf(env)).refused).toEqual([
        `other-manager: s3.bucket/acme-tax appears to be managed by ${manager}, which may revert this change, or have its own changes reverted`,
      ]);
      const { remaining } = await env.reconcile({ allowedRisks: ['other-manager', ENCRYPTION_RISK] });
      expect(remaining?.waves).toEqual([]);
    },
  );

  test('adopt Always: are used in spite of another manager, with a note', async () => {
    await using env = await testEnv(withAdopt('Always'));
    await createExisting(env, { ManagedBy: 'terraform' });
    expect(await remarksOf(env)).toMatchObject({
      notes: [
        EXISTING_OBJECTS_NOTE,
        expect.stringMatching(/already exists and appears to be managed by terraform/),
      ],
      refused: [],
    });
  });

  test('adopt Never: bucket, key and role are refused', async () => {
    await using env = await testEnv(withAdopt('Never'));
    await createExisting(env, {});
    const { KeyMetadata } = await env.client.send(east, new CreateKeyCommand({}));
    await env.client.send(
      east,
      new CreateAliasCommand({ AliasName: 'alias/acme-tax', TargetKeyId: KeyMetadata?.KeyId }),
    );
    const trust = { Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' };
    await env.client.send(
      east,
      new CreateRoleCommand({
        RoleName: 'replikey-acme-tax',
        AssumeRolePolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [trust] }),
      }),
    );
    expect((await remarksOf(env)).refused.sort()).toEqual(
      ['iam.role/replikey-acme-tax', 'kms.key/alias/acme-tax@us-east-1', 's3.bucket/acme-tax'].map(
        (id) => `adopt: ${id} already exists, replikey does not manage it, and the spec sets adopt: Never`,
      ),
    );
  });

  test('created for another spec: are used, with a note that names it', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const { plan } = await env.reconcileWith(
      TAX_SPEC.replace('name: tax', 'name: taxes').replace('prefix: Tax/', 'prefix: Taxes/'),
      {
        dryRun: true,
      },
    );
    expect(plan.notes.map(({ id, message }) => `${id} ${message}`)).toContain(
      's3.bucket/acme-tax was created for the spec tax, which is not among the specs that declare it now',
    );
  });
});
