import { CreateKeyCommand, DisableKeyCommand, UpdateAliasCommand } from '@aws-sdk/client-kms';
import { ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { describe, expect, test, vi } from 'vitest';
import { createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { runCanaries } from '../../src/canary/canary.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

/** Lists every version and delete marker of both buckets. */
async function versions({ client }: TestEnv): Promise<string[]> {
  const sides = [
    ['us-east-1', 'acme-tax'],
    ['us-west-2', 'acme-tax-replica'],
  ] as const;
  const versionsBySide = await Promise.all(
    sides.map(async ([region, Bucket]) => {
      const { Versions = [], DeleteMarkers = [] } = await client.send(
        { region },
        new ListObjectVersionsCommand({ Bucket }),
      );
      return [...Versions, ...DeleteMarkers].map(({ Key }) => `${Bucket}/${Key}`);
    }),
  );
  return versionsBySide.flat();
}

const runAll = (env: TestEnv, more: Partial<Parameters<typeof runCanaries>[1]> = {}) =>
  Promise.all(
    env.specs.pairs.map((pair) =>
      runCanaries(pair, { aws: env.client, pairs: env.specs.pairs, timeoutMs: 300, ...more }),
    ),
  ).then((all) => all.flat());

describe('runCanaries', () => {
  test('writes canaries with and without a Bucket Key for each rule, reports their latency, and removes them', async () => {
    await using env = await testEnv(`${TAX_SPEC}    - { name: ledgers, filter: { tags: { tier: gold } } }\n`);
    await env.reconcile();
    const results = await runAll(env, { timeoutMs: 5_000 });
    expect(results.map(({ rule, bucketKey, result }) => [rule, bucketKey, result])).toEqual([
      ['tax', true, 'replicated'],
      ['tax', false, 'replicated'],
      ['ledgers', true, 'replicated'],
      ['ledgers', false, 'replicated'],
    ]);
    for (const { latencyMs } of results) expect(latencyMs).toBeGreaterThanOrEqual(0);
    expect(await versions(env)).toEqual([]);
  });

  test('latency: starts after the put', async () => {
    await using env = await testEnv(
      TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      sseKmsEncryptedObjects: false'),
    );
    await env.reconcile();
    let now = 0;
    using _ = vi.spyOn(performance, 'now').mockImplementation(() => now);
    const durations: Record<string, number> = { PutObjectCommand: 60_000, HeadObjectCommand: 125 };
    const send: typeof env.client.send = async (location, command) => {
      const response = await env.client.send(location, command);
      now += durations[command.constructor.name] ?? 0;
      return response;
    };
    const [result] = await runAll(env, { aws: { ...env.client, send }, timeoutMs: 5_000 });
    expect(result).toMatchObject({ result: 'replicated' });
    expect(result?.latencyMs).toBeGreaterThanOrEqual(250);
    expect(result?.latencyMs).toBeLessThan(60_000);
  });

  test('failed replication: reports FAILED, and removes the canaries', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const replicaKey = { KeyId: await keyId(env) };
    await env.client.send({ region: 'us-west-2' }, new DisableKeyCommand(replicaKey));
    const results = await runAll(env);
    expect(results.map(({ result }) => result)).toEqual(['failed', 'failed']);
    expect(results[0]?.why).toMatch(/^S3 failed to replicate it \(FAILED\), and does not retry/);
    expect(await versions(env)).toEqual([]);
  });

  test('replica under another key: reports both keys', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const before = await keyId(env);
    const { KeyMetadata } = await env.client.send({ region: 'us-west-2' }, new CreateKeyCommand({}));
    await env.client.send(
      { region: 'us-west-2' },
      new UpdateAliasCommand({ AliasName: 'alias/acme-tax-replica', TargetKeyId: KeyMetadata?.KeyId }),
    );
    const results = await runAll(env, { timeoutMs: 5_000 });
    for (const { result, why } of results) {
      expect(result).toBe('failed');
      expect(why).toMatch(`/${before}, not under ${KeyMetadata?.Arn}`);
    }
    expect(await versions(env)).toEqual([]);
  });

  test.each([1, 100])('lost responses to %d puts: removes the canaries', async (times) => {
    await using env = await testEnv();
    await env.reconcile();
    env.sandbox.faultSettings.faults = [{ match: 'PutObject', nth: 1, times, what: 'reset-after' }];
    const clients = createSdkClients([], {
      endpoint: env.sandbox.endpoint,
      credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
    });
    const client = createAwsClient({ clients, accounts: [], region: 'us-east-1', retryTimeoutMs: 500 });
    const results = await runAll(env, { aws: client, timeoutMs: 5_000 });
    clients.destroy();
    expect(results.map(({ result }) => result)).toEqual(['replicated', 'replicated']);
    expect(await versions(env)).toEqual([]);
  });

  test('uncertain write: lists the canary in left', async () => {
    await using env = await testEnv();
    await env.reconcile();
    env.sandbox.faultSettings.faults = [
      { match: 'PutObject', nth: 1, what: { status: 400, code: 'Odd' } },
      { match: 'PutObject', nth: 1, times: 100, what: 'reset-after' },
      { match: 'HeadObject', nth: 1, times: 100, what: { status: 403, code: 'AccessDenied' } },
    ];
    const clients = createSdkClients([], {
      endpoint: env.sandbox.endpoint,
      credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
    });
    const client = createAwsClient({ clients, accounts: [], region: 'us-east-1', retryTimeoutMs: 300 });
    const results = await runAll(env, { aws: client });
    clients.destroy();
    expect(results.map(({ left = [] }) => left.length).sort()).toEqual([0, 1]);
    expect(results.flatMap(({ left = [] }) => left)[0]).toMatch(
      /^acme-tax\/Tax\/\.replikey-canary\/[0-9a-f-]+, which may have been written/,
    );
  });

  test('failed removal: lists location, version and error in left', async () => {
    await using env = await testEnv();
    await env.reconcile();
    env.sandbox.faultSettings.faults = [
      { match: 'DeleteObject', nth: 1, times: 100, what: { status: 403, code: 'AccessDenied' } },
    ];
    const [result] = await runAll(env, { timeoutMs: 5_000 });
    expect(result?.result).toBe('replicated');
    expect(result?.left).toEqual([
      expect.stringMatching(/^acme-tax\/Tax\/.* version .*: s3:DeleteObject in us-east-1: AccessDenied/),
      expect.stringMatching(
        /^acme-tax-replica\/Tax\/.* version .*: s3:DeleteObject in us-west-2: AccessDenied/,
      ),
    ]);
  });

  test.each([undefined, 'Suspended'] as const)(
    'versioning %s: reports the missing version id, and removes the canaries',
    async (status) => {
      await using env = await testEnv();
      await env.reconcile();
      const bucket = env.sandbox.store.bucket('acme-tax');
      // S3 refuses to suspend versioning while a bucket has rules.
      if (bucket) Object.assign(bucket, { versioning: { Status: status }, replication: undefined });
      const results = await runAll(env);
      expect(results[0]?.why).toBe(
        'acme-tax returned no version id for the canary: versioning is not enabled',
      );
      expect(await versions(env)).toEqual([]);
    },
  );

  test('no matching rule: reports it, and removes the canaries', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const bucket = env.sandbox.store.bucket('acme-tax');
    if (bucket) delete bucket.replication;
    const results = await runAll(env);
    expect(results[0]?.why).toBe('no rule selected it: the object has no replication status');
    expect(await versions(env)).toEqual([]);
  });

  test('timeout: reports PENDING, and removes the canaries', async () => {
    await using env = await testEnv();
    await env.reconcile();
    env.sandbox.faultSettings.replicationDelayMs = 60_000;
    const results = await runAll(env, { timeoutMs: 50 });
    expect(results.map(({ why }) => why)).toEqual([
      'still PENDING after 0.05 s',
      'still PENDING after 0.05 s',
    ]);
    expect(await versions(env)).toEqual([]);
  });

  test('interruption: removes the canaries', async () => {
    await using env = await testEnv();
    await env.reconcile();
    env.sandbox.faultSettings.replicationDelayMs = 60_000;
    const controller = new AbortController();
    const client = {
      ...env.client,
      send: ((location, command) => {
        const response = env.client.send(location, command);
        if (command.constructor.name === 'HeadObjectCommand') controller.abort();
        return response;
      }) as typeof env.client.send,
    };
    await runAll(env, { aws: client, signal: controller.signal, timeoutMs: 60_000 }).catch(() => {});
    expect(await versions(env)).toEqual([]);
  });

  test('rule without encrypted objects: writes canaries with SSE-S3', async () => {
    await using env = await testEnv(
      TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      sseKmsEncryptedObjects: false'),
    );
    await env.reconcile();
    expect(
      (await runAll(env, { timeoutMs: 5_000 })).map(({ sseAlgorithm, result }) => [sseAlgorithm, result]),
    ).toEqual([['AES256', 'replicated']]);
  });

  test('disabled rule: skips its canaries', async () => {
    await using env = await testEnv(TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      enabled: false'));
    await env.reconcile();
    expect((await runAll(env)).map(({ result, why }) => [result, why])).toEqual([
      ['skipped', expect.stringMatching(/paused|disabled/i)],
    ]);
  });
});

async function keyId({ sandbox }: TestEnv): Promise<string> {
  for (const account of sandbox.store.accounts())
    for (const alias of account.aliases.values())
      if (alias.name === 'alias/acme-tax-replica') return alias.targetKeyId;
  throw new Error('no replica key');
}
