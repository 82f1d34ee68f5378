import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { testEnv } from '../support/env.ts';
import { createFullDisk } from './full-disk.ts';
import { clientOf, EAST, put, REPLICA, SOURCE, versionOf } from './support.ts';

const ACCOUNT = '111122223333';

let state: string;
beforeEach(async () => {
  state = await mkdtemp(path.join(tmpdir(), 'replikey-replicator-'));
});
afterEach(() => rm(state, { recursive: true }));

describe('replicator', () => {
  test('an error of a job reaches the caller that waits, and the object stays PENDING', async () => {
    const messages: string[] = [];
    await using env = await testEnv(undefined, { onError: (message) => messages.push(message) });
    await env.reconcile();
    const { store } = env.sandbox;
    const getBlob = store.getBlob;
    store.getBlob = () => {
      throw new Error('no such blob');
    };
    await expect(put(env, { Key: 'Tax/a' })).rejects.toThrow(
      /^replication of s3:\/\/acme-tax\/Tax\/a \(version .+\) failed \(a bug in the sandbox\)$/,
    );
    expect(messages).toHaveLength(1);
    expect(messages[0]).toContain('the object stays PENDING: Error: no such blob');
    store.getBlob = getBlob;
    expect(versionOf(env.sandbox, SOURCE, 'Tax/a')?.replication?.status).toBe('PENDING');
  });

  test('stop: cancels scheduled jobs, and a caller that waits for them returns', async () => {
    const env = await testEnv(undefined, { faultSettings: { replicationDelayMs: 3_600_000 } });
    await env.reconcile();
    await env.client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/a', Body: 'a' }));
    const idle = env.sandbox.waitForReplication();
    await env[Symbol.asyncDispose]();
    await idle;
    await env.sandbox.waitForReplication();
  });

  test('a version that is deleted while it is in flight is not replicated, and no error occurs', async () => {
    const messages: string[] = [];
    await using env = await testEnv(undefined, {
      faultSettings: { replicationDelayMs: 200 },
      onError: (message) => messages.push(message),
    });
    await env.reconcile();
    const { VersionId } = await env.client.send(
      EAST,
      new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/a', Body: 'a' }),
    );
    await env.client.send(EAST, new DeleteObjectCommand({ Bucket: SOURCE, Key: 'Tax/a', VersionId }));
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, REPLICA, 'Tax/a')).toBeUndefined();
    expect(messages).toEqual([]);
  });

  test('a replica that cannot be saved is undone with the status of its source, and replicated again', async () => {
    let isFull = false;
    const messages: string[] = [];
    await using env = await testEnv(undefined, {
      state,
      storeOptions: { fileSystem: createFullDisk(() => isFull) },
      onError: (message) => {
        messages.push(message);
        // The disk has space before the next attempt.
        expect(versionOf(env.sandbox, SOURCE, 'Tax/a')?.replication?.status).toBe('PENDING');
        expect(versionOf(env.sandbox, REPLICA, 'Tax/a')).toBeUndefined();
        isFull = false;
      },
    });
    await env.reconcile();
    const { store } = env.sandbox;
    const flush = store.flush;
    store.flush = async () => {
      await flush();
      // The put is saved, its replica is not.
      if (versionOf(env.sandbox, SOURCE, 'Tax/a')) isFull = true;
      store.flush = flush;
    };
    await put(env, { Key: 'Tax/a' });
    expect(messages).toEqual([
      expect.stringMatching(
        /^cannot save the replication of s3:\/\/acme-tax\/Tax\/a \(version .+\): ENOSPC: .*; the sandbox tries again in 1 s$/,
      ),
    ]);
    expect(versionOf(env.sandbox, SOURCE, 'Tax/a')?.replication?.status).toBe('COMPLETED');
    expect(versionOf(env.sandbox, REPLICA, 'Tax/a')?.replication?.status).toBe('REPLICA');
    // The metrics count the operation once: the store has undone the first attempt together with its datapoint.
    const metric = [...store.metrics.values()].find(({ name }) => name === 'OperationsFailedReplication');
    const datapoints = [...(metric?.chunks.values() ?? [])].flat();
    expect(datapoints.map(([, sum, count]) => ({ sum, count }))).toEqual([{ sum: 0, count: 1 }]);
  });

  test.each(['an object', 'a replica'])(
    'resumes the replication of tags of %s after a restart',
    async (side) => {
      const [bucket, other] = side === 'an object' ? [SOURCE, REPLICA] : [REPLICA, SOURCE];
      {
        await using env = await testEnv(undefined, { state });
        await env.reconcile();
        await put(env, { Key: 'Tax/a' });
        const rules = env.sandbox.store.bucket(SOURCE)?.replication?.Rules ?? [];
        const replica = env.sandbox.store.bucket(REPLICA);
        if (side === 'a replica' && replica) {
          // Rules in both directions, with replica modification sync.
          replica.replication = {
            Role: env.sandbox.store.bucket(SOURCE)?.replication?.Role,
            Rules: rules.map((rule) => ({
              ...rule,
              SourceSelectionCriteria: {
                ...rule.SourceSelectionCriteria,
                ReplicaModifications: { Status: 'Enabled' },
              },
              Destination: { ...rule.Destination, Bucket: `arn:aws:s3:::${SOURCE}` },
            })),
          };
          env.sandbox.store.markChanged(replica);
        }
        env.sandbox.faultSettings.replicationDelayMs = 3_600_000;
        await env.client.send(
          { region: bucket === SOURCE ? 'us-east-1' : 'us-west-2' },
          new PutObjectTaggingCommand({
            Bucket: bucket,
            Key: 'Tax/a',
            Tagging: { TagSet: [{ Key: 'tier', Value: 'gold' }] },
          }),
        );
        expect(versionOf(env.sandbox, other, 'Tax/a')?.tags.get('tier')).toBeUndefined();
      }
      await using env = await testEnv(undefined, { state });
      await env.sandbox.waitForReplication();
      const version = versionOf(env.sandbox, bucket, 'Tax/a');
      if (side === 'an object') {
        expect(versionOf(env.sandbox, other, 'Tax/a')?.tags.get('tier')).toBe('gold');
        expect(version?.replication?.status).toBe('COMPLETED');
      } else {
        // The role lacks permission in this direction; without a resumed job there is no attempt.
        expect(version?.replication?.attempts).toHaveLength(1);
      }
      expect(version?.replication?.rules).toBeUndefined();
    },
  );
});

describe('full disk', () => {
  test('a call that cannot be saved returns 500 and has no effect, and other calls succeed', async () => {
    let isFull = false;
    await using env = await testEnv(undefined, {
      state,
      storeOptions: { fileSystem: createFullDisk(() => isFull) },
    });
    await env.reconcile();
    await put(env, { Key: 'Tax/a', Body: 'first' });
    isFull = true;
    for (const Body of ['second', 'x'.repeat(200_000)])
      await expect(
        clientOf(env.sandbox, ACCOUNT, 0).send(
          EAST,
          new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/a', Body }),
        ),
      ).rejects.toThrow(/ENOSPC: no space left on device/);
    const read = async () => {
      const { Body } = await env.client.send(EAST, new GetObjectCommand({ Bucket: SOURCE, Key: 'Tax/a' }));
      return Body?.transformToString();
    };
    expect(await read()).toBe('first');
    expect(env.sandbox.log.entries.findLast(({ operation }) => operation === 'PutObject')).toMatchObject({
      status: 500,
      code: 'InternalError',
    });
    isFull = false;
    await put(env, { Key: 'Tax/a', Body: 'third' });
    expect(await read()).toBe('third');
  });

  test('a deleted bucket that cannot be saved is there again, with its uploads', async () => {
    let isFull = false;
    await using env = await testEnv(undefined, {
      state,
      storeOptions: { fileSystem: createFullDisk(() => isFull) },
    });
    await env.reconcile();
    const at = { Bucket: SOURCE, Key: 'Tax/a' };
    const { UploadId } = await env.client.send(EAST, new CreateMultipartUploadCommand(at));
    await env.client.send(EAST, new UploadPartCommand({ ...at, UploadId, PartNumber: 1, Body: 'part' }));
    isFull = true;
    await expect(
      clientOf(env.sandbox, ACCOUNT, 0).send(EAST, new DeleteBucketCommand({ Bucket: SOURCE })),
    ).rejects.toThrow(/ENOSPC/);
    expect(
      [...(env.sandbox.store.bucket(SOURCE)?.uploads.values() ?? [])].map(({ parts }) => parts.size),
    ).toEqual([1]);
    isFull = false;
    await env.client.send(EAST, new DeleteBucketCommand({ Bucket: SOURCE }));
    expect(env.sandbox.store.bucket(SOURCE)).toBeUndefined();
  });
});
