import {
  CreatePolicyCommand,
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  PutRolePermissionsBoundaryCommand,
  PutRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  CreateKeyCommand,
  DisableKeyCommand,
  GetKeyPolicyCommand,
  PutKeyPolicyCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  GetBucketPolicyCommand,
  PutBucketPolicyCommand,
  PutBucketReplicationCommand,
  PutBucketVersioningCommand,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import type { Statement } from '../../src/iam/types.ts';
import { policyOf } from '../../src/kinds/policy-text.ts';
import type { Code } from '../../src/proof/codes.ts';
import type { World } from '../support/world.ts';

/** One way of breaking a pair that works, and what must be said of it. */
export interface Breakage {
  name: string;
  breaks: (world: World) => Promise<unknown>;
  /** What the doctor says first. */
  code: Code;
  /** The sort of object that fails; any does where it is absent. */
  object?: ObjectSort;
  /** Between two accounts, replicas belonging to the other. */
  across?: true;
  /** Why no fix can be printed; absent: the printed ones heal it. */
  noFix?: string;
  /** The object is written before, and replicated after: nothing can be written any more. */
  meanwhile?: true;
  /** S3 passes the object over and gives it no status at all. */
  silent?: true;
}

export type ObjectSort =
  | 'with a Bucket Key'
  | 'without a Bucket Key'
  | 'encrypted by S3 alone'
  | 'with tags'
  | 'a delete marker';

const ACCOUNT = '111122223333';
const BACKUP = '444455556666';
const ROLE = 'replikey-acme-tax';
export const ROLE_ARN = `arn:aws:iam::${ACCOUNT}:role/${ROLE}`;
const EAST = { region: 'us-east-1' };
const WEST = { region: 'us-west-2' };
const SOURCE = 'arn:aws:s3:::acme-tax';
const REPLICA = 'arn:aws:s3:::acme-tax-replica';
const CONTEXT = 'kms:EncryptionContext:aws:s3:arn';

type Statements = Record<string, Statement>;
type Change = (statements: Statements) => void;

/** Statements by Sid, or by their number. */
function changed(text: string | undefined, change: Change): string {
  const policy = text === undefined ? { Version: '2012-10-17', Statement: [] } : policyOf(text);
  const statements: Statements = Object.fromEntries(
    [policy.Statement].flat().map((one, index) => [one.Sid ?? `s${index}`, one]),
  );
  change(statements);
  return JSON.stringify({ ...policy, Statement: Object.values(statements) });
}

const inSource = ({ specs }: World) => (specs.accounts.length > 0 ? { ...EAST, account: 'main' } : EAST);
const inDestination = ({ specs }: World) =>
  specs.accounts.length > 0 ? { ...WEST, account: 'backup' } : WEST;

/** What the role may do, changed by hand. */
const role =
  (change: Change) =>
  async (world: World): Promise<void> => {
    const { inline } = world.sandbox.store.account(ACCOUNT).roles.get(ROLE) ?? { inline: new Map() };
    const PolicyDocument = changed(inline.get('replikey'), change);
    await world.door.send(
      inSource(world),
      new PutRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey', PolicyDocument }),
    );
  };

const trust = (...Statement: Statement[]) => {
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
  return (world: World) =>
    world.door.send(inSource(world), new UpdateAssumeRolePolicyCommand({ RoleName: ROLE, PolicyDocument }));
};

/** The policy of the bucket on one side. */
const bucket =
  (side: 'source' | 'destination', change: Change) =>
  async (world: World): Promise<void> => {
    const Bucket = world.specs.pairs[0]?.[side].bucket;
    const at = side === 'source' ? inSource(world) : inDestination(world);
    const before = await world.door.send(at, new GetBucketPolicyCommand({ Bucket })).catch(() => undefined);
    await world.door.send(
      at,
      new PutBucketPolicyCommand({ Bucket, Policy: changed(before?.Policy, change) }),
    );
  };

export async function keyOf(world: World, side: 'source' | 'destination'): Promise<string> {
  const at = side === 'source' ? inSource(world) : inDestination(world);
  const account = world.sandbox.store.account(side === 'source' || !('account' in at) ? ACCOUNT : BACKUP);
  const name = side === 'source' ? 'alias/acme-tax' : 'alias/acme-tax-replica';
  const alias = account.aliases.get(`${at.region}/${name}`);
  return account.keys.get(`${at.region}/${alias?.targetKeyId}`)?.arn ?? '';
}

/** The policy of the key on one side. */
const key =
  (side: 'source' | 'destination', change: Change) =>
  async (world: World): Promise<void> => {
    const at = side === 'source' ? inSource(world) : inDestination(world);
    const named = { KeyId: await keyOf(world, side), PolicyName: 'default' };
    const { Policy } = await world.door.send(at, new GetKeyPolicyCommand(named));
    await world.door.send(at, new PutKeyPolicyCommand({ ...named, Policy: changed(Policy, change) }));
  };

const SID = { source: 'ReplikeySourceKeyTax', destination: 'ReplikeyDestinationKeyTax' } as const;

/** Leave it to the account who may use the key, so that the role's own policy decides. */
const byAccountAlone = (side: 'source' | 'destination') =>
  key(side, (statements) => {
    delete statements[SID[side]];
  });

/** Change what the role's policy says of a key, which decides once the key's own policy does not name the role. */
const roleOnKey = (side: 'source' | 'destination', change: (statement: Statement) => Statement | undefined) =>
  both(
    byAccountAlone(side),
    role((statements) => {
      const statement = statements[SID[side]];
      const next = statement && change(statement);
      if (next) statements[SID[side]] = next;
      else delete statements[SID[side]];
    }),
  );

/** Only the root of the account, and whom the key's policy names: the account decides no longer. */
const namedOnly = (statements: Statements): void => {
  for (const [sid, statement] of Object.entries(statements)) {
    const root = typeof statement.Principal === 'object' ? String(statement.Principal.AWS) : '';
    if (root.endsWith(':root'))
      statements[sid] = { ...statement, Condition: { ArnEquals: { 'aws:PrincipalArn': root } } };
  }
};

const both =
  (...steps: ((world: World) => Promise<unknown>)[]) =>
  async (world: World): Promise<void> => {
    for (const step of steps) await step(world);
  };

const without =
  (sid: string): Change =>
  (statements) => {
    delete statements[sid];
  };
const withoutAction =
  (sid: string, action: string): Change =>
  (statements) => {
    const statement = statements[sid];
    if (statement)
      statements[sid] = {
        ...statement,
        Action: [statement.Action ?? []].flat().filter((one) => one !== action),
      };
  };
const altered =
  (sid: string, more: Partial<Statement>): Change =>
  (statements) => {
    const statement = statements[sid];
    if (statement) statements[sid] = { ...statement, ...more };
  };
const withCondition =
  (operator: string, name: string, value: string | string[]) => (statement: Statement) => ({
    ...statement,
    Condition: { ...statement.Condition, [operator]: { [name]: value } },
  });
const deny =
  (Action: string | string[], Resource: string | string[], more: Partial<Statement> = {}): Change =>
  (statements) => {
    statements.Denied = { Effect: 'Deny', Action, Resource, ...more };
  };
const EVERYBODY = { Principal: '*' } as const;
const THE_ROLE = { Principal: { AWS: ROLE_ARN } };

/** The rules of the configuration, changed by hand. */
const rules = (change: (rules: ReplicationRule[], world: World) => ReplicationRule[]) => (world: World) => {
  const { name = '', replication } = world.sandbox.store.bucket('acme-tax') ?? {};
  return world.door.send(
    inSource(world),
    new PutBucketReplicationCommand({
      Bucket: name,
      ReplicationConfiguration: { Role: replication?.Role, Rules: change(replication?.Rules ?? [], world) },
    }),
  );
};
const replicaKey = (name: (world: World) => string) =>
  rules((all, world) =>
    all.map((rule) => ({
      ...rule,
      Destination: {
        Bucket: rule.Destination?.Bucket,
        ...rule.Destination,
        EncryptionConfiguration: { ReplicaKmsKeyID: name(world) },
      },
    })),
  );

/** A permissions boundary on the role. */
const boundary =
  (...Statement: Statement[]) =>
  async (world: World) => {
    const at = inSource(world);
    const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
    const { Policy } = await world.door.send(
      at,
      new CreatePolicyCommand({ PolicyName: 'boundary', PolicyDocument }),
    );
    await world.door.send(
      at,
      new PutRolePermissionsBoundaryCommand({ RoleName: ROLE, PermissionsBoundary: Policy?.Arn }),
    );
  };

/** State that AWS lets nobody reach while a pair stands is set in the sandbox's own store. */
const store = (change: (world: World) => void) => async (world: World) => change(world);
const keyState =
  (side: 'source' | 'destination', more: { usage?: string; spec?: string }) => async (world: World) => {
    const arn = await keyOf(world, side);
    const [, , , region, account = ''] = arn.split(':');
    const found = world.sandbox.store.account(account).keys.get(`${region}/${arn.split('/')[1]}`);
    if (found) Object.assign(found, more);
  };

async function removeDestination({ door, sandbox }: World): Promise<void> {
  sandbox.store.bucket('acme-tax-replica')?.objects.clear();
  await door.send(WEST, new DeleteBucketCommand({ Bucket: 'acme-tax-replica' }));
}

const WITH = 'with a Bucket Key';
const WITHOUT = 'without a Bucket Key';
const TAGGED = 'with tags';
const MARKER = 'a delete marker';
const PLAIN = 'encrypted by S3 alone';

const S3_EAST = 's3.us-east-1.amazonaws.com';

export const BREAKAGES: Breakage[] = [
  // The trust policy.
  {
    name: 'the trust policy names another service',
    breaks: trust({ Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' }),
    code: 'RK1301',
  },
  {
    name: 'the trust policy lets S3 do something else',
    breaks: trust({ Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:TagSession' }),
    code: 'RK1301',
  },
  {
    name: 'the trust policy names the Batch service alone',
    breaks: trust({
      Effect: 'Allow',
      Principal: { Service: 'batchoperations.s3.amazonaws.com' },
      Action: 'sts:AssumeRole',
    }),
    code: 'RK1301',
  },
  {
    name: 'the trust policy denies everybody',
    breaks: trust(
      { Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' },
      { Effect: 'Deny', Principal: '*', Action: 'sts:AssumeRole' },
    ),
    code: 'RK1301',
  },
  {
    name: 'the trust policy asks for an external id',
    breaks: trust({
      Effect: 'Allow',
      Principal: { Service: 's3.amazonaws.com' },
      Action: 'sts:AssumeRole',
      Condition: { StringEquals: { 'sts:ExternalId': 'x' } },
    }),
    code: 'RK1301',
  },

  // The role's policy: each statement.
  {
    name: 'the role may not look into the source bucket',
    breaks: role(without('ReplikeySourceBucketTax')),
    code: 'RK1303',
  },
  {
    name: 'the role may not read source objects',
    breaks: role(without('ReplikeySourceObjectsTax')),
    code: 'RK1304',
  },
  {
    name: 'the role may not write replicas',
    breaks: role(without('ReplikeyDestinationObjectsTax')),
    code: 'RK1308',
  },
  {
    name: 'the role may not replicate delete markers',
    breaks: role(without('ReplikeyDestinationDeletesTax')),
    code: 'RK1310',
    object: MARKER,
  },
  {
    name: 'the role may not use the source key',
    breaks: roleOnKey('source', () => undefined),
    code: 'RK1307',
  },
  {
    name: 'the role may not use the replica key',
    breaks: roleOnKey('destination', () => undefined),
    code: 'RK1313',
  },
  {
    name: 'the role has no policy at all',
    breaks: (world) =>
      world.door.send(EAST, new DeleteRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey' })),
    code: 'RK1303',
  },

  // The role's policy: each action.
  {
    name: 's3:GetReplicationConfiguration is missing',
    breaks: role(withoutAction('ReplikeySourceBucketTax', 's3:GetReplicationConfiguration')),
    code: 'RK1303',
  },
  {
    name: 's3:ListBucket is missing',
    breaks: role(withoutAction('ReplikeySourceBucketTax', 's3:ListBucket')),
    code: 'RK1303',
  },
  {
    name: 's3:GetObjectVersionForReplication is missing',
    breaks: role(withoutAction('ReplikeySourceObjectsTax', 's3:GetObjectVersionForReplication')),
    code: 'RK1304',
  },
  {
    name: 's3:GetObjectVersion stands in its place, which reads no encrypted object',
    breaks: role(
      altered('ReplikeySourceObjectsTax', {
        Action: ['s3:GetObjectVersion', 's3:GetObjectVersionAcl', 's3:GetObjectVersionTagging'],
      }),
    ),
    code: 'RK1304',
  },
  {
    name: 's3:GetObjectVersionAcl is missing',
    breaks: role(withoutAction('ReplikeySourceObjectsTax', 's3:GetObjectVersionAcl')),
    code: 'RK1305',
  },
  {
    name: 's3:GetObjectVersionTagging is missing',
    breaks: role(withoutAction('ReplikeySourceObjectsTax', 's3:GetObjectVersionTagging')),
    code: 'RK1306',
    object: TAGGED,
  },
  {
    name: 's3:ReplicateObject is missing',
    breaks: role(withoutAction('ReplikeyDestinationObjectsTax', 's3:ReplicateObject')),
    code: 'RK1308',
  },
  {
    name: 's3:ReplicateTags is missing',
    breaks: role(withoutAction('ReplikeyDestinationObjectsTax', 's3:ReplicateTags')),
    code: 'RK1309',
    object: TAGGED,
  },
  {
    name: 's3:PutObject stands in place of s3:ReplicateObject',
    breaks: role(
      altered('ReplikeyDestinationObjectsTax', { Action: ['s3:PutObject', 's3:PutObjectTagging'] }),
    ),
    code: 'RK1308',
  },
  {
    name: 'kms:Decrypt on the replica key is missing',
    breaks: roleOnKey('destination', (one) => ({ ...one, Action: ['kms:Encrypt', 'kms:GenerateDataKey'] })),
    code: 'RK1313',
  },
  {
    name: 'kms:GenerateDataKey on the replica key is missing',
    breaks: roleOnKey('destination', (one) => ({ ...one, Action: ['kms:Encrypt', 'kms:Decrypt'] })),
    code: 'RK1313',
  },
  {
    name: 'kms:Encrypt on the replica key is missing',
    breaks: roleOnKey('destination', (one) => ({ ...one, Action: ['kms:Decrypt', 'kms:GenerateDataKey'] })),
    code: 'RK1312',
  },
  {
    name: 'kms:Encrypt stands in place of kms:Decrypt on the source key',
    breaks: roleOnKey('source', (one) => ({ ...one, Action: 'kms:Encrypt' })),
    code: 'RK1307',
  },

  // The role's policy: each resource.
  {
    name: 'the source bucket is misspelt',
    breaks: role(altered('ReplikeySourceBucketTax', { Resource: 'arn:aws:s3:::acme-taxes' })),
    code: 'RK1303',
  },
  {
    name: 'the objects of the source bucket stand in place of the bucket',
    breaks: role(altered('ReplikeySourceBucketTax', { Resource: `${SOURCE}/*` })),
    code: 'RK1303',
  },
  {
    name: 'the bucket stands in place of its objects',
    breaks: role(altered('ReplikeySourceObjectsTax', { Resource: SOURCE })),
    code: 'RK1304',
  },
  {
    name: 'the prefix is written in other letters',
    breaks: role(altered('ReplikeySourceObjectsTax', { Resource: `${SOURCE}/tax/*` })),
    code: 'RK1304',
  },
  {
    name: 'the prefix begins with a slash',
    breaks: role(altered('ReplikeySourceObjectsTax', { Resource: `${SOURCE}//Tax/*` })),
    code: 'RK1304',
  },
  {
    name: 'the destination is another bucket',
    breaks: role(altered('ReplikeyDestinationObjectsTax', { Resource: 'arn:aws:s3:::acme-tax-replicas/*' })),
    code: 'RK1308',
  },
  {
    name: 'the source stands in place of the destination',
    breaks: role(altered('ReplikeyDestinationObjectsTax', { Resource: `${SOURCE}/*` })),
    code: 'RK1308',
  },
  {
    name: 'the source key is named by its alias',
    breaks: roleOnKey('source', (one) => ({
      ...one,
      Resource: `arn:aws:kms:us-east-1:${ACCOUNT}:alias/acme-tax`,
    })),
    code: 'RK1307',
  },
  {
    name: 'the source key is of another account',
    breaks: roleOnKey('source', (one) => ({ ...one, Resource: `arn:aws:kms:us-east-1:${BACKUP}:key/*` })),
    code: 'RK1307',
  },
  {
    name: 'the replica key is of another Region',
    breaks: roleOnKey('destination', (one) => ({
      ...one,
      Resource: `arn:aws:kms:us-east-1:${ACCOUNT}:key/*`,
    })),
    code: 'RK1313',
  },

  // The role's policy: each condition.
  {
    name: 'kms:ViaService names the Region of the destination on the source key',
    breaks: roleOnKey(
      'source',
      withCondition('StringEquals', 'kms:ViaService', 's3.us-west-2.amazonaws.com'),
    ),
    code: 'RK1307',
  },
  {
    name: 'kms:ViaService names the Region of the source on the replica key',
    breaks: roleOnKey('destination', withCondition('StringEquals', 'kms:ViaService', S3_EAST)),
    code: 'RK1313',
  },
  {
    name: 'kms:ViaService is written without the Region',
    breaks: roleOnKey('source', withCondition('StringEquals', 'kms:ViaService', 's3.amazonaws.com')),
    code: 'RK1307',
  },
  {
    name: 'the encryption context names the bucket alone, and objects have no Bucket Key',
    breaks: roleOnKey('source', withCondition('StringLike', CONTEXT, SOURCE)),
    code: 'RK1307',
    object: WITHOUT,
  },
  {
    name: 'the encryption context names objects alone, and they have a Bucket Key',
    breaks: roleOnKey('source', withCondition('StringLike', CONTEXT, `${SOURCE}/*`)),
    code: 'RK1307',
    object: WITH,
  },
  {
    name: 'the encryption context names the replica bucket alone, and replicas have no Bucket Key',
    breaks: roleOnKey('destination', withCondition('StringLike', CONTEXT, REPLICA)),
    code: 'RK1312',
    object: WITHOUT,
  },
  {
    name: 'the encryption context names replicas alone, and they have a Bucket Key',
    breaks: roleOnKey('destination', withCondition('StringLike', CONTEXT, `${REPLICA}/*`)),
    code: 'RK1313',
    object: WITH,
  },
  {
    name: 'the encryption context names the source on the replica key',
    breaks: roleOnKey('destination', withCondition('StringLike', CONTEXT, [SOURCE, `${SOURCE}/*`])),
    code: 'RK1313',
  },
  {
    name: 'the encryption context is compared with StringEquals, which knows no wildcards',
    breaks: roleOnKey('source', (one) => ({
      ...one,
      Condition: { StringEquals: { 'kms:ViaService': S3_EAST, [CONTEXT]: `${SOURCE}/*` } },
    })),
    code: 'RK1307',
    object: WITHOUT,
  },
  {
    name: 'the condition key is misspelt as kms:EncryptionContext:arn:aws:arn',
    breaks: roleOnKey('source', (one) => ({
      ...one,
      Condition: { StringLike: { 'kms:EncryptionContext:arn:aws:arn': [SOURCE, `${SOURCE}/*`] } },
    })),
    code: 'RK1307',
  },
  {
    name: 'the caller account of a condition is another',
    breaks: roleOnKey('source', withCondition('StringEquals', 'kms:CallerAccount', BACKUP)),
    code: 'RK1307',
  },
  {
    name: 'only requests from a network address are allowed',
    breaks: roleOnKey('source', withCondition('IpAddress', 'aws:SourceIp', '10.0.0.0/8')),
    code: 'RK1307',
  },
  {
    name: 'replicas may be written with SSE-S3 alone',
    breaks: role(
      altered('ReplikeyDestinationObjectsTax', {
        Condition: { StringEquals: { 's3:x-amz-server-side-encryption': 'AES256' } },
      }),
    ),
    code: 'RK1308',
  },
  {
    name: 'replicas may be written under another key alone',
    breaks: role(
      altered('ReplikeyDestinationObjectsTax', {
        Condition: {
          StringEquals: {
            's3:x-amz-server-side-encryption-aws-kms-key-id': `arn:aws:kms:us-west-2:${ACCOUNT}:key/other`,
          },
        },
      }),
    ),
    code: 'RK1308',
  },

  // Denials.
  { name: 'the role itself is denied all writes', breaks: role(deny('s3:Replicate*', '*')), code: 'RK1308' },
  { name: 'the role itself is denied all of KMS', breaks: role(deny('kms:*', '*')), code: 'RK1307' },
  {
    name: 'the source bucket denies reading',
    breaks: bucket('source', deny('s3:GetObjectVersion*', `${SOURCE}/*`, EVERYBODY)),
    code: 'RK1304',
  },
  {
    name: 'the source bucket denies the role to look at it',
    breaks: bucket('source', deny('s3:ListBucket', SOURCE, THE_ROLE)),
    code: 'RK1303',
  },
  {
    name: 'the source bucket denies a folder of the prefix',
    breaks: bucket('source', deny('s3:GetObjectVersionForReplication', `${SOURCE}/Tax/2026*`, EVERYBODY)),
    code: 'RK1304',
  },
  {
    name: 'the destination denies replicas',
    breaks: bucket('destination', deny('s3:ReplicateObject', `${REPLICA}/*`, EVERYBODY)),
    code: 'RK1308',
  },
  {
    name: 'the destination denies tags',
    breaks: bucket('destination', deny('s3:ReplicateTags', `${REPLICA}/*`, EVERYBODY)),
    code: 'RK1309',
    object: TAGGED,
  },
  {
    name: 'the destination denies delete markers',
    breaks: bucket('destination', deny(['s3:ReplicateDelete', 's3:DeleteObject'], `${REPLICA}/*`, EVERYBODY)),
    code: 'RK1310',
    object: MARKER,
  },
  {
    name: 'the destination denies whatever comes through no endpoint',
    breaks: bucket(
      'destination',
      deny('s3:*', `${REPLICA}/*`, {
        ...EVERYBODY,
        Condition: { StringNotEquals: { 'aws:SourceVpce': 'vpce-1' } },
      }),
    ),
    code: 'RK1308',
  },
  {
    name: 'the destination denies all but an administrator',
    breaks: bucket(
      'destination',
      deny('s3:*', `${REPLICA}/*`, {
        ...EVERYBODY,
        Condition: {
          ArnNotEquals: {
            'aws:PrincipalArn': [`arn:aws:iam::${ACCOUNT}:role/admin`, `arn:aws:iam::${ACCOUNT}:root`],
          },
        },
      }),
    ),
    code: 'RK1308',
  },
  {
    name: 'the destination denies what is not encrypted with KMS',
    breaks: bucket(
      'destination',
      deny('s3:ReplicateObject', `${REPLICA}/*`, {
        ...EVERYBODY,
        Condition: { StringNotEquals: { 's3:x-amz-server-side-encryption': 'aws:kms' } },
      }),
    ),
    code: 'RK1308',
    object: PLAIN,
  },
  {
    name: 'the source key denies the role',
    breaks: key('source', deny('kms:Decrypt', '*', THE_ROLE)),
    code: 'RK1307',
  },
  {
    name: 'the replica key denies the role',
    breaks: key('destination', deny('kms:*', '*', THE_ROLE)),
    code: 'RK1313',
  },
  {
    name: 'the replica key denies all that does not come from an address',
    breaks: key(
      'destination',
      deny(['kms:Encrypt', 'kms:GenerateDataKey'], '*', {
        ...EVERYBODY,
        Condition: { NotIpAddress: { 'aws:SourceIp': '10.0.0.0/8' } },
      }),
    ),
    code: 'RK1313',
  },

  // Key policies.
  {
    name: 'the source key neither names the role nor lets the account decide',
    breaks: both(key('source', without(SID.source)), key('source', namedOnly)),
    code: 'RK1307',
  },
  {
    name: 'the replica key neither names the role nor lets the account decide',
    breaks: both(key('destination', without(SID.destination)), key('destination', namedOnly)),
    code: 'RK1313',
  },
  {
    name: 'the source key names the role for objects alone, and they have a Bucket Key',
    breaks: both(
      key('source', namedOnly),
      key('source', altered(SID.source, { Condition: { StringLike: { [CONTEXT]: `${SOURCE}/*` } } })),
    ),
    code: 'RK1307',
    object: WITH,
  },
  {
    name: 'the source key names the role for the bucket alone, and objects have no Bucket Key',
    breaks: both(
      key('source', namedOnly),
      key('source', altered(SID.source, { Condition: { StringLike: { [CONTEXT]: SOURCE } } })),
    ),
    code: 'RK1307',
    object: WITHOUT,
  },
  {
    name: 'the replica key names the role for the wrong Region',
    breaks: both(
      key('destination', namedOnly),
      key(
        'destination',
        altered(SID.destination, { Condition: { StringEquals: { 'kms:ViaService': S3_EAST } } }),
      ),
    ),
    code: 'RK1313',
  },

  // The permissions boundary.
  {
    name: 'a permissions boundary leaves KMS out',
    breaks: both(boundary({ Effect: 'Allow', Action: 's3:*', Resource: '*' }), byAccountAlone('source')),
    code: 'RK1307',
  },
  {
    name: 'a permissions boundary leaves S3 out',
    breaks: boundary({ Effect: 'Allow', Action: 'kms:*', Resource: '*' }),
    code: 'RK1303',
  },
  {
    name: 'a permissions boundary lets the role read alone',
    breaks: boundary({ Effect: 'Allow', Action: ['s3:Get*', 's3:List*', 'kms:*'], Resource: '*' }),
    code: 'RK1308',
  },
  {
    name: 'a permissions boundary denies a Region',
    breaks: both(
      boundary(
        { Effect: 'Allow', Action: '*', Resource: '*' },
        { Effect: 'Deny', Action: 'kms:*', Resource: 'arn:aws:kms:us-west-2:*:*' },
      ),
    ),
    code: 'RK1313',
  },

  // The role itself.
  {
    name: 'the role is gone',
    breaks: both(
      (world) =>
        world.door.send(EAST, new DeleteRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey' })),
      (world) => world.door.send(EAST, new DeleteRoleCommand({ RoleName: ROLE })),
    ),
    code: 'RK1302',
    noFix: 'a role is for its owner to make',
  },
  {
    name: 'the role was deleted and made anew, so that key policies no longer mean it',
    breaks: both(key('source', namedOnly), async (world) => {
      const { inline, trust: document } = world.sandbox.store.account(ACCOUNT).roles.get(ROLE) ?? {
        inline: new Map(),
        trust: '',
      };
      const PolicyDocument = inline.get('replikey');
      const named = { RoleName: ROLE, PolicyName: 'replikey' };
      await world.door.send(EAST, new DeleteRolePolicyCommand(named));
      await world.door.send(EAST, new DeleteRoleCommand({ RoleName: ROLE }));
      await world.door.send(
        EAST,
        new CreateRoleCommand({ RoleName: ROLE, AssumeRolePolicyDocument: document }),
      );
      await world.door.send(EAST, new PutRolePolicyCommand({ ...named, PolicyDocument }));
    }),
    code: 'RK1307',
  },

  // States of keys.
  {
    name: 'the source key is disabled',
    breaks: async (world) =>
      world.door.send(EAST, new DisableKeyCommand({ KeyId: await keyOf(world, 'source') })),
    code: 'RK1201',
    meanwhile: true,
  },
  {
    name: 'the source key is pending deletion',
    breaks: async (world) =>
      world.door.send(EAST, new ScheduleKeyDeletionCommand({ KeyId: await keyOf(world, 'source') })),
    code: 'RK1201',
    meanwhile: true,
  },
  {
    name: 'the replica key is disabled',
    breaks: async (world) =>
      world.door.send(WEST, new DisableKeyCommand({ KeyId: await keyOf(world, 'destination') })),
    code: 'RK1203',
  },
  {
    name: 'the replica key is pending deletion',
    breaks: async (world) =>
      world.door.send(WEST, new ScheduleKeyDeletionCommand({ KeyId: await keyOf(world, 'destination') })),
    code: 'RK1203',
  },
  {
    name: 'the replica key is for signatures',
    breaks: keyState('destination', { usage: 'SIGN_VERIFY', spec: 'RSA_2048' }),
    code: 'RK1203',
    noFix: 'what a key is for cannot be changed',
  },
  {
    name: 'the replica key does not exist',
    breaks: replicaKey(() => `arn:aws:kms:us-west-2:${ACCOUNT}:key/11111111-2222-3333-4444-555555555555`),
    code: 'RK1204',
  },
  {
    name: 'the replica key is an alias that does not exist',
    breaks: replicaKey(() => `arn:aws:kms:us-west-2:${ACCOUNT}:alias/acme-none`),
    code: 'RK1204',
  },
  {
    name: 'the replica key lies in the Region of the source',
    breaks: async (world) => {
      const arn = await keyOf(world, 'source');
      await replicaKey(() => arn)(world);
    },
    code: 'RK1205',
  },
  {
    name: 'the replica key is one that the role may not use',
    breaks: async (world) => {
      const { KeyMetadata } = await world.door.send(WEST, new CreateKeyCommand({}));
      await replicaKey(() => KeyMetadata?.Arn ?? '')(world);
    },
    code: 'RK1313',
  },

  // Buckets.
  {
    name: 'versioning of the destination is suspended',
    breaks: (world) =>
      world.door.send(
        WEST,
        new PutBucketVersioningCommand({
          Bucket: 'acme-tax-replica',
          VersioningConfiguration: { Status: 'Suspended' },
        }),
      ),
    code: 'RK1104',
  },
  {
    name: 'the destination is gone',
    breaks: removeDestination,
    code: 'RK1103',
    noFix: 'a bucket is for its owner to make',
  },
  {
    name: 'the destination was made anew, without versioning',
    breaks: both(removeDestination, (world) =>
      world.door.send(
        WEST,
        new CreateBucketCommand({
          Bucket: 'acme-tax-replica',
          CreateBucketConfiguration: { LocationConstraint: 'us-west-2' },
        }),
      ),
    ),
    code: 'RK1104',
  },
  {
    name: 'the source has Object Lock, and the destination has not',
    breaks: store(({ sandbox }) => {
      const found = sandbox.store.bucket('acme-tax');
      if (found) found.objectLock = true;
    }),
    code: 'RK1106',
  },

  // Rules.
  {
    name: 'the rule no longer selects encrypted objects',
    breaks: rules((all) =>
      all.map(({ SourceSelectionCriteria: _, ...rule }) => ({
        ...rule,
        Destination: { Bucket: rule.Destination?.Bucket, Metrics: rule.Destination?.Metrics },
      })),
    ),
    code: 'RK1003',
    silent: true,
  },
  {
    name: 'the rule is off',
    breaks: rules((all) => all.map((rule) => ({ ...rule, Status: 'Disabled' }))),
    code: 'RK1002',
    silent: true,
    noFix: 'whoever switched it off meant it',
  },

  // Between accounts.
  {
    name: 'the policy of the destination does not let the role in',
    breaks: bucket('destination', without('ReplikeyDestinationObjectsTax')),
    code: 'RK1308',
    across: true,
  },
  {
    name: 'the policy of the destination lets another role in',
    breaks: bucket(
      'destination',
      altered('ReplikeyDestinationObjectsTax', {
        Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
        Condition: { ArnEquals: { 'aws:PrincipalArn': `arn:aws:iam::${ACCOUNT}:role/other` } },
      }),
    ),
    code: 'RK1308',
    across: true,
  },
  {
    name: 'the policy of the destination is about another folder',
    breaks: bucket(
      'destination',
      altered('ReplikeyDestinationObjectsTax', { Resource: `${REPLICA}/Taxes/*` }),
    ),
    code: 'RK1308',
    across: true,
  },
  {
    name: 'the policy of the destination lacks s3:ReplicateTags',
    breaks: bucket('destination', withoutAction('ReplikeyDestinationObjectsTax', 's3:ReplicateTags')),
    code: 'RK1309',
    across: true,
    object: TAGGED,
  },
  {
    name: 'the policy of the destination lacks s3:ReplicateDelete',
    breaks: bucket('destination', without('ReplikeyDestinationDeletesTax')),
    code: 'RK1310',
    across: true,
    object: MARKER,
  },
  {
    name: 'the policy of the destination lacks the owner override',
    breaks: bucket('destination', without('ReplikeyDestinationOwnerTax')),
    code: 'RK1311',
    across: true,
  },
  {
    name: 'the role lacks the owner override',
    breaks: role(without('ReplikeyDestinationOwnerTax')),
    code: 'RK1311',
    across: true,
  },
  {
    name: 'the role may not write to the other account',
    breaks: role(without('ReplikeyDestinationObjectsTax')),
    code: 'RK1308',
    across: true,
  },
  {
    name: 'the key of the other account does not let the role in',
    breaks: key('destination', without(SID.destination)),
    code: 'RK1313',
    across: true,
  },
  {
    name: 'the key of the other account lets another account in',
    breaks: key(
      'destination',
      altered(SID.destination, { Principal: { AWS: 'arn:aws:iam::777788889999:root' } }),
    ),
    code: 'RK1313',
    across: true,
  },
  {
    name: 'the role may not use the key of the other account',
    breaks: role(without(SID.destination)),
    code: 'RK1313',
    across: true,
  },
  {
    name: 'the replica key is an alias, which is looked up in the account of the role',
    breaks: replicaKey(() => `arn:aws:kms:us-west-2:${ACCOUNT}:alias/acme-tax-replica`),
    code: 'RK1204',
    across: true,
  },
];
