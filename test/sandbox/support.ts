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

/** Returns an AWS client for a sandbox, for an access key such as the ID of an account, or for other credentials. */
export function clientOf(
  sandbox: Pick<Sandbox, 'endpoint'>,
  account: string | { accessKeyId: string; secretAccessKey: string; sessionToken?: string },
  retryTimeoutMs = 1_000,
): AwsClient {
  const clients = createSdkClients([], {
    endpoint: sandbox.endpoint,
    credentials: typeof account === 'string' ? { accessKeyId: account, secretAccessKey: 'test' } : account,
  });
  return createAwsClient({ clients, accounts: [], region: EAST.region, retryTimeoutMs });
}

/** Puts an object into the source, and waits until replication is complete. */
export async function put(
  { sandbox, client }: { sandbox: Sandbox; client: AwsClient },
  overrides: Partial<PutObjectCommandInput> = {},
): Promise<VersionState | undefined> {
  const Key = overrides.Key ?? 'Tax/2026.pdf';
  await client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key, Body: 'numbers', ...overrides }));
  await sandbox.waitForReplication();
  return versionOf(sandbox, SOURCE, Key);
}

/** Returns the newest version of a key. */
export const versionOf = (sandbox: Sandbox, bucket: string, key: string): VersionState | undefined =>
  sandbox.store.bucket(bucket)?.objects.get(key)?.[0];

type Statements = Record<string, Statement>;

/** Returns a policy with its statements, by Sid, changed as in a manual edit. */
function changeStatements(text: string, change: (statements: Statements) => void): string {
  const policy = JSON.parse(text.startsWith('%7B') ? decodeURIComponent(text) : text) as Policy;
  const statements: Statements = Object.fromEntries(
    [policy.Statement].flat().map((statement, index) => [statement.Sid ?? String(index), statement]),
  );
  change(statements);
  return JSON.stringify({ ...policy, Statement: Object.values(statements) });
}

export async function changeRolePolicy(
  client: AwsClient,
  change: (statements: Statements) => void,
): Promise<void> {
  const policy = { RoleName: ROLE, PolicyName: 'replikey' };
  const { PolicyDocument = '' } = await client.send(EAST, new GetRolePolicyCommand(policy));
  await client.send(
    EAST,
    new PutRolePolicyCommand({ ...policy, PolicyDocument: changeStatements(PolicyDocument, change) }),
  );
}

export async function changeKeyPolicy(
  client: AwsClient,
  at: { region: string },
  change: (statements: Statements) => void,
): Promise<void> {
  const key = { KeyId: await keyOf(client, at), PolicyName: 'default' };
  const { Policy = '' } = await client.send(at, new GetKeyPolicyCommand(key));
  await client.send(at, new PutKeyPolicyCommand({ ...key, Policy: changeStatements(Policy, change) }));
}

export const keyOf = async (client: AwsClient, at: { region: string }): Promise<string> => {
  const KeyId = at.region === EAST.region ? 'alias/acme-tax' : 'alias/acme-tax-replica';
  return (await client.send(at, new DescribeKeyCommand({ KeyId }))).KeyMetadata?.Arn ?? '';
};

export async function changeRules(
  client: AwsClient,
  change: (rules: ReplicationRule[]) => ReplicationRule[],
): Promise<void> {
  const { ReplicationConfiguration: current } = await client.send(
    EAST,
    new GetBucketReplicationCommand({ Bucket: SOURCE }),
  );
  const ReplicationConfiguration = { Role: current?.Role, Rules: change(current?.Rules ?? []) };
  await client.send(EAST, new PutBucketReplicationCommand({ Bucket: SOURCE, ReplicationConfiguration }));
}
