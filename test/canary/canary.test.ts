import { PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { CreateKeyCommand, DisableKeyCommand, UpdateAliasCommand } from '@aws-sdk/client-kms';
import { ListObjectVersionsCommand, PutObjectCommand, type ReplicationRule } from '@aws-sdk/client-s3';
import { describe, expect, test, vi } from 'vitest';
import { createAwsClient } from '../../src/aws/client.ts';
import { commandInfo } from '../../src/aws/command.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { runCanaries } from '../../src/canary/canary.ts';
import { putCanary } from '../../src/canary/canary-object.ts';
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

const SSE_S3_SPEC = TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      sseKmsEncryptedObjects: false');

/** Adds a rule of another owner, which selects the canaries and replicates them to a third bucket. */
function addForeignRule({ sandbox }: TestEnv, owner: string): void {
  const { store } = sandbox;
  const source = store.bucket('acme-tax');
  const replica = store.bucket('acme-tax-replica');
  const [rule] = source?.replication?.Rules ?? [];
  if (!replica || !rule) throw new Error('no rule');
  store.addBucket({ ...replica, name: 'acme-third', owner, objects: new Map() });
  source?.replication?.Rules?.push({
    ...rule,
    ID: 'foreign',
    Priority: 7,
    Destination: { Bucket: 'arn:aws:s3:::acme-third' },
  });
}

const runAll = (env: TestEnv, more: Partial<Parameters<typeof runCanaries>[1]> = {}) =>
  Promise.all(
    env.specs.pairs.map((pair) =>
      runCanaries(pair, {
        aws: env.client,
        specs: env.specs,
        allowedRisks: [],
        timeoutMs: 300,
        lateReplicaMs: 300,
        ...more,
      }),
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
      expect.stringMatching(
        /^acme-tax\/Tax\/.* version .*: s3:DeleteObject in us-east-1: AccessDenied.*; grant s3:DeleteObjectVersion on arn:aws:s3:::acme-tax\/Tax\/\.replikey-canary\/\*, or remove it: aws s3api delete-object --bucket acme-tax --key Tax\/\S+ --version-id \S+ --expected-bucket-owner 111122223333 --region us-east-1$/,
      ),
      expect.stringMatching(
        /^acme-tax-replica\/Tax\/.* version .*: s3:DeleteObject in us-west-2: AccessDenied.*--region us-west-2$/,
      ),
    ]);
  });

  test.each([undefined, 'Suspended'] as const)(
    'versioning %s: reports the missing version id, and removes the canaries',
    async (status) => {
      await using env = await testEnv();
      await env.reconcile();
      const bucket = env.sandbox.store.bucket('acme-tax');
      // S3 refuses to suspend versioning while a bucket has rules. A person can suspend it between two calls.
      if (bucket) Object.assign(bucket, { versioning: { Status: status } });
      const results = await runAll(env);
      expect(results[0]?.why).toBe(
        'acme-tax returned no version id for the canary: versioning is not enabled',
      );
      expect(await versions(env)).toEqual([]);
    },
  );

  test.each([
    ['missing configuration', (rules: ReplicationRule[]) => rules.splice(0), 'has no rule replikey/tax/tax'],
    [
      'disabled rule',
      ([rule]: ReplicationRule[]) => Object.assign(rule ?? {}, { Status: 'Disabled' }),
      'the rule replikey/tax/tax of acme-tax is disabled',
    ],
    [
      'rule with another prefix',
      ([rule]: ReplicationRule[]) => Object.assign(rule ?? {}, { Filter: { Prefix: 'Audit/' } }),
      'the rule replikey/tax/tax of acme-tax selects other objects than the spec',
    ],
    [
      'rule with another destination',
      ([rule]: ReplicationRule[]) =>
        Object.assign(rule?.Destination ?? {}, { Bucket: 'arn:aws:s3:::acme-other' }),
      'the rule replikey/tax/tax of acme-tax replicates to acme-other, not to acme-tax-replica',
    ],
  ])('spec that is not applied, %s: reports it, and writes nothing', async (_, change, reason) => {
    await using env = await testEnv();
    await env.reconcile();
    change(env.sandbox.store.bucket('acme-tax')?.replication?.Rules ?? []);
    env.sandbox.log.reset();
    const [result] = await runAll(env);
    expect(result).toMatchObject({ result: 'failed', key: '' });
    expect(result?.why).toContain(`the spec is not applied: `);
    expect(result?.why).toContain(reason);
    expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  });

  // AWS, PutBucketVersioning: 404 NoSuchKey for up to 15 minutes after versioning was first enabled.
  test('404 of the written object, missing status and 404 of the replica: count as pending', async () => {
    await using env = await testEnv(SSE_S3_SPEC);
    await env.reconcile();
    const responses: (object | 'missing')[] = ['missing', { ReplicationStatus: undefined }];
    let replicaReads = 0;
    const send = (async (location, command) => {
      if (command.constructor.name !== 'HeadObjectCommand') return env.client.send(location, command);
      const isReplica = location.region === 'us-west-2';
      const answer = isReplica ? (replicaReads++ === 0 ? 'missing' : undefined) : responses.shift();
      if (answer === 'missing')
        throw Object.assign(new Error('NotFound'), { $metadata: { httpStatusCode: 404 } });
      return { ...(await env.client.send(location, command)), ...answer };
    }) as typeof env.client.send;
    const [result] = await runAll(env, { aws: { ...env.client, send }, timeoutMs: 20_000 });
    expect(result).toMatchObject({ result: 'replicated' });
    expect(replicaReads).toBe(2);
  });

  test('object without a status until the time limit: timeout with the reason', async () => {
    await using env = await testEnv(SSE_S3_SPEC);
    await env.reconcile();
    const send = (async (location, command) => {
      const response = await env.client.send(location, command);
      return command.constructor.name === 'HeadObjectCommand'
        ? { ...response, ReplicationStatus: undefined }
        : response;
    }) as typeof env.client.send;
    const lines: string[] = [];
    const [result] = await runAll(env, {
      aws: { ...env.client, send },
      timeoutMs: 50,
      // S3 replicates only versions with a status, so the removal waits for no replica.
      lateReplicaMs: 60_000,
      onNotice: (line) => lines.push(line),
    });
    expect(lines).toEqual([]);
    expect(result).toMatchObject({
      result: 'timeout',
      why: 'the object has no replication status: no rule selected it so far, after 0.05 s',
    });
    expect(await versions(env)).toEqual([]);
  });

  test('wait for a replica: reports every 30 s how long it waits, and for what', async () => {
    await using env = await testEnv(SSE_S3_SPEC);
    await env.reconcile();
    env.sandbox.faultSettings.replicationDelayMs = 60_000;
    let now = 0;
    using _ = vi.spyOn(performance, 'now').mockImplementation(() => now);
    const abort = new AbortController();
    const send = (async (location, command) => {
      if (command.constructor.name === 'HeadObjectCommand') now += 16_000;
      return env.client.send(location, command);
    }) as typeof env.client.send;
    const lines: string[] = [];
    await runAll(env, {
      aws: { ...env.client, send },
      timeoutMs: 900_000,
      signal: abort.signal,
      onNotice(line) {
        lines.push(line);
        if (lines.length === 2) abort.abort();
      },
    });
    expect(lines.slice(0, 2)).toEqual(
      [32, 64].map(
        (waited) =>
          `canary of tax/tax, without a Bucket Key: waiting for its replica for ${waited} s of at most 900 s: still PENDING`,
      ),
    );
    expect(await versions(env)).toEqual([]);
  });

  describe('Object Lock', () => {
    const lockReplica = (env: TestEnv, retention: { Mode: string; Days: number } | undefined) => {
      const replica = env.sandbox.store.bucket('acme-tax-replica');
      Object.assign(replica ?? {}, { objectLock: true, defaultRetention: retention });
      env.sandbox.log.reset();
    };
    const writes = ({ sandbox }: TestEnv) => sandbox.log.entries.filter(({ write }) => write);

    test.each([
      ['COMPLIANCE', [], 'COMPLIANCE for 7 days, which no one can shorten'],
      ['COMPLIANCE', ['canary-retained'], 'COMPLIANCE for 7 days, which no one can shorten'],
      ['GOVERNANCE', [], 'GOVERNANCE for 7 days; allow it with --allow canary-retained'],
    ])('default retention %s with %j: refuses and writes nothing', async (Mode, allowedRisks, reason) => {
      await using env = await testEnv(SSE_S3_SPEC);
      await env.reconcile();
      lockReplica(env, { Mode, Days: 7 });
      expect(await runAll(env, { allowedRisks })).toMatchObject([
        {
          result: 'refused',
          key: '',
          why: `no canary was written: acme-tax-replica retains each new version: ${reason}`,
        },
      ]);
      expect(writes(env)).toEqual([]);
    });

    // AWS, API model of PutObjectLockConfiguration: with DefaultEventHold, each new object has an event hold.
    test.each([
      ['COMPLIANCE', ', which no one can shorten'],
      ['GOVERNANCE', '; allow it with --allow canary-retained'],
    ])('default event hold in %s mode: refuses and writes nothing', async (Mode, advice) => {
      await using env = await testEnv(SSE_S3_SPEC);
      await env.reconcile();
      env.sandbox.log.reset();
      const send = (async (location, command) => {
        const response = await env.client.send(location, command);
        return commandInfo(command).operation === 'GetObjectLockConfiguration' &&
          location.region === 'us-west-2'
          ? {
              ObjectLockConfiguration: {
                Rule: { DefaultRetention: { Mode, DefaultEventHold: { Days: 1 } } },
              },
            }
          : response;
      }) as typeof env.client.send;
      lockReplica(env, undefined);
      expect(await runAll(env, { aws: { ...env.client, send } })).toMatchObject([
        {
          result: 'refused',
          why: `no canary was written: acme-tax-replica retains each new version: a default event hold in ${Mode} mode${advice}`,
        },
      ]);
      expect(writes(env)).toEqual([]);
    });

    test('Governance retention that is allowed: reports the retained version, and removes the other', async () => {
      await using env = await testEnv(SSE_S3_SPEC);
      await env.reconcile();
      lockReplica(env, { Mode: 'GOVERNANCE', Days: 7 });
      const [result] = await runAll(env, { allowedRisks: ['canary-retained'], timeoutMs: 5_000 });
      expect(result).toMatchObject({ result: 'replicated' });
      expect(result?.left).toBeUndefined();
      expect(result?.retained).toEqual([
        expect.stringMatching(/^acme-tax-replica\/Tax\/.* version .*: GOVERNANCE for 7 days$/),
      ]);
      expect(await versions(env)).toEqual([expect.stringMatching(/^acme-tax-replica\//)]);
    });

    test('without default retention: writes and removes the canaries', async () => {
      await using env = await testEnv(SSE_S3_SPEC);
      await env.reconcile();
      lockReplica(env, undefined);
      expect(await runAll(env, { timeoutMs: 5_000 })).toMatchObject([{ result: 'replicated' }]);
      expect(await versions(env)).toEqual([]);
    });

    test('configuration that cannot be read: refuses and writes nothing', async () => {
      await using env = await testEnv(SSE_S3_SPEC);
      await env.reconcile();
      env.sandbox.log.reset();
      env.sandbox.faultSettings.faults = [
        {
          match: 'GetObjectLockConfiguration',
          nth: 1,
          times: 100,
          what: { status: 403, code: 'AccessDenied' },
        },
      ];
      const [result] = await runAll(env);
      expect(result?.result).toBe('refused');
      expect(result?.why).toMatch(/cannot read the Object Lock configuration of acme-tax: .*AccessDenied/);
      expect(writes(env)).toEqual([]);
    });
  });

  test('foreign rule of the source replicates to a third bucket: removes the version there as well', async () => {
    await using env = await testEnv(SSE_S3_SPEC);
    await env.reconcile();
    addForeignRule(env, '111122223333');
    const replication = ['s3:ReplicateObject', 's3:ReplicateTags'];
    const statement = { Effect: 'Allow', Action: replication, Resource: 'arn:aws:s3:::acme-third/*' };
    const role = env.sandbox.store.bucket('acme-tax')?.replication?.Role?.split('/').at(-1);
    await env.client.send(
      { region: 'us-east-1' },
      new PutRolePolicyCommand({
        RoleName: role,
        PolicyName: 'third',
        PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [statement] }),
      }),
    );
    const third = () => [...(env.sandbox.store.bucket('acme-third')?.objects.values() ?? [])].flat();
    const arrivedAtRemoval: number[] = [];
    const send = ((location, command) => {
      if (command.constructor.name === 'DeleteObjectCommand') arrivedAtRemoval.push(third().length);
      return env.client.send(location, command);
    }) as typeof env.client.send;
    const aws: typeof env.client = { ...env.client, send, uninterruptible: () => aws, fenced: () => aws };
    const [result] = await runAll(env, { aws, timeoutMs: 5_000 });
    expect(result).toMatchObject({ result: 'replicated' });
    expect(result?.left).toBeUndefined();
    expect(arrivedAtRemoval[0]).toBe(1);
    expect([third(), await versions(env)]).toEqual([[], []]);
  });

  test('foreign rule replicates to a bucket of another account: refuses unless canary-retained is allowed', async () => {
    await using env = await testEnv(SSE_S3_SPEC);
    await env.reconcile();
    addForeignRule(env, '999988887777');
    expect(await runAll(env)).toMatchObject([
      {
        result: 'refused',
        why: 'no canary was written: an existing rule replicates canaries to acme-third, from where replikey cannot remove them; if one of the accounts owns it, grant s3:ListBucket, s3:ListBucketVersions and s3:GetBucketObjectLockConfiguration on arn:aws:s3:::acme-third, and s3:GetObjectVersion and s3:DeleteObjectVersion on arn:aws:s3:::acme-third/Tax/.replikey-canary/*; or allow it with --allow canary-retained',
      },
    ]);
    const [result] = await runAll(env, { allowedRisks: ['canary-retained'], timeoutMs: 5_000 });
    expect(result?.retained).toEqual([expect.stringMatching(/^acme-third\/.*: replikey cannot access it$/)]);
  });

  test('replica that arrives after the canary has timed out and its source was deleted: is removed', async () => {
    await using env = await testEnv(SSE_S3_SPEC);
    await env.reconcile();
    env.sandbox.faultSettings.replicationDelayMs = 60_000;
    const deleted: string[] = [];
    let arrived: { key: string; version: string } | undefined;
    const send = (async (location, command) => {
      const { Bucket, Key, VersionId } = (command as unknown as { input: Record<string, string> }).input;
      const source = env.sandbox.store.bucket('acme-tax')?.objects.get(Key ?? '')?.[0];
      const response = await env.client.send(location, command);
      if (command.constructor.name !== 'DeleteObjectCommand') return response;
      deleted.push(Bucket ?? '');
      // S3 had read the source before its deletion.
      if (Bucket === 'acme-tax' && source && Key && VersionId) {
        const replica = { ...source, replication: { status: 'REPLICA' as const, attempts: [] } };
        env.sandbox.store.bucket('acme-tax-replica')?.objects.set(Key, [replica]);
        arrived = { key: Key, version: VersionId };
      }
      return response;
    }) as typeof env.client.send;
    const aws: typeof env.client = { ...env.client, send, uninterruptible: () => aws, fenced: () => aws };
    const lines: string[] = [];
    const [result] = await runAll(env, { aws, timeoutMs: 50, onNotice: (line) => lines.push(line) });
    expect(result).toMatchObject({ result: 'timeout', why: 'still PENDING, after 0.05 s' });
    expect(lines).toEqual([
      'canary of tax/tax, without a Bucket Key: removed at acme-tax; removes replicas that arrive within 0 s',
    ]);
    expect(arrived).toBeDefined();
    expect(deleted).toEqual(['acme-tax', 'acme-tax-replica']);
    expect(await versions(env)).toEqual([]);
  });

  describe('canaries of earlier runs', () => {
    const PREFIX = 'Tax/.replikey-canary/';

    /** Writes canaries of a process that was killed, of another process, and an object of a user under their prefix. */
    async function envWithOrphanedCanaries() {
      const env = await testEnv(SSE_S3_SPEC);
      await env.reconcile();
      const [{ source } = {}] = env.specs.pairs;
      if (!source) throw new Error('no pair');
      const write = (key: string, expiresAt: number) =>
        putCanary(
          source,
          {
            key: `${PREFIX}${key}`,
            encryption: { sseAlgorithm: 'AES256', bucketKey: false },
            keyArn: '',
            tags: {},
            expiresAt,
          },
          env.client,
        );
      await write('killed', env.client.now() - 60_000);
      await write('in-use', env.client.now() + 60_000);
      const object = {
        Bucket: 'acme-tax',
        Key: `${PREFIX}notes.txt`,
        Body: 'x',
        ServerSideEncryption: 'AES256' as const,
        Tagging: 'replikey:canary=true',
      };
      await env.client.send({ region: 'us-east-1' }, new PutObjectCommand(object));
      await vi.waitFor(async () => expect(await versions(env)).toHaveLength(6));
      return env;
    }

    const kept = ['acme-tax', 'acme-tax-replica'].flatMap((bucket) =>
      ['in-use', 'notes.txt'].map((key) => `${bucket}/${PREFIX}${key}`),
    );

    test('next run: removes the expired ones in every bucket, and nothing else', async () => {
      await using env = await envWithOrphanedCanaries();
      const lines: string[] = [];
      await runAll(env, { timeoutMs: 5_000, onNotice: (line) => lines.push(line) });
      expect(await versions(env)).toEqual(kept);
      expect(lines).toEqual(
        ['acme-tax', 'acme-tax-replica'].map((bucket) =>
          expect.stringMatching(
            new RegExp(`^canary of an earlier run: removed ${bucket}/${PREFIX}killed version \\S+$`),
          ),
        ),
      );
    });

    // AWS, "Working with delete markers": the deletion of a version is not replicated, so a late replica stays alone.
    test('replica without its source: is removed', async () => {
      await using env = await envWithOrphanedCanaries();
      env.sandbox.store.bucket('acme-tax')?.objects.delete(`${PREFIX}killed`);
      await runAll(env, { timeoutMs: 5_000 });
      expect(await versions(env)).toEqual(kept);
    });

    test('listing that is denied: reports the permission, and tests the rule', async () => {
      await using env = await envWithOrphanedCanaries();
      env.sandbox.faultSettings.faults = [
        { match: 'ListObjectVersions', nth: 1, times: 100, what: { status: 403, code: 'AccessDenied' } },
      ];
      const lines: string[] = [];
      const [result] = await runAll(env, { timeoutMs: 5_000, onNotice: (line) => lines.push(line) });
      expect(result).toMatchObject({ result: 'replicated' });
      expect(lines[0]).toMatch(
        /^cannot search acme-tax\/Tax\/\.replikey-canary\/ for canaries of earlier runs: .*AccessDenied.*grant s3:ListBucketVersions/,
      );
    });
  });

  test('timeout: reports PENDING, and removes the canaries', async () => {
    await using env = await testEnv();
    await env.reconcile();
    env.sandbox.faultSettings.replicationDelayMs = 60_000;
    const results = await runAll(env, { timeoutMs: 50 });
    expect(results.map(({ why }) => why)).toEqual([
      'still PENDING, after 0.05 s',
      'still PENDING, after 0.05 s',
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
