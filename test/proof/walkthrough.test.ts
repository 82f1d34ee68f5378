import { CreateRoleCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { CreateKeyCommand } from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  HeadObjectCommand,
  PutBucketReplicationCommand,
  type PutBucketReplicationCommandInput,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { locationsOf } from '../../src/facts/locations.ts';
import type { FixCommand } from '../../src/proof/fix-commands.ts';
import { runCli } from '../support/cli.ts';
import { type TestEnv, testEnv } from '../support/env.ts';
import { runCommands } from '../support/run-commands.ts';
import {
  WALKTHROUGH_TRUST,
  type WalkthroughKeys,
  walkthroughPolicy,
  walkthroughReplication,
} from '../support/walkthrough.ts';

const EAST = { region: 'us-east-1' };
const WEST = { region: 'us-west-2' };
const POLICY = { RoleName: 'replicationRolekmsobj', PolicyName: 'replicationRolechangeownerPolicy' };

/** The pair of AWS's walkthrough "Replicating encrypted objects" allows the encryption context of Bucket Keys only. */
describe('pair of the AWS walkthrough, with objects without a Bucket Key', () => {
  let env: TestEnv;
  let keys: WalkthroughKeys;

  beforeAll(async () => {
    env = await testEnv();
    keys = await createWalkthrough(env);
  });
  afterAll(() => env[Symbol.asyncDispose]());

  const doctor = (...args: string[]) =>
    runCli(['doctor', '--bucket', 'source', ...args], { endpoint: env.sandbox.endpoint });

  async function put(Key: string): Promise<string | undefined> {
    const encryption = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: keys.source } as const;
    await env.client.send(
      EAST,
      new PutObjectCommand({ Bucket: 'source', Key, Body: 'numbers', ...encryption }),
    );
    await env.sandbox.waitForReplication();
    const head = await env.client.send(EAST, new HeadObjectCommand({ Bucket: 'source', Key }));
    return head.ReplicationStatus;
  }

  it('replication fails without a reason from S3', async () => {
    expect(await put('Tax/2025.pdf')).toBe('FAILED');
  });

  it('doctor: shows the condition, the expected value and the value that S3 sends', async () => {
    const { code, stdout, stderr } = await doctor();
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toContain(
      'error RK1307 the role cannot decrypt source objects (S3 reports SrcGetObjectNotPermitted)',
    );
    expect(stdout).toMatch(
      /kms:EncryptionContext:aws:s3:arn expects arn:aws:s3:::source, but the request has arn:aws:s3:::source\/Tax/,
    );
    expect(stdout).toContain(
      'in policy replicationRolechangeownerPolicy of the role arn:aws:iam::111122223333:role/replicationRolekmsobj',
    );
    expect(stdout).toContain('aws iam put-role-policy --role-name replicationRolekmsobj --policy-name');
  });

  it('doctor --object: explains the failed object', async () => {
    const { code, stdout } = await doctor('--object', 'Tax/2025.pdf');
    expect(code).toBe(1);
    expect(stdout).toContain(
      'expects arn:aws:s3:::source, but the request has arn:aws:s3:::source/Tax/2025.pdf',
    );
  });

  it('doctor: the printed fixes let objects replicate and prove the rule', async () => {
    const { stdout } = await doctor('-o', 'json');
    const { commands } = JSON.parse(stdout) as { commands: FixCommand[] };
    const texts = commands.map(({ command }) => command);
    expect(texts.join()).toContain('kms:Decrypt');
    await runCommands(env.client, locationsOf(env.specs, 'us-east-1'), EAST, texts);

    expect(await put('Tax/2026.pdf')).toBe('COMPLETED');
    // The failed object stays FAILED, because S3 does not retry it.
    const afterFix = await doctor();
    expect(afterFix).toMatchObject({ code: 1, stderr: '' });
    expect(afterFix.stdout).toContain('1 of 1 rules proven');
    expect(afterFix.stdout).toContain('RK1401');
    expect((await doctor('--failed-since', '0s')).code).toBe(0);
  });
});

async function createWalkthrough({ client }: TestEnv): Promise<WalkthroughKeys> {
  const enabled = { VersioningConfiguration: { Status: 'Enabled' } } as const;
  const there = { CreateBucketConfiguration: { LocationConstraint: 'us-west-2' } } as const;
  await client.send(EAST, new CreateBucketCommand({ Bucket: 'source' }));
  await client.send(EAST, new PutBucketVersioningCommand({ Bucket: 'source', ...enabled }));
  await client.send(WEST, new CreateBucketCommand({ Bucket: 'destination', ...there }));
  await client.send(WEST, new PutBucketVersioningCommand({ Bucket: 'destination', ...enabled }));
  const { Role } = await client.send(
    EAST,
    new CreateRoleCommand({
      RoleName: POLICY.RoleName,
      AssumeRolePolicyDocument: JSON.stringify(WALKTHROUGH_TRUST),
    }),
  );
  const [sourceKey, destinationKey] = [EAST, WEST].map((location) =>
    client.send(location, new CreateKeyCommand({})),
  );
  const keys = {
    source: (await sourceKey)?.KeyMetadata?.Arn ?? '',
    destination: (await destinationKey)?.KeyMetadata?.Arn ?? '',
  };
  const PolicyDocument = JSON.stringify(walkthroughPolicy(keys, ['kms:Encrypt']));
  await client.send(EAST, new PutRolePolicyCommand({ ...POLICY, PolicyDocument }));
  const ReplicationConfiguration = walkthroughReplication(
    keys,
    Role?.Arn ?? '',
  ) as PutBucketReplicationCommandInput['ReplicationConfiguration'];
  await client.send(EAST, new PutBucketReplicationCommand({ Bucket: 'source', ReplicationConfiguration }));
  return keys;
}
