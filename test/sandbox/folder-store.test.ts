import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreateRoleCommand, GetRoleCommand } from '@aws-sdk/client-iam';
import {
  CreateBucketCommand,
  GetObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startSandbox } from '../../src/sandbox/server.ts';
import { childEnvironment, MAIN, runCli } from '../support/cli.ts';
import { testEnv } from '../support/env.ts';
import { doorOf, EAST, put, REPLICA, SOURCE, versionOf } from './support.ts';

let state: string;
beforeEach(async () => {
  state = await mkdtemp(path.join(tmpdir(), 'replikey-state-'));
});
afterEach(() => rm(state, { recursive: true }));

describe('a state that is kept in a folder', () => {
  test('is there again after a restart: settings, keys, objects and their replicas', async () => {
    {
      await using testEnvironment = await testEnv(undefined, { state });
      await testEnvironment.reconcile();
      await put(testEnvironment);
    }
    await using testEnvironment = await testEnv(undefined, { state });
    expect((await testEnvironment.reconcile()).plan.waves).toEqual([]);
    expect(versionOf(testEnvironment.sandbox, SOURCE, 'Tax/2026.pdf')?.replication?.status).toBe('COMPLETED');
    const { Body } = await testEnvironment.door.send(
      { region: 'us-west-2' },
      new GetObjectCommand({ Bucket: REPLICA, Key: 'Tax/2026.pdf' }),
    );
    expect(await Body?.transformToString()).toBe('numbers');
  });

  test('takes up what was still to be replicated', async () => {
    {
      await using testEnvironment = await testEnv(undefined, { state });
      await testEnvironment.reconcile();
      testEnvironment.sandbox.faultSettings.replicationDelayMs = 60_000;
      await testEnvironment.door.send(
        EAST,
        new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/a', Body: 'a' }),
      );
    }
    await using testEnvironment = await testEnv(undefined, { state });
    await testEnvironment.sandbox.waitForReplication();
    expect(versionOf(testEnvironment.sandbox, SOURCE, 'Tax/a')?.replication?.status).toBe('COMPLETED');
  });

  test('holds no object in the clear', async () => {
    await using testEnvironment = await testEnv(undefined, { state });
    await testEnvironment.reconcile();
    const secret = 'the numbers that nobody may see';
    await put(testEnvironment, { Body: secret });
    for (const file of await readdir(state, { recursive: true, withFileTypes: true })) {
      if (!file.isFile()) continue;
      const bytes = await readFile(path.join(file.parentPath, file.name));
      expect(bytes.includes(secret), file.name).toBe(false);
    }
  });

  test('survives SIGKILL in the midst of writing: every answered write is there', async () => {
    const child = spawn(process.execPath, [MAIN, 'sandbox', '--port', '0', '--state', state], {
      env: childEnvironment(undefined),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    const endpoint = /http:\S+/.exec(line)?.[0] ?? '';
    const door = doorOf({ endpoint }, '111122223333');
    await door.send(EAST, new CreateBucketCommand({ Bucket: SOURCE }));
    await door.send(
      EAST,
      new PutBucketVersioningCommand({ Bucket: SOURCE, VersioningConfiguration: { Status: 'Enabled' } }),
    );
    const answered: string[] = [];
    const writer = async (worker: number) => {
      for (let n = 0; ; n++) {
        const Key = `${worker}/${n}`;
        await door.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key, Body: Key }));
        answered.push(Key);
        if (answered.length === 60) child.kill('SIGKILL');
      }
    };
    await Promise.allSettled([writer(1), writer(2), writer(3), writer(4)]);

    const sandbox = await startSandbox({ state });
    try {
      const again = doorOf(sandbox, '111122223333');
      expect(answered.length).toBeGreaterThanOrEqual(60);
      for (const Key of answered) {
        const { Body } = await again.send(EAST, new GetObjectCommand({ Bucket: SOURCE, Key }));
        expect(await Body?.transformToString()).toBe(Key);
      }
    } finally {
      await sandbox.close();
    }
  });
});

describe('a folder', () => {
  test('that another process uses is refused, by its number', async () => {
    const sandbox = await startSandbox({ state });
    try {
      const { code, stderr } = await runCli(['sandbox', '--port', '0', '--state', state]);
      expect(code).toBe(1);
      expect(stderr).toContain(
        `the sandbox cannot start: ${state} is in use by process ${process.pid}: stop it, or use another folder`,
      );
    } finally {
      await sandbox.close();
    }
    expect(await readdir(state)).not.toContain('lock');
  });

  test.each([
    ['died', JSON.stringify({ pid: 4_194_304, started: '1' })],
    ['died, and whose number is of another process now', JSON.stringify({ pid: process.pid, started: '1' })],
    ['died while it took the lock', ''],
    ['wrote something else', 'nonsense'],
  ])('whose process %s is taken over', async (_, content) => {
    await writeFile(path.join(state, 'lock'), content);
    const sandbox = await startSandbox({ state });
    await doorOf(sandbox, '111122223333').send(
      EAST,
      new CreateRoleCommand({
        RoleName: 'r',
        AssumeRolePolicyDocument:
          '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"sts:AssumeRole"}]}',
      }),
    );
    await sandbox.close();
    const again = await startSandbox({ state });
    const { Role } = await doorOf(again, '111122223333').send(EAST, new GetRoleCommand({ RoleName: 'r' }));
    expect(Role?.RoleName).toBe('r');
    await again.close();
  });

  test('that another version wrote is refused, and left as it is', async () => {
    const first = await startSandbox({ state });
    await doorOf(first, '111122223333').send(EAST, new CreateBucketCommand({ Bucket: SOURCE }));
    await first.close();
    const file = path.join(state, 'buckets', `${SOURCE}.json`);
    await writeFile(file, (await readFile(file, 'utf8')).replace('"format":1', '"format":99'));
    await expect(startSandbox({ state })).rejects.toThrow(
      `${file} was written by another version of the sandbox (format 99): use another folder`,
    );
    expect(await readdir(state)).not.toContain('lock');
  });

  test('with a document that is damaged is refused, by the name of the file', async () => {
    const first = await startSandbox({ state });
    await doorOf(first, '111122223333').send(EAST, new CreateBucketCommand({ Bucket: SOURCE }));
    await first.close();
    const file = path.join(state, 'buckets', `${SOURCE}.json`);
    await writeFile(file, '{"format":1,');
    await expect(startSandbox({ state })).rejects.toThrow(`${file} cannot be read: `);
    for (const nothing of ['{"format":1}', '{"format":1,"state":null}', '{"format":1,"state":7}']) {
      await writeFile(file, nothing);
      await expect(startSandbox({ state })).rejects.toThrow(`${file} cannot be read: it is not a state file`);
    }
  });
});
