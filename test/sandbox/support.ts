import { GetRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { DescribeKeyCommand, GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import {
  GetBucketReplicationCommand,
  PutBucketReplicationCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import { type AwsClient, createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import type { Policy, Statement } from '../../src/iam/types.ts';
import type { Sandbox } from '../../src/sandbox/server.ts';
import type { VersionState } from '../../src/sandbox/state.ts';

export const SOURCE = 'acme-tax';
export const REPLICA = 'acme-tax-replica';
export const ROLE = 'replikey-acme-tax';
export const EAST = { region: 'us-east-1' };
export const WEST = { region: 'us-west-2' };

/** A door to a sandbox with the credentials of an account, which are its number. */
export function doorOf(sandbox: Pick<Sandbox, 'endpoint'>, account: string, retryForMs = 1_000): AwsClient {
  const clients = createSdkClients([], {
    endpoint: sandbox.endpoint,
    credentials: { accessKeyId: account, secretAccessKey: 'test' },
  });
  return createAwsClient({ clients, accounts: [], region: EAST.region, retryTimeoutMs: retryForMs });
}

/** Write an object into the source, and wait until replication has nothing left to do. */
export async function put(
  { sandbox, door }: { sandbox: Sandbox; door: AwsClient },
  more: Partial<PutObjectCommandInput> = {},
): Promise<VersionState | undefined> {
  const Key = more.Key ?? 'Tax/2026.pdf';
  await door.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key, Body: 'numbers', ...more }));
  await sandbox.waitForReplication();
  return versionOf(sandbox, SOURCE, Key);
}

/** The newest version of a key. */
export const versionOf = (sandbox: Sandbox, bucket: string, key: string): VersionState | undefined =>
  sandbox.store.bucket(bucket)?.objects.get(key)?.[0];

type Statements = Record<string, Statement>;

/** Change the statements of a policy by their Sid, as somebody does by hand. */
function changed(text: string, change: (statements: Statements) => void): string {
  const policy = JSON.parse(text.startsWith('%7B') ? decodeURIComponent(text) : text) as Policy;
  const statements: Statements = Object.fromEntries(
    [policy.Statement].flat().map((one, index) => [one.Sid ?? String(index), one]),
  );
  change(statements);
  return JSON.stringify({ ...policy, Statement: Object.values(statements) });
}

export async function changeRolePolicy(
  door: AwsClient,
  change: (statements: Statements) => void,
): Promise<void> {
  const policy = { RoleName: ROLE, PolicyName: 'replikey' };
  const { PolicyDocument = '' } = await door.send(EAST, new GetRolePolicyCommand(policy));
  await door.send(
    EAST,
    new PutRolePolicyCommand({ ...policy, PolicyDocument: changed(PolicyDocument, change) }),
  );
}

export async function changeKeyPolicy(
  door: AwsClient,
  at: { region: string },
  change: (statements: Statements) => void,
): Promise<void> {
  const key = { KeyId: await keyOf(door, at), PolicyName: 'default' };
  const { Policy = '' } = await door.send(at, new GetKeyPolicyCommand(key));
  await door.send(at, new PutKeyPolicyCommand({ ...key, Policy: changed(Policy, change) }));
}

export const keyOf = async (door: AwsClient, at: { region: string }): Promise<string> => {
  const KeyId = at.region === EAST.region ? 'alias/acme-tax' : 'alias/acme-tax-replica';
  return (await door.send(at, new DescribeKeyCommand({ KeyId }))).KeyMetadata?.Arn ?? '';
};

export async function changeRules(
  door: AwsClient,
  change: (rules: ReplicationRule[]) => ReplicationRule[],
): Promise<void> {
  const { ReplicationConfiguration: found } = await door.send(
    EAST,
    new GetBucketReplicationCommand({ Bucket: SOURCE }),
  );
  const ReplicationConfiguration = { Role: found?.Role, Rules: change(found?.Rules ?? []) };
  await door.send(EAST, new PutBucketReplicationCommand({ Bucket: SOURCE, ReplicationConfiguration }));
}
