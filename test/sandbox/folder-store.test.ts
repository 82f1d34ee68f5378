import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { CreateRoleCommand, GetRoleCommand } from '@aws-sdk/client-iam';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type ReplicationRule,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { runCli } from '../support/cli.ts';
import { testEnv } from '../support/env.ts';
import { clientOf, EAST, put, REPLICA, SOURCE, versionOf } from './support.ts';

let state: string;
beforeEach(async () => {
  state = await mkdtemp(path.join(tmpdir(), 'replikey-state-'));
});
afterEach(() => rm(state, { recursive: true }));

describe('folder store', () => {
  test('restores settings, keys, objects and replicas after a restart', async () => {
    {
      await using testEnvironment = await testEnv(undefined, { state });
      await testEnvironment.reconcile();
      await put(testEnvironment);
    }
    await using testEnvironment = await testEnv(undefined, { state });
    expect((await testEnvironment.reconcile()).plan.waves).toEqual([]);
    expect(versionOf(testEnvironment.sandbox, SOURCE, 'Tax/2026.pdf')?.replication?.status).toBe('COMPLETED');
    const { Body } = await testEnvironment.client.send(
      { region: 'us-west-2' },
      new GetObjectCommand({ Bucket: REPLICA, Key: 'Tax/2026.pdf' }),
    );
    expect(await Body?.transformToString()).toBe('numbers');
  });

  test('restores exactly the state after every kind of write', async () => {
    /** Returns the state without the accounts that no write created. */
    const stateOf = ({ store }: Sandbox) => ({
      accounts: [...store.accounts()].filter(({ id }) => id === '111122223333'),
      buckets: new Map([...store.buckets()].map((bucket) => [bucket.name, bucket])),
    });
    let expected: ReturnType<typeof stateOf>;
    {
      await using testEnvironment = await testEnv(undefined, { state });
      const { client, sandbox } = testEnvironment;
      await testEnvironment.reconcile();
      for (const key of ['Tax/a', 'Tax/ä\n/', '__proto__', 'Tax/large'])
        await put(testEnvironment, {
          Key: key,
          Metadata: { $map: 'text' },
          Tagging: 'a=b',
          Body: key === 'Tax/large' ? 'x'.repeat(100_000) : key,
        });
      const at = (Key: string) => ({ Bucket: SOURCE, Key });
      const { VersionId } = await client.send(EAST, new PutObjectCommand(at('Tax/twice')));
      await client.send(EAST, new PutObjectCommand(at('Tax/twice')));
      await client.send(EAST, new DeleteObjectCommand({ ...at('Tax/twice'), VersionId }));
      await client.send(EAST, new DeleteObjectCommand(at('Tax/a')));
      await client.send(
        EAST,
        new PutObjectTaggingCommand({ ...at('Tax/large'), Tagging: { TagSet: [{ Key: 'n', Value: '1' }] } }),
      );
      await client.send(
        EAST,
        new CopyObjectCommand({ ...at('Tax/copy'), CopySource: `${SOURCE}/Tax/large` }),
      );
      for (const key of ['Tax/complete', 'Tax/abort', 'Tax/open']) {
        const { UploadId } = await client.send(EAST, new CreateMultipartUploadCommand(at(key)));
        const upload = { ...at(key), UploadId };
        await client.send(EAST, new UploadPartCommand({ ...upload, PartNumber: 1, Body: 'replaced' }));
        const { ETag } = await client.send(
          EAST,
          new UploadPartCommand({ ...upload, PartNumber: 1, Body: 'part' }),
        );
        if (key === 'Tax/abort') await client.send(EAST, new AbortMultipartUploadCommand(upload));
        if (key === 'Tax/complete')
          await client.send(
            EAST,
            new CompleteMultipartUploadCommand({
              ...upload,
              MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
            }),
          );
      }
      await client.send(EAST, new CreateBucketCommand({ Bucket: 'acme-deleted' }));
      await client.send(
        EAST,
        new CreateMultipartUploadCommand({ Bucket: 'acme-deleted', Key: 'with an open upload' }),
      );
      await client.send(EAST, new DeleteBucketCommand({ Bucket: 'acme-deleted' }));
      await client.send(EAST, new CreateBucketCommand({ Bucket: 'acme-deleted' }));
      await sandbox.waitForReplication();
      expected = structuredClone(stateOf(sandbox));
    }
    const sandbox = await startSandbox({ state });
    try {
      expect(stateOf(sandbox)).toEqual(expected);
      expect(expected.buckets.get(SOURCE)?.objects.size).toBe(7);
      expect(expected.buckets.get('acme-deleted')?.uploads.size).toBe(0);
      for (const bucket of sandbox.store.buckets())
        for (const version of [...bucket.objects.values()].flat())
          if (version.blob !== undefined) sandbox.store.getBlob(version.blob);
    } finally {
      await sandbox.close();
    }
  });

  test('resumes pending replication after a restart', async () => {
    {
      await using testEnvironment = await testEnv(undefined, { state });
      await testEnvironment.reconcile();
      testEnvironment.sandbox.faultSettings.replicationDelayMs = 60_000;
      await testEnvironment.client.send(
        EAST,
        new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/a', Body: 'a' }),
      );
    }
    await using testEnvironment = await testEnv(undefined, { state });
    await testEnvironment.sandbox.waitForReplication();
    expect(versionOf(testEnvironment.sandbox, SOURCE, 'Tax/a')?.replication?.status).toBe('COMPLETED');
  });

  test.each([
    ['the rule was removed', 'COMPLETED', (rules: ReplicationRule[]) => [{ ...rules[0], ID: 'other' }]],
    ['the configuration was removed', 'FAILED', () => undefined],
  ] as const)(
    'after a restart, an object in flight is COMPLETED only with a replica: %s',
    async (_, status, change) => {
      {
        await using testEnvironment = await testEnv(undefined, { state });
        await testEnvironment.reconcile();
        testEnvironment.sandbox.faultSettings.replicationDelayMs = 60_000;
        await testEnvironment.client.send(
          EAST,
          new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/a', Body: 'a' }),
        );
        const bucket = testEnvironment.sandbox.store.bucket(SOURCE);
        const rules = change(bucket?.replication?.Rules ?? []);
        if (!bucket) throw new Error('the source does not exist');
        if (rules) Object.assign(bucket.replication ?? {}, { Rules: rules });
        else delete bucket.replication;
        testEnvironment.sandbox.store.markChanged(bucket);
      }
      await using testEnvironment = await testEnv(undefined, { state });
      await testEnvironment.sandbox.waitForReplication();
      const source = versionOf(testEnvironment.sandbox, SOURCE, 'Tax/a');
      expect(source?.replication?.status).toBe(status);
      expect(versionOf(testEnvironment.sandbox, REPLICA, 'Tax/a') !== undefined).toBe(status === 'COMPLETED');
    },
  );

  test('stores objects encrypted', async () => {
    await using testEnvironment = await testEnv(undefined, { state });
    await testEnvironment.reconcile();
    const secret = 'the content of a secret object';
    await put(testEnvironment, { Body: secret });
    for (const file of await readdir(state, { recursive: true, withFileTypes: true })) {
      if (!file.isFile()) continue;
      const bytes = await readFile(path.join(file.parentPath, file.name));
      expect(bytes.includes(secret), file.name).toBe(false);
    }
  });
});

describe('folder store', () => {
  test('refuses a folder that another process uses, and names its process ID', async () => {
    const sandbox = await startSandbox({ state });
    try {
      const { code, stderr } = await runCli(['sandbox', '--port', '0', '--state', state]);
      expect(code).toBe(1);
      expect(stderr).toContain(
        `cannot start the sandbox: ${state} is in use by process ${process.pid}: stop it, or use another folder`,
      );
    } finally {
      await sandbox.close();
    }
    expect(await readdir(state)).not.toContain('lock');
  });

  test.each([
    ['died', JSON.stringify({ pid: 4_194_304, started: '1' })],
    ['died, if another process has its ID now', JSON.stringify({ pid: process.pid, started: '1' })],
    ['died while it wrote the lock', ''],
    ['wrote an invalid lock', 'nonsense'],
  ])('takes over a folder whose process %s', async (_, content) => {
    await writeFile(path.join(state, 'lock'), content);
    const sandbox = await startSandbox({ state });
    await clientOf(sandbox, '111122223333').send(
      EAST,
      new CreateRoleCommand({
        RoleName: 'r',
        AssumeRolePolicyDocument:
          '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"sts:AssumeRole"}]}',
      }),
    );
    await sandbox.close();
    const restarted = await startSandbox({ state });
    const { Role } = await clientOf(restarted, '111122223333').send(
      EAST,
      new GetRoleCommand({ RoleName: 'r' }),
    );
    expect(Role?.RoleName).toBe('r');
    await restarted.close();
  });

  test('refuses a journal of another format version, and leaves it unchanged', async () => {
    const file = path.join(state, 'journal.jsonl');
    const rest = ',1,0,"format",99]';
    const content = `["${crc32(rest.slice(1)).toString(16).padStart(8, '0')}"${rest}\n`;
    await writeFile(file, content);
    await expect(startSandbox({ state })).rejects.toThrow(
      `${file} was written by another version of the sandbox (format 99): use another folder`,
    );
    expect(await readFile(file, 'utf8')).toBe(content);
    expect(await readdir(state)).not.toContain('lock');
  });

  test('refuses a folder of format 1, and leaves its blobs', async () => {
    await mkdir(path.join(state, 'buckets'));
    await mkdir(path.join(state, 'blobs'));
    await writeFile(path.join(state, 'blobs', 'id'), '');
    await expect(startSandbox({ state })).rejects.toThrow(
      `${path.join(state, 'buckets')} was written by another version of the sandbox (format 1): use another folder`,
    );
    expect((await readdir(state, { recursive: true })).sort()).toEqual(['blobs', 'blobs/id', 'buckets']);
  });
});
