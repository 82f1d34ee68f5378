import { CreateKeyCommand, DisableKeyCommand, UpdateAliasCommand } from '@aws-sdk/client-kms';
import { ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { describe, expect, test, vi } from 'vitest';
import { createClients } from '../../src/aws/clients.ts';
import { createDoor } from '../../src/aws/door.ts';
import { canaries } from '../../src/steps/canary.ts';
import { aWorld, TAX, type World } from '../support/world.ts';

/** Every version and delete marker on both sides. */
async function versions({ door }: World): Promise<string[]> {
  const sides = [
    ['us-east-1', 'acme-tax'],
    ['us-west-2', 'acme-tax-replica'],
  ] as const;
  const found = await Promise.all(
    sides.map(async ([region, Bucket]) => {
      const { Versions = [], DeleteMarkers = [] } = await door.send(
        { region },
        new ListObjectVersionsCommand({ Bucket }),
      );
      return [...Versions, ...DeleteMarkers].map(({ Key }) => `${Bucket}/${Key}`);
    }),
  );
  return found.flat();
}

const run = (world: World, more: Partial<Parameters<typeof canaries>[1]> = {}) =>
  Promise.all(
    world.specs.pairs.map((pair) =>
      canaries(pair, { door: world.door, pairs: world.specs.pairs, timeoutMs: 300, ...more }),
    ),
  ).then((all) => all.flat());

describe('canaries', () => {
  test('are written under each rule, of both sorts, with the latency told, and leave nothing behind', async () => {
    await using world = await aWorld(`${TAX}    - { name: ledgers, filter: { tags: { tier: gold } } }\n`);
    await world.reconcile();
    const results = await run(world, { timeoutMs: 5_000 });
    expect(results.map(({ rule, bucketKey, result }) => [rule, bucketKey, result])).toEqual([
      ['tax', true, 'replicated'],
      ['tax', false, 'replicated'],
      ['ledgers', true, 'replicated'],
      ['ledgers', false, 'replicated'],
    ]);
    for (const { latencyMs } of results) expect(latencyMs).toBeGreaterThanOrEqual(0);
    expect(await versions(world)).toEqual([]);
  });

  test('tell how long the replica took, from the moment the object was written', async () => {
    await using world = await aWorld(
      TAX.replace('prefix: Tax/', 'prefix: Tax/\n      sseKmsEncryptedObjects: false'),
    );
    await world.reconcile();
    let now = 0;
    using _ = vi.spyOn(performance, 'now').mockImplementation(() => now);
    const takes: Record<string, number> = { PutObjectCommand: 60_000, HeadObjectCommand: 125 };
    const send: typeof world.door.send = async (at, command) => {
      const answer = await world.door.send(at, command);
      now += takes[command.constructor.name] ?? 0;
      return answer;
    };
    const [result] = await run(world, { door: { ...world.door, send }, timeoutMs: 5_000 });
    expect(result).toMatchObject({ result: 'replicated' });
    expect(result?.latencyMs).toBeGreaterThanOrEqual(250);
    expect(result?.latencyMs).toBeLessThan(60_000);
  });

  test('that fail say so, and are removed', async () => {
    await using world = await aWorld();
    await world.reconcile();
    const replicaKey = { KeyId: await keyId(world) };
    await world.door.send({ region: 'us-west-2' }, new DisableKeyCommand(replicaKey));
    const results = await run(world);
    expect(results.map(({ result }) => result)).toEqual(['failed', 'failed']);
    expect(results[0]?.why).toMatch(/^S3 gave up on it \(FAILED\), and will not try it again/);
    expect(await versions(world)).toEqual([]);
  });

  test('whose replica lies under another key than declared say under which', async () => {
    await using world = await aWorld();
    await world.reconcile();
    const before = await keyId(world);
    const { KeyMetadata } = await world.door.send({ region: 'us-west-2' }, new CreateKeyCommand({}));
    await world.door.send(
      { region: 'us-west-2' },
      new UpdateAliasCommand({ AliasName: 'alias/acme-tax-replica', TargetKeyId: KeyMetadata?.KeyId }),
    );
    const results = await run(world, { timeoutMs: 5_000 });
    for (const { result, why } of results) {
      expect(result).toBe('failed');
      expect(why).toMatch(`/${before}, not under ${KeyMetadata?.Arn}`);
    }
    expect(await versions(world)).toEqual([]);
  });

  test.each([1, 100])('are removed when the answers to %d puts are lost', async (times) => {
    await using world = await aWorld();
    await world.reconcile();
    world.sandbox.knobs.faults = [{ match: 'PutObject', nth: 1, times, what: 'reset-after' }];
    const clients = createClients([], {
      endpoint: world.sandbox.endpoint,
      credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
    });
    const door = createDoor({ clients, accounts: [], region: 'us-east-1', retryForMs: 500 });
    const results = await run(world, { door, timeoutMs: 5_000 });
    clients.destroy();
    expect(results.map(({ result }) => result)).toEqual(['replicated', 'replicated']);
    expect(await versions(world)).toEqual([]);
  });

  test('that nobody can say were written are told as left, to be looked for', async () => {
    await using world = await aWorld();
    await world.reconcile();
    world.sandbox.knobs.faults = [
      { match: 'PutObject', nth: 1, what: { status: 400, code: 'Odd' } },
      { match: 'PutObject', nth: 1, times: 100, what: 'reset-after' },
      { match: 'HeadObject', nth: 1, times: 100, what: { status: 403, code: 'AccessDenied' } },
    ];
    const clients = createClients([], {
      endpoint: world.sandbox.endpoint,
      credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
    });
    const door = createDoor({ clients, accounts: [], region: 'us-east-1', retryForMs: 300 });
    const results = await run(world, { door });
    clients.destroy();
    expect(results.map(({ left = [] }) => left.length).sort()).toEqual([0, 1]);
    expect(results.flatMap(({ left = [] }) => left)[0]).toMatch(
      /^acme-tax\/Tax\/\.replikey-canary\/[0-9a-f-]+ of which nobody can say whether it was written/,
    );
  });

  test('that cannot be removed are told, with where they lie and why', async () => {
    await using world = await aWorld();
    await world.reconcile();
    world.sandbox.knobs.faults = [
      { match: 'DeleteObject', nth: 1, times: 100, what: { status: 403, code: 'AccessDenied' } },
    ];
    const [one] = await run(world, { timeoutMs: 5_000 });
    expect(one?.result).toBe('replicated');
    expect(one?.left).toEqual([
      expect.stringMatching(/^acme-tax\/Tax\/.* version .*: s3:DeleteObject in us-east-1: AccessDenied/),
      expect.stringMatching(
        /^acme-tax-replica\/Tax\/.* version .*: s3:DeleteObject in us-west-2: AccessDenied/,
      ),
    ]);
  });

  test.each([undefined, 'Suspended'] as const)(
    'that get no version, where versioning is %s, say so, and are removed',
    async (status) => {
      await using world = await aWorld();
      await world.reconcile();
      const bucket = world.sandbox.store.bucket('acme-tax');
      // S3 keeps versioning on while there are rules.
      if (bucket) Object.assign(bucket, { versioning: { Status: status }, replication: undefined });
      const results = await run(world);
      expect(results[0]?.why).toBe('acme-tax gave the canary no version id: versioning is not enabled');
      expect(await versions(world)).toEqual([]);
    },
  );

  test('that are not taken by any rule say so, and are removed', async () => {
    await using world = await aWorld();
    await world.reconcile();
    const bucket = world.sandbox.store.bucket('acme-tax');
    if (bucket) delete bucket.replication;
    const results = await run(world);
    expect(results[0]?.why).toBe('no rule took it: the object has no replication status');
    expect(await versions(world)).toEqual([]);
  });

  test('that do not arrive in time say so, and are removed', async () => {
    await using world = await aWorld();
    await world.reconcile();
    world.sandbox.knobs.replicationDelayMs = 60_000;
    const results = await run(world, { timeoutMs: 50 });
    expect(results.map(({ why }) => why)).toEqual([
      'still PENDING after 0.05 s',
      'still PENDING after 0.05 s',
    ]);
    expect(await versions(world)).toEqual([]);
  });

  test('that are interrupted are removed all the same', async () => {
    await using world = await aWorld();
    await world.reconcile();
    world.sandbox.knobs.replicationDelayMs = 60_000;
    const controller = new AbortController();
    const door = {
      ...world.door,
      send: ((at, command) => {
        const answer = world.door.send(at, command);
        if (command.constructor.name === 'HeadObjectCommand') controller.abort();
        return answer;
      }) as typeof world.door.send,
    };
    await run(world, { door, signal: controller.signal, timeoutMs: 60_000 }).catch(() => {});
    expect(await versions(world)).toEqual([]);
  });

  test('are written as the rule takes them: not encrypted under a key where it passes over such objects', async () => {
    await using world = await aWorld(
      TAX.replace('prefix: Tax/', 'prefix: Tax/\n      sseKmsEncryptedObjects: false'),
    );
    await world.reconcile();
    expect(
      (await run(world, { timeoutMs: 5_000 })).map(({ sseAlgorithm, result }) => [sseAlgorithm, result]),
    ).toEqual([['AES256', 'replicated']]);
  });

  test('are not written under a rule that is paused', async () => {
    await using world = await aWorld(TAX.replace('prefix: Tax/', 'prefix: Tax/\n      enabled: false'));
    await world.reconcile();
    expect((await run(world)).map(({ result, why }) => [result, why])).toEqual([
      ['skipped', expect.stringMatching(/paused|disabled/i)],
    ]);
  });
});

async function keyId({ sandbox }: World): Promise<string> {
  for (const account of sandbox.store.accounts())
    for (const alias of account.aliases.values())
      if (alias.name === 'alias/acme-tax-replica') return alias.targetKeyId;
  throw new Error('the replica key is not there');
}
