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
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-fenced-'));
  sandbox = await startSandbox();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await sandbox.close();
  await rm(folder, { recursive: true });
});

/** Returns a client for an account whose credential process takes this long. */
async function slowCredentials(ms: number) {
  const output = JSON.stringify({ Version: 1, AccessKeyId: '111122223333', SecretAccessKey: 'test' });
  await writeFile(path.join(folder, 'slow.mjs'), `setTimeout(() => console.log('${output}'), ${ms});\n`);
  const program = `"${process.execPath}" "${path.join(folder, 'slow.mjs')}"`;
  await writeFile(path.join(folder, 'config'), `[profile slow]\ncredential_process = ${program}\n`);
  vi.stubEnv('AWS_CONFIG_FILE', path.join(folder, 'config'));
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', path.join(folder, 'none'));
  const account = { name: 'slow', id: '111122223333', profile: 'slow', managed: true, positions: {} };
  const clients = createSdkClients([account], { endpoint: sandbox.endpoint });
  return { clients, client: createAwsClient({ clients, accounts: [account], region: 'us-east-1' }) };
}

const AT = { account: 'slow', region: 'us-east-1' };

test('fenced: asserts leadership after the credentials are loaded, before each write', async () => {
  const { clients, client } = await slowCredentials(300);
  let isLeader = true;
  const assertions: boolean[] = [];
  const fencedClient = client.fenced(() => {
    assertions.push(isLeader);
    if (!isLeader) throw new Error('another replica leads');
  });
  try {
    const sending = fencedClient.send(AT, new CreateBucketCommand({ Bucket: 'acme-late' }));
    await vi.waitFor(() => expect(assertions).toEqual([true]));
    isLeader = false;
    await expect(sending).rejects.toThrow('another replica leads');
    expect(sandbox.log.entries.filter(({ operation }) => operation === 'CreateBucket')).toEqual([]);
    // The client does not retry: another attempt would fail as well.
    expect(assertions).toEqual([true, false]);

    isLeader = true;
    await fencedClient.send(AT, new CreateBucketCommand({ Bucket: 'acme-late' }));
    isLeader = false;
    await fencedClient.send(AT, new HeadBucketCommand({ Bucket: 'acme-late' }));
  } finally {
    clients.destroy();
  }
});
