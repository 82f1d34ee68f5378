import { CreateKeyCommand, DisableKeyCommand, ReplicateKeyCommand } from '@aws-sdk/client-kms';
import { GetBucketReplicationCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { AwsClient } from '../../src/aws/client.ts';
import { collectReplicationFacts } from '../../src/facts/collect.ts';
import { locationsOf } from '../../src/facts/locations.ts';
import { discoverReplication } from '../../src/import/discover.ts';
import { importSpecs, toYaml } from '../../src/import/render-yaml.ts';
import { proveRules } from '../../src/proof/prove.ts';
import { changeRules, EAST, put, REPLICA, SOURCE, versionOf, WEST } from '../sandbox/support.ts';
import { parseSpecs, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

/*
 * UseSourceMultiRegionKey: "Specifies whether Amazon S3 uses the related multi-Region KMS key in the destination Amazon Web
 * Services Region to encrypt the replica" (AWS SDK for JavaScript, client-s3 3.1175.0, EncryptionConfiguration).
 */

const related = (arn: string, ...further: string[]) =>
  TAX_SPEC.replace('key: alias/acme-tax }', `key: "${arn}" }`)
    .replace('key: alias/acme-tax-replica', 'key: related')
    .replace('  rules:', `  sourceKeys: ${JSON.stringify(further)}\n  rules:`);

/** Creates a multi-Region key with a replica in the destination's Region, and returns its ARN. */
async function multiRegionKey(client: AwsClient, hasReplica = true): Promise<string> {
  const { KeyMetadata } = await client.send(EAST, new CreateKeyCommand({ MultiRegion: true }));
  const { Arn = '', KeyId = '' } = KeyMetadata ?? {};
  if (hasReplica) await client.send(EAST, new ReplicateKeyCommand({ KeyId, ReplicaRegion: WEST.region }));
  return Arn;
}

const inWest = (arn: string) => arn.replace(':us-east-1:', ':us-west-2:');

async function proofOf(env: TestEnv) {
  const locations = locationsOf({ pairs: [], accounts: [] }, 'us-east-1');
  const [proof] = proveRules(await collectReplicationFacts(env.client, [SOURCE], locations), SOURCE);
  return proof;
}

/** Returns an environment with two multi-Region keys, and an applied pair whose destination uses related keys. */
async function relatedPair() {
  const env = await testEnv(TAX_SPEC, { faultSettings: { keyCreationMs: 0 } });
  const keys = [await multiRegionKey(env.client), await multiRegionKey(env.client)] as const;
  await env.reconcileWith(related(...keys));
  return { env, keys };
}

describe('destination.key: related', () => {
  test('S3 encrypts each replica under the key that is related to the key of its object', async () => {
    const { env, keys } = await relatedPair();
    await using _ = env;
    const { ReplicationConfiguration } = await env.client.send(
      EAST,
      new GetBucketReplicationCommand({ Bucket: SOURCE }),
    );
    expect(ReplicationConfiguration?.Rules?.[0]?.Destination?.EncryptionConfiguration).toEqual({
      UseSourceMultiRegionKey: { Status: 'Enabled' },
    });
    for (const key of keys) {
      const Key = `Tax/${key}`;
      const version = await put(env, { Key, ServerSideEncryption: 'aws:kms', SSEKMSKeyId: key });
      expect(version?.replication).toMatchObject({ status: 'COMPLETED' });
      expect(versionOf(env.sandbox, REPLICA, Key)?.encryption.keyArn).toBe(inWest(key));
    }
    expect((await env.reconcileWith(related(...keys))).plan.waves).toEqual([]);
  });

  test('doctor: proves the rule, and states what AWS does not document', async () => {
    const { env } = await relatedPair();
    await using _ = env;
    expect(await proofOf(env)).toMatchObject({ verdict: 'proven', findings: [{ code: 'RK1208' }] });
  });

  test('doctor: finds a related key that is disabled, as S3 does', async () => {
    const { env, keys } = await relatedPair();
    await using _ = env;
    await env.client.send(WEST, new DisableKeyCommand({ KeyId: inWest(keys[0]) }));
    expect(await proofOf(env)).toMatchObject({
      verdict: 'broken',
      findings: expect.arrayContaining([expect.objectContaining({ code: 'RK1203' })]),
    });
    expect((await put(env, { Key: 'Tax/a' }))?.replication?.attempts[0]?.reason).toBe(
      'DstKmsKeyInvalidState',
    );
  });

  test('doctor: finds that the related key does not exist, as S3 does', async () => {
    await using env = await testEnv(TAX_SPEC, { faultSettings: { keyCreationMs: 0 } });
    const arn = await multiRegionKey(env.client, false);
    const { plan } = await env.reconcileWith(related(arn), { dryRun: true });
    expect(plan.blocked.map(({ why }) => why).join()).toContain(inWest(arn));
  });

  test('doctor: gives no verdict for objects under a key that is not multi-Region', async () => {
    await using env = await testEnv(TAX_SPEC, { faultSettings: { keyCreationMs: 0 } });
    await env.reconcile();
    await changeRules(env.client, ([rule]) => [
      {
        ...rule,
        Destination: {
          ...rule?.Destination,
          Bucket: rule?.Destination?.Bucket,
          EncryptionConfiguration: {
            ...rule?.Destination?.EncryptionConfiguration,
            UseSourceMultiRegionKey: { Status: 'Enabled' },
          },
        },
      } as never,
    ]);
    const proof = await proofOf(env);
    expect(proof?.verdict).toBe('unknown');
    expect(proof?.findings.map(({ code }) => code)).toEqual(expect.arrayContaining(['RK1208', 'RK1209']));
  });

  // AWS KMS Developer Guide, "Create multi-Region replica keys": a replica is Creating at first, and cannot be used.
  test('reconcile: writes nothing while KMS creates the replica key, and continues when the key is enabled', async () => {
    let now = Date.now();
    await using env = await testEnv(TAX_SPEC, { clock: () => now });
    const yaml = related(await multiRegionKey(env.client));
    const first = await env.reconcileWith(yaml);
    expect(first.refusals.map(({ message }) => message).join()).toMatch(
      /KMS is still creating the key .*; run again when its state is Enabled/,
    );
    expect(env.sandbox.store.bucket(SOURCE)).toBeUndefined();
    now += env.sandbox.faultSettings.keyCreationMs;
    expect((await env.reconcileWith(yaml)).refusals).toEqual([]);
    expect((await put(env))?.replication).toMatchObject({ status: 'COMPLETED' });
  });

  test('import: declares related, and the plan for the imported spec is empty', async () => {
    const { env } = await relatedPair();
    await using _ = env;
    const replication = await discoverReplication(env.client, SOURCE, EAST.region);
    const yaml = toYaml(importSpecs(replication ? [replication] : []));
    expect(yaml).toContain('key: related');
    expect((await env.reconcileWith(yaml)).plan.waves).toEqual([]);
  });

  test('validation: refuses a source key whose related key is unknown', async () => {
    await expect(parseSpecs(TAX_SPEC.replace('key: alias/acme-tax-replica', 'key: related'))).rejects.toThrow(
      /destination.key: related requires the ARN or id of a multi-Region key here/,
    );
  });
});
