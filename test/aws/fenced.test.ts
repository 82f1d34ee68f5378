import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreateBucketCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';

let folder: string;
let sandbox: Sandbox;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-guarded-'));
  sandbox = await startSandbox();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await sandbox.close();
  await rm(folder, { recursive: true });
});

/** A door for an account whose credentials come from a program that takes its time. */
async function slowly(ms: number) {
  const answer = JSON.stringify({ Version: 1, AccessKeyId: '111122223333', SecretAccessKey: 'test' });
  await writeFile(path.join(folder, 'slow.mjs'), `setTimeout(() => console.log('${answer}'), ${ms});\n`);
  const program = `"${process.execPath}" "${path.join(folder, 'slow.mjs')}"`;
  await writeFile(path.join(folder, 'config'), `[profile slow]\ncredential_process = ${program}\n`);
  vi.stubEnv('AWS_CONFIG_FILE', path.join(folder, 'config'));
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', path.join(folder, 'none'));
  const account = { name: 'slow', id: '111122223333', profile: 'slow', managed: true, positions: {} };
  const clients = createSdkClients([account], { endpoint: sandbox.endpoint });
  return { clients, door: createAwsClient({ clients, accounts: [account], region: 'us-east-1' }) };
}

const AT = { account: 'slow', region: 'us-east-1' };

test('who may write is asked when all is ready to be sent, however long the credentials took', async () => {
  const { clients, door } = await slowly(300);
  let mayWrite = true;
  const asked: boolean[] = [];
  const guarded = door.fenced(() => {
    asked.push(mayWrite);
    if (!mayWrite) throw new Error('another leads by now');
  });
  try {
    const sent = guarded.send(AT, new CreateBucketCommand({ Bucket: 'acme-late' }));
    await vi.waitFor(() => expect(asked).toEqual([true]));
    mayWrite = false;
    await expect(sent).rejects.toThrow('another leads by now');
    expect(sandbox.log.entries.filter(({ operation }) => operation === 'CreateBucket')).toEqual([]);
    // It is not tried again: that would change nothing.
    expect(asked).toEqual([true, false]);

    mayWrite = true;
    await guarded.send(AT, new CreateBucketCommand({ Bucket: 'acme-late' }));
    mayWrite = false;
    await guarded.send(AT, new HeadBucketCommand({ Bucket: 'acme-late' }));
  } finally {
    clients.destroy();
  }
});
