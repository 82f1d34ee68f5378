import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { type Context, checks, LARGE_KEY, LISTED_KEYS, missingOperations } from './checks.ts';
import { type Client, type Driver, PART_BYTES } from './client.ts';
import { clients, REGIONS } from './clients.ts';
import { createObserver, type Observer } from './observer.ts';
import { type LocalhostProxy, startLocalhostProxy } from './proxy.ts';

/** Every check with every client and in every Region. A check is absent where the client does not have an operation. */

// Each check of a command-line client starts processes, which share the cores with other tests.
const TIMEOUT_MS = 120_000;

let folder: string;
let sandbox: Sandbox;
let proxy: LocalhostProxy;
let clockOffsetMs = 0;
const observers = new Map<string, Observer>();
const files = { small: '', large: '' };

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-clients-'));
  files.small = path.join(folder, 'small');
  files.large = path.join(folder, 'large');
  await writeFile(files.small, randomBytes(100_000));
  await writeFile(files.large, randomBytes(2 * PART_BYTES + 100_000));
  sandbox = await startSandbox({ clock: () => Date.now() + clockOffsetMs });
  proxy = await startLocalhostProxy(sandbox.endpoint);
  for (const region of REGIONS) {
    const observer = createObserver(sandbox.endpoint, region);
    observers.set(region, observer);
    const bucket = sharedBucketOf(region);
    await observer.createBucket(bucket);
    for (const key of LISTED_KEYS) await observer.put(bucket, key, Buffer.from(key));
    const keyArn = await observer.createKey('alias/shared');
    await observer.putInParts(bucket, LARGE_KEY, toParts(await readFile(files.large)), kmsHeaders(keyArn));
  }
}, TIMEOUT_MS);

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await sandbox?.close();
  await rm(folder, { recursive: true, force: true });
});

describe.each(clients.map((client) => [client.name, client] as const))('%s', (_, client) => {
  const missing = client.missing();
  if (missing !== undefined) process.stderr.write(`skipped: ${client.name}: ${missing}\n`);
  describe.skipIf(missing)(missing ?? client.package, { timeout: TIMEOUT_MS }, () => {
    let driver: Driver;
    beforeAll(async () => {
      driver = await client.start(await newFolder());
    });
    afterAll(async () => {
      await driver?.[Symbol.asyncDispose]();
    });

    describe.each(REGIONS)('in %s', (region) => {
      let context: Context;
      beforeAll(async () => {
        context = await prepare(client, driver, region);
      });
      for (const check of checks.filter((candidate) => missingOperations(candidate, client).length === 0))
        it(`${check.name}: ${check.verifies}`, async () => {
          sandbox.log.reset();
          await check.run(context);
          // A client may hide an error, because it tries again.
          expect(sandbox.log.entries.filter(({ status }) => status === 500)).toEqual([]);
        });
    });
  });
});

/** Prepares a bucket and a KMS key for one client and one Region. */
async function prepare(client: Client, driver: Driver, region: string): Promise<Context> {
  const observer = observers.get(region);
  if (observer === undefined) throw new Error(`no observer for ${region}`);
  const id = `${client.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}-${region}`;
  await observer.createBucket(id);
  const files_ = await newFolder();
  let count = 0;
  return {
    client,
    operations: driver.operations as Required<Driver['operations']>,
    settings: { endpoint: sandbox.endpoint, region },
    observer,
    log: sandbox.log,
    proxy,
    bucket: id,
    sharedBucket: sharedBucketOf(region),
    kmsKey: { alias: `alias/${id}`, arn: await observer.createKey(`alias/${id}`) },
    files,
    newFile: () => path.join(files_, String(++count)),
    advanceClock(seconds = 1) {
      clockOffsetMs += seconds * 1000;
    },
  };
}

const sharedBucketOf = (region: string): string => `shared-${region}`;

const kmsHeaders = (keyArn: string): Record<string, string> => ({
  'x-amz-server-side-encryption': 'aws:kms',
  'x-amz-server-side-encryption-aws-kms-key-id': keyArn,
});

const toParts = (bytes: Buffer): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / PART_BYTES) }, (_, n) =>
    bytes.subarray(n * PART_BYTES, (n + 1) * PART_BYTES),
  );

let folderCount = 0;
async function newFolder(): Promise<string> {
  const created = path.join(folder, `folder-${++folderCount}`);
  await mkdir(created);
  return created;
}
