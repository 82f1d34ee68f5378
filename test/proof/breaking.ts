import {
  CreatePolicyCommand,
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  PutRolePermissionsBoundaryCommand,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { CreateKeyCommand, type CreateKeyCommandInput } from '@aws-sdk/client-kms';
import {
  GetBucketReplicationCommand,
  PutBucketEncryptionCommand,
  PutBucketReplicationCommand,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import { locationOfSide } from '../../src/core/ids.ts';
import type { Location } from '../../src/core/resource.ts';
import { type Locations, locationsOf } from '../../src/facts/locations.ts';
import { accountOfArn } from '../../src/iam/context.ts';
import type { Policy, Statement } from '../../src/iam/types.ts';
import type { PolicyRef } from '../../src/proof/findings.ts';
import type { BucketState, KeyState } from '../../src/sandbox/state.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { type TestEnv, testEnv } from '../support/env.ts';
import { changePolicy } from '../support/policies.ts';

/** The operations with which breakages.ts describes a breakage. */

export const MAIN = '111122223333';
export const BACKUP = '444455556666';

/** A working pair that can be restored. */
export interface Pair {
  world: TestEnv;
  locations: Locations;
  source: Side;
  destination: Side;
  /** ARN of the role that S3 assumes. */
  role: string;
  restore(): void;
  /** Runs between the next write and its replication. */
  meanwhile?: (() => void) | undefined;
}

export interface Side {
  bucket: string;
  /** ARN of the bucket. */
  arn: string;
  /** ARN of the key. */
  key: string;
  at: Location;
}

/** Applies one breakage. */
export type Break = (pair: Pair) => unknown;

/** Reconciles a pair and prepares it. */
export async function workingPair(yaml: string, prepare: Break = () => {}): Promise<Pair> {
  const env = await testEnv(yaml, {
    onCall({ operation }, phase) {
      if (operation !== 'PutObject' || phase !== 'after') return;
      pair.meanwhile?.();
      pair.meanwhile = undefined;
    },
  });
  const { results } = await env.reconcile();
  if (results.some(({ result }) => result !== 'applied')) throw new Error('reconcile did not apply the pair');
  const { store } = env.sandbox;
  const [declared] = env.specs.pairs;
  if (!declared) throw new Error('the specs declare no pair');
  const side = (one: typeof declared.source): Side => {
    const account = store.account(one.accountId ?? MAIN);
    const key = [...account.keys.values()].find(({ region }) => region === one.region);
    return {
      bucket: one.bucket,
      arn: `arn:aws:s3:::${one.bucket}`,
      key: key?.arn ?? '',
      at: locationOfSide(one),
    };
  };
  const pair: Pair = {
    world: env,
    locations: locationsOf(env.specs, 'us-east-1'),
    source: side(declared.source),
    destination: side(declared.destination),
    role: store.bucket(declared.source.bucket)?.replication?.Role ?? '',
    restore: () => {},
  };
  await prepare(pair);
  pair.restore = checkpoint(store);
  return pair;
}

/** Combines several changes that break something only together. */
export const together =
  (...breaks: Break[]): Break =>
  async (pair) => {
    for (const apply of breaks) await apply(pair);
  };

// Policies: their location, and changes of their statements.

type Change = (statements: Statement[], pair: Pair) => Statement[];
type Of<T> = (pair: Pair) => T;

export const POLICY_NAME = 'replikey';

const inPolicy =
  (placeOf: Of<PolicyRef>) =>
  (...changes: Change[]): Break =>
  (pair) => {
    const where = placeOf(pair);
    const owned = where.kind === 'role' || where.kind === 'boundary';
    const withPrincipal = (statement: Statement): Statement =>
      owned || (statement.Principal ?? statement.NotPrincipal) !== undefined
        ? statement
        : { ...statement, Principal: '*' };
    return changePolicy(pair.world.client, pair.locations, where, ({ Statement: before, ...policy }) => ({
      ...policy,
      Statement: changes.reduce((some, change) => change(some, pair), [before].flat()).map(withPrincipal),
    }));
  };

export const inRolePolicy = inPolicy(({ role }) => ({ kind: 'role', of: role, policy: POLICY_NAME }));
export const inTrustPolicy = inPolicy(({ role }) => ({ kind: 'trust', of: role }));
export const inSourceBucketPolicy = inPolicy(({ source }) => ({ kind: 'bucket', of: source.bucket }));
export const inReplicaBucketPolicy = inPolicy(({ destination }) => ({
  kind: 'bucket',
  of: destination.bucket,
}));
export const inSourceKeyPolicy = inPolicy(({ source }) => ({ kind: 'key', of: source.key }));
export const inReplicaKeyPolicy = inPolicy(({ destination }) => ({ kind: 'key', of: destination.key }));

/** Replaces a statement of replikey by its Sid without the prefix. */
const replacing =
  (sid: string, by: (statement: Statement, pair: Pair) => Statement[]): Change =>
  (statements, pair) => {
    const ours = (one: Statement): boolean => one.Sid?.startsWith(`Replikey${sid}`) === true;
    if (!statements.some(ours)) throw new Error(`no statement ${sid} to break`);
    return statements.flatMap((one) => (ours(one) ? by(one, pair) : [one]));
  };

export const without = (sid: string): Change => replacing(sid, () => []);

export const lacking = (sid: string, action: string): Change =>
  replacing(sid, (statement) => [
    { ...statement, Action: [statement.Action ?? []].flat().filter((one) => one !== action) },
  ]);

/** Replaces some elements of a statement. */
export const having = (sid: string, elements: Of<Partial<Statement>>): Change =>
  replacing(sid, (statement, pair) => [{ ...statement, ...elements(pair) }]);

/** Replaces the value of one of the two conditions of a key statement. */
export const expecting = (sid: string, key: 'ViaService' | 'Context', value: Of<string | string[]>): Change =>
  replacing(sid, (statement, pair) => {
    const [operator, name] =
      key === 'ViaService'
        ? (['StringEquals', 'kms:ViaService'] as const)
        : (['StringLike', 'kms:EncryptionContext:aws:s3:arn'] as const);
    return [{ ...statement, Condition: { ...statement.Condition, [operator]: { [name]: value(pair) } } }];
  });

export const adding =
  (...more: Of<Statement>[]): Change =>
  (statements, pair) => [...statements, ...more.map((one) => one(pair))];

/** Returns a Deny statement; in a resource policy for every principal unless one is given. */
export const denying = (
  Action: string | string[],
  Resource: Of<string>,
  more: Of<Partial<Statement>> = () => ({}),
): Change => adding((pair) => ({ Effect: 'Deny', Action, Resource: Resource(pair), ...more(pair) }));

const nothingBut =
  (...statements: Of<Statement>[]): Change =>
  (_, pair) =>
    statements.map((one) => one(pair));

export const sourceObjects =
  (prefix = ''): Of<string> =>
  ({ source }) =>
    `${source.arn}/${prefix}*`;
export const replicas =
  (prefix = ''): Of<string> =>
  ({ destination }) =>
    `${destination.arn}/${prefix}*`;
export const theKey: Of<string> = () => '*';
export const theRole: Of<Partial<Statement>> = ({ role }) => ({ Principal: { AWS: role } });

/** The default key policy of KMS: the IAM policies of the account decide. */
const byItsAccount = ({ key }: Side): Statement => ({
  Effect: 'Allow',
  Principal: { AWS: `arn:aws:iam::${accountOfArn(key)}:root` },
  Action: 'kms:*',
  Resource: '*',
});

/** Allows only the root user, and no other principal of its account. */
const byTheRootUser = (side: Side): Statement => ({
  ...byItsAccount(side),
  Condition: { ArnEquals: { 'aws:PrincipalArn': `arn:aws:iam::${accountOfArn(side.key)}:root` } },
});

/** Key policies that name no principal: the role's policy decides. */
export const keysLeftToTheAccount: Break = together(
  inSourceKeyPolicy(nothingBut(({ source }) => byItsAccount(source))),
  inReplicaKeyPolicy(nothingBut(({ destination }) => byItsAccount(destination))),
);

/** Key policies that delegate nothing to the account: they name the role, or no principal. */
export const keysOfTheRootUser: Break = together(
  inSourceKeyPolicy((statements, { source }) => [byTheRootUser(source), ...ours(statements)]),
  inReplicaKeyPolicy((statements, { destination }) => [byTheRootUser(destination), ...ours(statements)]),
);

const ours = (statements: Statement[]): Statement[] =>
  statements.filter(({ Sid }) => Sid?.startsWith('Replikey'));

export const bounded =
  (...statements: Of<Statement>[]): Break =>
  async (pair) => {
    const { client } = pair.world;
    const document: Policy = { Version: '2012-10-17', Statement: statements.map((one) => one(pair)) };
    const { Policy: policy } = await client.send(
      pair.source.at,
      new CreatePolicyCommand({ PolicyName: 'boundary', PolicyDocument: JSON.stringify(document) }),
    );
    await client.send(
      pair.source.at,
      new PutRolePermissionsBoundaryCommand({
        RoleName: nameOf(pair.role),
        PermissionsBoundary: policy?.Arn,
      }),
    );
  };

// The role.

const nameOf = (arn: string): string => arn.slice(arn.lastIndexOf('/') + 1);

export const withoutRolePolicy: Break = ({ world: env, source, role }) =>
  env.client.send(
    source.at,
    new DeleteRolePolicyCommand({ RoleName: nameOf(role), PolicyName: POLICY_NAME }),
  );

export const withoutRole: Break = async (pair) => {
  await withoutRolePolicy(pair);
  await pair.world.client.send(pair.source.at, new DeleteRoleCommand({ RoleName: nameOf(pair.role) }));
};

/** Recreates the role with the same name and policies, as another principal. */
export const roleRecreated: Break = async (pair) => {
  const { client } = pair.world;
  const { at } = pair.source;
  const RoleName = nameOf(pair.role);
  const { Role } = await client.send(at, new GetRoleCommand({ RoleName }));
  const policy = await client.send(at, new GetRolePolicyCommand({ RoleName, PolicyName: POLICY_NAME }));
  await withoutRole(pair);
  const AssumeRolePolicyDocument = decodeURIComponent(Role?.AssumeRolePolicyDocument ?? '');
  await client.send(at, new CreateRoleCommand({ RoleName, Path: Role?.Path, AssumeRolePolicyDocument }));
  const PolicyDocument = decodeURIComponent(policy.PolicyDocument ?? '');
  await client.send(at, new PutRolePolicyCommand({ RoleName, PolicyName: POLICY_NAME, PolicyDocument }));
};

// The rule.

export const inConfiguration =
  (change: (rules: ReplicationRule[], pair: Pair) => { Rules: ReplicationRule[]; Role?: string }): Break =>
  async (pair) => {
    const { world: env, source } = pair;
    const { ReplicationConfiguration: before } = await env.client.send(
      source.at,
      new GetBucketReplicationCommand({ Bucket: source.bucket }),
    );
    const after = { Role: before?.Role, ...change(before?.Rules ?? [], pair) };
    await env.client.send(
      source.at,
      new PutBucketReplicationCommand({ Bucket: source.bucket, ReplicationConfiguration: after }),
    );
  };

export const inRule = (change: (rule: ReplicationRule, pair: Pair) => Partial<ReplicationRule>): Break =>
  inConfiguration((rules, pair) => ({ Rules: rules.map((rule) => ({ ...rule, ...change(rule, pair) })) }));

export const replicaKey = (name: Of<string>): Break =>
  inRule(({ Destination }, pair) => ({
    Destination: {
      Bucket: Destination?.Bucket,
      ...Destination,
      EncryptionConfiguration: { ReplicaKmsKeyID: name(pair) },
    },
  }));

/** Creates a replica key of another type that the role may use. */
export const replicaKeyOfType =
  (input: CreateKeyCommandInput): Break =>
  async (pair) => {
    const { KeyMetadata } = await pair.world.client.send(pair.destination.at, new CreateKeyCommand(input));
    const arn = KeyMetadata?.Arn ?? '';
    await replicaKey(() => arn)(pair);
    await inRolePolicy(having('DestinationKey', () => ({ Resource: arn })))(pair);
  };

export const sourceDefault =
  (KMSMasterKeyID: string): Break =>
  ({ world: env, source }) =>
    env.client.send(
      source.at,
      new PutBucketEncryptionCommand({
        Bucket: source.bucket,
        ServerSideEncryptionConfiguration: {
          Rules: [
            {
              ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID },
              BucketKeyEnabled: true,
            },
          ],
        },
      }),
    );

// Changes that AWS forbids or does not make immediately: in the memory of the sandbox.

export const sourceBucketState = (change: (bucket: BucketState) => void): Break =>
  inStore(({ world: env, source }) => env.sandbox.store.bucket(source.bucket), change);

export const sourceKeyState = (change: (key: KeyState) => void): Break =>
  inStore(({ world: env, source }) => keyState(env, source), change);

export const replicaKeyState = (change: (key: KeyState) => void): Break =>
  inStore(({ world: env, destination }) => keyState(env, destination), change);

export const sourceKeyLost: Break = ({ world: env, source }) => {
  const key = keyState(env, source);
  env.sandbox.store.account(accountOfArn(source.key)).keys.delete(`${key?.region}/${key?.id}`);
};

const inStore =
  <T>(of: Of<T | undefined>, change: (state: T) => void): Break =>
  (pair) => {
    const state = of(pair);
    if (state === undefined) throw new Error('the state to break does not exist');
    change(state);
  };

function keyState({ sandbox }: TestEnv, { key }: Side): KeyState | undefined {
  const account = sandbox.store.account(accountOfArn(key));
  return [...account.keys.values()].find(({ arn }) => arn === key);
}
