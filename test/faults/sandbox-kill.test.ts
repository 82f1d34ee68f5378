import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  DeleteObjectCommand,
  GetBucketTaggingCommand,
  GetObjectCommand,
  PutBucketTaggingCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { clientOf, EAST, REPLICA, SOURCE, versionOf } from '../sandbox/support.ts';
import { childEnvironment, MAIN } from '../support/cli.ts';
import { testEnv } from '../support/env.ts';

const ACCOUNT = '111122223333';
const KILLS = 20;
const WRITERS = 12;

let state: string;
beforeEach(async () => {
  state = await mkdtemp(path.join(tmpdir(), 'replikey-kill-'));
});
afterEach(() => rm(state, { recursive: true }));

/** Writes that the sandbox acknowledged. */
interface Acknowledged {
  /** Bodies by key. */
  puts: Map<string, string>;
  deletes: Set<string>;
  /** Number in the last bucket tag of which the sandbox acknowledged the write. */
  tag: number;
}

async function startChild(): Promise<{ child: ChildProcess; endpoint: string }> {
  const child = spawn(process.execPath, [MAIN, 'sandbox', '--port', '0', '--state', state], {
    env: childEnvironment(undefined),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  return { child, endpoint: /http:\S+/.exec(line)?.[0] ?? '' };
}

/**
 * Writes concurrently until the sandbox has acknowledged `count` writes, and kills it at a random moment of the next
 * milliseconds: during a commit, between two, or between a commit and its acknowledgement.
 */
async function writeUntilKilled(round: number, count: number, acknowledged: Acknowledged): Promise<void> {
  const { child, endpoint } = await startChild();
  const exited = once(child, 'exit');
  const client = clientOf({ endpoint }, ACCOUNT);
  let remaining = count;
  const acknowledge = () => {
    remaining -= 1;
    if (remaining === 0) setTimeout(() => child.kill('SIGKILL'), Math.random() * 30);
  };
  const putObjects = async (writer: number) => {
    for (let n = 0; ; n++) {
      const Key = `Tax/${round}/${writer}/${n}`;
      // Every eighth object is too large for the journal, and has a file of its own.
      const Body = n % 8 === 7 ? Key.repeat(10_000) : Key;
      await client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key, Body }));
      acknowledged.puts.set(Key, Body);
      acknowledge();
      if (n % 5 !== 4) continue;
      await client.send(EAST, new DeleteObjectCommand({ Bucket: SOURCE, Key }));
      acknowledged.deletes.add(Key);
      acknowledge();
    }
  };
  const putBucketTags = async () => {
    for (let n = acknowledged.tag + 1; ; n++) {
      const Tagging = { TagSet: [{ Key: 'n', Value: String(n) }] };
      await client.send(EAST, new PutBucketTaggingCommand({ Bucket: SOURCE, Tagging }));
      acknowledged.tag = n;
      acknowledge();
    }
  };
  await Promise.allSettled([
    putBucketTags(),
    ...Array.from({ length: WRITERS }, (_, writer) => putObjects(writer)),
  ]);
  await exited;
}

/** Returns the keys of the versions that are COMPLETED without a replica. */
function completedWithoutReplica({ store }: Sandbox): string[] {
  const replicas = store.bucket(REPLICA)?.objects;
  return [...(store.bucket(SOURCE)?.objects.values() ?? [])]
    .flat()
    .filter(({ replication }) => replication?.status === 'COMPLETED')
    .filter(({ key, versionId }) => !replicas?.get(key)?.some((replica) => replica.versionId === versionId))
    .map(({ key }) => key);
}

async function expectAcknowledgedWrites(
  sandbox: Sandbox,
  { puts, deletes, tag }: Acknowledged,
): Promise<void> {
  const client = clientOf(sandbox, ACCOUNT);
  const lost: string[] = [];
  for (const [Key, body] of puts) {
    const versions = sandbox.store.bucket(SOURCE)?.objects.get(Key) ?? [];
    if (deletes.has(Key) && versions[0]?.deleteMarker !== true) lost.push(`delete of ${Key}`);
    const VersionId = versions.find(({ deleteMarker }) => !deleteMarker)?.versionId;
    const { Body } = await client
      .send(EAST, new GetObjectCommand({ Bucket: SOURCE, Key, VersionId }))
      .catch(() => ({ Body: undefined }));
    if ((await Body?.transformToString()) !== body) lost.push(Key);
  }
  expect(lost).toEqual([]);
  if (tag === 0) return;
  const { TagSet } = await client.send(EAST, new GetBucketTaggingCommand({ Bucket: SOURCE }));
  // The kill can follow the save of a write, and precede its acknowledgement.
  expect([tag, tag + 1].map(String)).toContain(TagSet?.[0]?.Value);
}

test(`sandbox --state: ${KILLS} kills lose no acknowledged write, and leave no object COMPLETED without a replica`, async () => {
  {
    await using environment = await testEnv(undefined, { state });
    await environment.reconcile();
  }
  const acknowledged: Acknowledged = { puts: new Map(), deletes: new Set(), tag: 0 };
  for (let round = 0; round < KILLS; round++) {
    const puts = new Map<string, string>();
    const current = { ...acknowledged, puts };
    await writeUntilKilled(round, 20 + Math.floor(Math.random() * 60), current);
    acknowledged.tag = current.tag;
    for (const [key, body] of puts) acknowledged.puts.set(key, body);
    const sandbox = await startSandbox({ state, faultSettings: { replicationDelayMs: 60_000 } });
    try {
      expect(completedWithoutReplica(sandbox), `kill ${round}`).toEqual([]);
      await expectAcknowledgedWrites(sandbox, current);
    } finally {
      await sandbox.close();
    }
  }
  const sandbox = await startSandbox({ state });
  try {
    await sandbox.waitForReplication();
    expect(completedWithoutReplica(sandbox)).toEqual([]);
    await expectAcknowledgedWrites(sandbox, acknowledged);
    for (const key of acknowledged.puts.keys()) {
      const version = sandbox.store
        .bucket(SOURCE)
        ?.objects.get(key)
        ?.find(({ deleteMarker }) => !deleteMarker);
      expect(version?.replication?.status, key).toBe('COMPLETED');
      expect(versionOf(sandbox, REPLICA, key), key).toBeDefined();
    }
  } finally {
    await sandbox.close();
  }
}, 600_000);
