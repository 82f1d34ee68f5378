/**
 * Measures `doctor --all` over many buckets in many accounts of a sandbox: calls, wall time, CPU and memory. BUCKETS is the
 * number of buckets (`1000,10000`), ACCOUNTS that of accounts, REPLICATING the percentages of buckets with a replication
 * configuration (`10,50`).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreateRoleCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { CreateKeyCommand } from '@aws-sdk/client-kms';
import {
  type BucketLocationConstraint,
  CreateBucketCommand,
  PutBucketEncryptionCommand,
  PutBucketReplicationCommand,
  PutBucketVersioningCommand,
} from '@aws-sdk/client-s3';
import pLimit from 'p-limit';
import { type AwsClient, createAwsClient } from '../src/aws/client.ts';
import { createSdkClients } from '../src/aws/sdk-clients.ts';
import type { Location } from '../src/core/resource.ts';
import { saveResults } from './support/results.ts';
import { runNode } from './support/run.ts';

const ACCOUNTS = Number(process.env.ACCOUNTS ?? 20);
const SIZES = (process.env.BUCKETS ?? '1000,10000').split(',').map(Number);
const SHARES = (process.env.REPLICATING ?? '10,50').split(',').map(Number);

const accountIds = Array.from({ length: ACCOUNTS }, (_, index) => String(100_000_000_000 + index));

const endpointOf = (text: string): string => /http:\S+?(?=[\s,]|$)/.exec(text)?.[0] ?? '';

async function startSandboxProcess(): Promise<{ endpoint: string; stop: () => void }> {
  const child = spawn(process.execPath, ['dist/main.js', 'sandbox', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  return { endpoint: endpointOf(line), stop: () => child.kill() };
}

const accountDocuments = accountIds.map((id) => ({ name: `a${id}`, id, managed: true, positions: {} }));

/** Creates buckets in turn in all accounts. Each of the first `replicating` buckets of an account replicates to another. */
async function createBuckets(endpoint: string, buckets: number, replicating: number): Promise<void> {
  const clients = createSdkClients(accountDocuments, {
    endpoint,
    credentials: { accessKeyId: accountIds[0] ?? '', secretAccessKey: 'bench' },
  });
  const aws = createAwsClient({ clients, accounts: accountDocuments, region: 'us-east-1' });
  const limit = pLimit(64);
  const work = accountIds.flatMap((id, accountIndex) => {
    const count = Math.floor(buckets / ACCOUNTS);
    const pairs = Math.floor(replicating / ACCOUNTS);
    const key = createKey(aws, { account: `a${id}`, region: 'us-east-1' });
    const single = Array.from({ length: count - 2 * pairs }, (_, index) =>
      limit(() =>
        createBucket(aws, { account: `a${id}`, region: 'us-east-1' }, `single-${accountIndex}-${index}`),
      ),
    );
    const pairWork = Array.from({ length: pairs }, (_, index) =>
      limit(async () => createPair(aws, id, `${accountIndex}-${index}`, await key)),
    );
    return [...single, ...pairWork];
  });
  await Promise.all(work);
  clients.destroy();
}

async function createKey(aws: AwsClient, location: Location): Promise<string> {
  const { KeyMetadata } = await aws.send(location, new CreateKeyCommand({ MultiRegion: true }));
  return KeyMetadata?.Arn ?? '';
}

async function createBucket(aws: AwsClient, location: Location, Bucket: string): Promise<void> {
  const constraint = location.region as BucketLocationConstraint;
  await aws.send(
    location,
    new CreateBucketCommand({
      Bucket,
      ...(location.region === 'us-east-1'
        ? {}
        : { CreateBucketConfiguration: { LocationConstraint: constraint } }),
    }),
  );
}

async function createPair(aws: AwsClient, account: string, name: string, key: string): Promise<void> {
  const east = { account: `a${account}`, region: 'us-east-1' };
  const sides = [`source-${name}`, `replica-${name}`] as const;
  const [source, replica] = sides;
  for (const Bucket of sides) {
    await createBucket(aws, east, Bucket);
    await aws.send(
      east,
      new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    );
    await aws.send(
      east,
      new PutBucketEncryptionCommand({
        Bucket,
        ServerSideEncryptionConfiguration: {
          Rules: [
            {
              ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: key },
              BucketKeyEnabled: true,
            },
          ],
        },
      }),
    );
  }
  const trust = {
    Statement: [{ Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' }],
  };
  await aws.send(
    east,
    new CreateRoleCommand({ RoleName: source, AssumeRolePolicyDocument: JSON.stringify(trust) }),
  );
  const policy = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: ['s3:*', 'kms:*'], Resource: '*' }],
  };
  await aws.send(
    east,
    new PutRolePolicyCommand({
      RoleName: source,
      PolicyName: 'replicate',
      PolicyDocument: JSON.stringify(policy),
    }),
  );
  await aws.send(
    east,
    new PutBucketReplicationCommand({
      Bucket: source,
      ReplicationConfiguration: {
        Role: `arn:aws:iam::${account}:role/${source}`,
        Rules: [
          {
            ID: 'all',
            Status: 'Enabled',
            Priority: 1,
            Filter: {},
            DeleteMarkerReplication: { Status: 'Disabled' },
            SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
            Destination: {
              Bucket: `arn:aws:s3:::${replica}`,
              Metrics: { Status: 'Enabled' },
              EncryptionConfiguration: { ReplicaKmsKeyID: key },
            },
          },
        ],
      },
    }),
  );
}

/** Writes Account documents, and the profiles that they name. The sandbox takes an account id as the access key. */
async function writeAccounts(folder: string): Promise<{ accounts: string; config: string }> {
  const [accounts, config] = [path.join(folder, 'accounts.yaml'), path.join(folder, 'config')];
  await writeFile(
    accounts,
    accountIds
      .map(
        (id) =>
          `apiVersion: replikey.dev/v1\nkind: Account\nmetadata: { name: a${id} }\nspec: { id: "${id}", profile: p${id} }\n`,
      )
      .join('---\n'),
  );
  await writeFile(
    config,
    accountIds
      .map(
        (id) =>
          `[profile p${id}]\naws_access_key_id = ${id}\naws_secret_access_key = bench\nregion = us-east-1\n`,
      )
      .join('\n'),
  );
  return { accounts, config };
}

const rows: object[] = [];
console.log(
  '| buckets | with replication | calls | a bucket without replication | with | wall | CPU | memory |',
);
console.log('| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
for (const buckets of SIZES)
  for (const share of SHARES) {
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-fleet-'));
    const sandbox = await startSandboxProcess();
    try {
      await createBuckets(sandbox.endpoint, buckets, (buckets * share) / 100);
      const { accounts, config } = await writeAccounts(folder);
      const cost = await runNode(
        [
          'dist/main.js',
          'doctor',
          '--all',
          '--accounts',
          accounts,
          '--save',
          path.join(folder, 'fleet.json'),
        ],
        { AWS_ENDPOINT_URL: sandbox.endpoint, AWS_CONFIG_FILE: config, AWS_REGION: 'us-east-1' },
      );
      const [, calls = '0'] = /with ([\d,]+) calls/.exec(cost.stderr) ?? [];
      const [, replicating = '0'] = /: ([\d,]+) with replication/.exec(cost.stdout) ?? [];
      const [callCount, replicatingCount] = [calls, replicating].map((text) =>
        Number(text.replaceAll(',', '')),
      );
      if (!callCount || !replicatingCount)
        throw new Error(`the survey failed:\n${cost.stdout}${cost.stderr}`);
      const perReplicating = (callCount - (buckets - replicatingCount)) / replicatingCount;
      const row = { buckets, replicating: replicatingCount, calls: callCount, perReplicating, ...cost };
      const { stdout: _, stderr: __, ...result } = row;
      rows.push(result);
      console.log(
        `| ${buckets} | ${replicatingCount} | ${callCount} | 1 | ${perReplicating.toFixed(1)} | ${(cost.wallMs / 1000).toFixed(1)} s | ${cost.cpuS.toFixed(1)} s | ${cost.rssMb.toFixed(0)} MB |`,
      );
    } finally {
      sandbox.stop();
      await rm(folder, { recursive: true });
    }
  }
await saveResults('fleet', rows);
