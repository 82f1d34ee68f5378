import { TagRoleCommand } from '@aws-sdk/client-iam';
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DisableKeyCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  type DefaultRetention,
  DeleteBucketCommand,
  DeleteBucketEncryptionCommand,
  PutBucketEncryptionCommand,
  PutBucketOwnershipControlsCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
  PutPublicAccessBlockCommand,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import fc from 'fast-check';
import type { Policy, Principal, Statement } from '../../src/iam/types.ts';
import type { PolicyRef } from '../../src/proof/findings.ts';
import { BREAKAGES, HARMLESS, PAIRS } from '../proof/breakages.ts';
import {
  BACKUP,
  type Break,
  bounded,
  inConfiguration,
  inRule,
  MAIN,
  type Pair,
  POLICY_NAME,
  replicaKey,
  replicaKeyOfType,
  replicaKeyState,
  sourceKeyState,
} from '../proof/breaking.ts';
import { changePolicy } from '../support/policies.ts';

/** One change of a working pair, with a label that describes it completely. */
export interface Mutation {
  label: string;
  apply: Break;
}

/** A pair and its changes, in order. */
export interface MutationCase {
  pair: keyof typeof PAIRS;
  mutations: Mutation[];
}

// Policy documents.

/** The documents that decide about the requests of the role, and how to find them. */
const DOCUMENTS: Record<string, (pair: Pair) => PolicyRef> = {
  'trust policy': ({ role }) => ({ kind: 'trust', of: role }),
  'role policy': ({ role }) => ({ kind: 'role', of: role, policy: POLICY_NAME }),
  'source bucket policy': ({ source }) => ({ kind: 'bucket', of: source.bucket }),
  'destination bucket policy': ({ destination }) => ({ kind: 'bucket', of: destination.bucket }),
  'source key policy': ({ source }) => ({ kind: 'key', of: source.key }),
  'replica key policy': ({ destination }) => ({ kind: 'key', of: destination.key }),
};

/** Values that depend on the pair, by placeholder. Labels show the placeholders, so that they are stable. */
const PLACEHOLDERS: Record<string, (pair: Pair) => string> = {
  '{role}': ({ role }) => role,
  '{session}': ({ role }) =>
    `arn:aws:sts::${MAIN}:assumed-role/${role.slice(role.lastIndexOf('/') + 1)}/s3-replication`,
  '{roleId}': (pair) => roleStateOf(pair)?.id ?? '',
  '{source}': ({ source }) => source.arn,
  '{destination}': ({ destination }) => destination.arn,
  '{sourceKey}': ({ source }) => source.key,
  '{replicaKey}': ({ destination }) => destination.key,
};

const roleStateOf = ({ world: { sandbox }, role }: Pair) =>
  sandbox.store.account(MAIN).roles.get(role.slice(role.lastIndexOf('/') + 1).toLowerCase());

/** Returns a value with its placeholders replaced by the names of a pair. */
function fill<T>(value: T, pair: Pair): T {
  const text = Object.entries(PLACEHOLDERS).reduce(
    (json, [placeholder, nameFor]) => json.replaceAll(placeholder, nameFor(pair)),
    JSON.stringify(value),
  );
  return JSON.parse(text) as T;
}

const S3_ACTIONS = [
  's3:*',
  's3:Get*',
  's3:Replicate*',
  's3:replicateobject',
  's3:ReplicateObject',
  's3:ReplicateTags',
  's3:ReplicateDelete',
  's3:GetObjectVersion',
  's3:GetObjectVersion*',
  's3:GetObjectVersionForReplication',
  's3:GetObjectVersionTagging',
  's3:GetObjectVersionAcl',
  's3:GetObjectRetention',
  's3:GetObjectLegalHold',
  's3:GetReplicationConfiguration',
  's3:ListBucket',
  's3:ObjectOwnerOverrideToBucketOwner',
  's3:PutObject',
];
const KMS_ACTIONS = [
  'kms:*',
  'kms:Decrypt',
  'kms:Encrypt',
  'kms:GenerateDataKey*',
  'kms:GenerateDataKey',
  '*',
];
const STS_ACTIONS = ['sts:AssumeRole', 'sts:*', 'sts:TagSession', '*'];

const BUCKET_RESOURCES = (bucket: string) => [
  bucket,
  `${bucket}/*`,
  `${bucket}*`,
  `${bucket}/Tax/*`,
  `${bucket}/Tax/2025/*`,
  `${bucket}/Tax/private/*`,
  `${bucket}/tax/*`,
  `${bucket}/Tax/????`,
  `${bucket}/*-key`,
];
const ROLE_RESOURCES = [
  '*',
  ...BUCKET_RESOURCES('{source}'),
  ...BUCKET_RESOURCES('{destination}'),
  'arn:aws:s3:::*',
  'arn:aws:s3:::acme-*/*',
  '{sourceKey}',
  '{replicaKey}',
  `arn:aws:kms:*:${MAIN}:key/*`,
  'arn:aws:kms:us-east-1:*:key/*',
  `arn:aws:kms:us-west-2:${BACKUP}:key/*`,
];

const PRINCIPALS: Principal[] = [
  '*',
  { AWS: '*' },
  { AWS: '{role}' },
  { AWS: '{session}' },
  { AWS: ['{role}', '{session}'] },
  { AWS: ['{role}', '{session}', `arn:aws:iam::${MAIN}:root`] },
  { AWS: ['{session}', MAIN] },
  { AWS: MAIN },
  { AWS: `arn:aws:iam::${BACKUP}:root` },
  { Service: 's3.amazonaws.com' },
  { AWS: '{role}', Service: 's3.amazonaws.com' },
  { Service: ['batchoperations.s3.amazonaws.com', 's3.amazonaws.com'] },
];

type Condition = NonNullable<Statement['Condition']>;

/** Condition keys with values, some of which the requests meet. Some keys have values that replikey cannot know. */
const CONDITION_VALUES: Record<string, { operators: string[]; values: string[] }> = {
  'aws:SecureTransport': { operators: ['Bool', 'BoolIfExists'], values: ['true', 'false'] },
  'aws:ViaAWSService': { operators: ['Bool', 'BoolIfExists'], values: ['true', 'false'] },
  'aws:PrincipalIsAWSService': { operators: ['Bool', 'BoolIfExists'], values: ['true', 'false'] },
  'aws:MultiFactorAuthPresent': { operators: ['Bool', 'BoolIfExists'], values: ['true', 'false'] },
  'aws:PrincipalArn': {
    operators: ['ArnEquals', 'ArnNotEquals', 'ArnLike', 'StringLike', 'StringNotLike', 'StringEquals'],
    values: ['{role}', `arn:aws:iam::${MAIN}:role/*`, `arn:aws:iam::${MAIN}:role/admin`, '{session}'],
  },
  'aws:PrincipalAccount': { operators: ['StringEquals', 'StringNotEquals'], values: [MAIN, BACKUP] },
  'aws:PrincipalType': { operators: ['StringEquals', 'StringNotEquals'], values: ['AssumedRole', 'User'] },
  'aws:ResourceAccount': { operators: ['StringEquals', 'StringNotEquals'], values: [MAIN, BACKUP] },
  'aws:userId': {
    operators: ['StringLike', 'StringNotLike', 'StringEquals'],
    values: ['{roleId}:*', '{roleId}:s3-replication', 'AROAEXAMPLEEXAMPLE123:*'],
  },
  'aws:RequestedRegion': {
    operators: ['StringEquals', 'StringNotEquals', 'StringLike'],
    values: ['us-east-1', 'us-west-2', 'us-*', 'eu-*'],
  },
  'aws:PrincipalTag/team': {
    operators: ['StringEquals', 'StringNotEquals', 'Null'],
    values: ['tax', 'audit', 'true'],
  },
  'aws:CalledVia': {
    operators: ['ForAnyValue:StringEquals', 'ForAllValues:StringEquals'],
    values: ['s3.amazonaws.com'],
  },
  'aws:SourceAccount': {
    operators: ['StringEquals', 'StringNotEquals', 'StringEqualsIfExists'],
    values: [MAIN, '999988887777'],
  },
  'aws:SourceArn': {
    operators: ['ArnLike', 'ArnEquals', 'ArnLikeIfExists'],
    values: ['{source}', 'arn:aws:s3:::*', 'arn:aws:s3:::other'],
  },
  'aws:SourceVpce': { operators: ['StringEquals', 'StringNotEquals', 'Null'], values: ['vpce-1', 'true'] },
  'aws:SourceIp': { operators: ['IpAddress', 'NotIpAddress'], values: ['203.0.113.0/24', '0.0.0.0/0'] },
  'aws:PrincipalOrgID': { operators: ['StringEquals', 'StringNotEquals'], values: ['o-acme'] },
  'aws:CurrentTime': { operators: ['DateGreaterThan', 'DateLessThan'], values: ['2020-01-01T00:00:00Z'] },
  's3:ResourceAccount': { operators: ['StringEquals', 'StringNotEquals'], values: [MAIN, BACKUP] },
  's3:x-amz-server-side-encryption': {
    operators: ['StringEquals', 'StringNotEquals', 'StringLikeIfExists', 'Null', 'StringNotEqualsIfExists'],
    values: ['aws:kms', 'AES256', 'aws:kms*', 'aws:kms:dsse', 'true', 'false'],
  },
  's3:x-amz-server-side-encryption-aws-kms-key-id': {
    operators: ['StringEquals', 'StringNotEquals', 'ArnLike', 'StringNotEqualsIfExists', 'Null'],
    values: ['{replicaKey}', `arn:aws:kms:us-west-2:${MAIN}:key/other`, 'arn:aws:kms:us-west-2:*:key/*'],
  },
  's3:ExistingObjectTag/team': { operators: ['StringEquals', 'StringNotEquals'], values: ['tax', 'audit'] },
  's3:TlsVersion': { operators: ['NumericLessThan', 'NumericGreaterThanEquals'], values: ['1.2'] },
  'kms:ViaService': {
    operators: ['StringEquals', 'StringNotEquals', 'StringLike', 'StringEqualsIfExists'],
    values: ['s3.us-east-1.amazonaws.com', 's3.us-west-2.amazonaws.com', 's3.*.amazonaws.com'],
  },
  'kms:CallerAccount': { operators: ['StringEquals', 'StringNotEquals'], values: [MAIN, BACKUP] },
  'kms:EncryptionContext:aws:s3:arn': {
    operators: ['StringEquals', 'StringLike', 'StringNotLike', 'ArnLike'],
    values: [
      '{source}',
      '{source}/*',
      '{destination}',
      '{destination}/*',
      '{source}*',
      '{destination}*',
      '*',
    ],
  },
  'kms:EncryptionContextKeys': {
    operators: ['ForAllValues:StringEquals', 'ForAnyValue:StringEquals'],
    values: ['aws:s3:arn', 'other'],
  },
  'kms:GrantIsForAWSResource': { operators: ['Bool', 'BoolIfExists'], values: ['true'] },
};

const oneOf = <T>(...values: T[]) => fc.constantFrom(...values);
const someOf = (values: string[], maxLength = 3): fc.Arbitrary<string | string[]> =>
  fc
    .subarray(values, { minLength: 1, maxLength: Math.min(maxLength, values.length) })
    .map((chosen) => (chosen.length === 1 ? (chosen[0] as string) : chosen));

const condition: fc.Arbitrary<Condition> = fc
  .array(
    oneOf(...Object.entries(CONDITION_VALUES)).chain(([key, { operators, values }]) =>
      fc.record({ key: fc.constant(key), operator: oneOf(...operators), value: someOf(values, 2) }),
    ),
    { minLength: 1, maxLength: 2 },
  )
  .map((parts) => {
    const block: Condition = {};
    for (const { key, operator, value } of parts)
      block[operator] = { ...block[operator], [key]: operator === 'Null' ? 'true' : value };
    return block;
  });

/** What the statements of a document can contain. */
interface Vocabulary {
  actions: string[];
  /** Undefined for a trust policy, whose statements have no Resource. */
  resources?: string[];
  hasPrincipal: boolean;
}

const VOCABULARIES: Record<string, Vocabulary> = {
  'trust policy': { actions: STS_ACTIONS, hasPrincipal: true },
  'role policy': { actions: [...S3_ACTIONS, ...KMS_ACTIONS], resources: ROLE_RESOURCES, hasPrincipal: false },
  'source bucket policy': {
    actions: S3_ACTIONS,
    resources: BUCKET_RESOURCES('{source}'),
    hasPrincipal: true,
  },
  'destination bucket policy': {
    actions: S3_ACTIONS,
    resources: BUCKET_RESOURCES('{destination}'),
    hasPrincipal: true,
  },
  'source key policy': { actions: KMS_ACTIONS, resources: ['*'], hasPrincipal: true },
  'replica key policy': { actions: KMS_ACTIONS, resources: ['*'], hasPrincipal: true },
};

/** Returns statements that a document accepts, also in its negative elements. */
const statement = (
  { actions, resources, hasPrincipal }: Vocabulary,
  effects: Statement['Effect'][],
): fc.Arbitrary<Statement> =>
  fc
    .record({
      Effect: oneOf(...effects),
      action: someOf(actions),
      isNotAction: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      resource: someOf(resources ?? ['*']),
      isNotResource: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      principal: oneOf(...PRINCIPALS),
      isNotPrincipal: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
      Condition: fc.option(condition, { nil: undefined, freq: 2 }),
    })
    .map((parts) => ({
      Effect: parts.Effect,
      ...(hasPrincipal &&
        (parts.isNotPrincipal && parts.Effect === 'Deny' && parts.principal !== '*'
          ? { NotPrincipal: parts.principal }
          : { Principal: parts.principal })),
      ...(parts.isNotAction ? { NotAction: parts.action } : { Action: parts.action }),
      ...(resources &&
        (parts.isNotResource ? { NotResource: parts.resource } : { Resource: parts.resource })),
      ...(parts.Condition && { Condition: parts.Condition }),
    }));

/** Changes one of the existing statements of a document; `at` chooses it. */
const statementChange = ({
  actions,
  resources,
  hasPrincipal,
}: Vocabulary): fc.Arbitrary<{
  label: string;
  change(statement: Statement, pair: Pair): Statement[];
}> =>
  fc.oneof(
    fc.constant({ label: 'removed', change: () => [] }),
    fc.nat({ max: 5 }).map((index) => ({
      label: `without its action ${index}`,
      change: (before: Statement) => {
        const list = [before.Action ?? []].flat();
        return list.length < 2 ? [] : [{ ...before, Action: list.toSpliced(index % list.length, 1) }];
      },
    })),
    someOf(actions, 4).map((Action) => ({
      label: `with ${JSON.stringify({ Action })}`,
      change: ({ NotAction: _, ...before }: Statement) => [{ ...before, Action }],
    })),
    ...(resources
      ? [
          someOf(resources, 2).map((Resource) => ({
            label: `with ${JSON.stringify({ Resource })}`,
            change: ({ NotResource: _, ...before }: Statement, pair: Pair) => [
              { ...before, ...fill({ Resource }, pair) },
            ],
          })),
        ]
      : []),
    ...(hasPrincipal
      ? [
          oneOf(...PRINCIPALS).map((Principal) => ({
            label: `with ${JSON.stringify({ Principal })}`,
            change: ({ NotPrincipal: _, ...before }: Statement, pair: Pair) => [
              { ...before, ...fill({ Principal }, pair) },
            ],
          })),
        ]
      : []),
    condition.map((Condition) => ({
      label: `with ${JSON.stringify({ Condition })} in addition`,
      change: (before: Statement, pair: Pair) => {
        const merged: Condition = { ...before.Condition };
        for (const [operator, keys] of Object.entries(fill(Condition, pair)))
          merged[operator] = { ...merged[operator], ...keys };
        return [{ ...before, Condition: merged }];
      },
    })),
    fc.constant({
      label: 'without its conditions',
      change: ({ Condition: _, ...before }: Statement) => [before],
    }),
    fc.constant({
      label: 'as a Deny',
      change: (before: Statement) => [{ ...before, Effect: 'Deny' as const }],
    }),
  );

const inDocument =
  (document: string, change: (statements: Statement[], pair: Pair) => Statement[]): Break =>
  (pair) =>
    changePolicy(
      pair.world.client,
      pair.locations,
      (DOCUMENTS[document] as (pair: Pair) => PolicyRef)(pair),
      ({ Statement: before, ...policy }): Policy => ({ ...policy, Statement: change([before].flat(), pair) }),
    );

const documentMutation: fc.Arbitrary<Mutation> = oneOf(...Object.entries(VOCABULARIES)).chain(
  ([document, vocabulary]) =>
    fc.oneof(
      fc
        .record({ at: fc.nat({ max: 7 }), statementChange: statementChange(vocabulary) })
        .map(({ at, statementChange: { label, change } }) => ({
          label: `${document}: statement ${at} ${label}`,
          apply: inDocument(document, (statements, pair) => {
            if (statements.length === 0) throw new Error('the document has no statement to change');
            return statements.flatMap((before, index) =>
              index === at % statements.length ? change(before, pair) : [before],
            );
          }),
        })),
      statement(vocabulary, ['Deny', 'Deny', 'Allow']).map((added) => ({
        label: `${document}: also ${JSON.stringify(added)}`,
        apply: inDocument(document, (statements, pair) => [...statements, fill(added, pair)]),
      })),
    ),
);

const boundaryMutation: fc.Arbitrary<Mutation> = fc
  .array(statement(VOCABULARIES['role policy'] as Vocabulary, ['Allow', 'Deny']), { maxLength: 2 })
  .map((statements) => {
    const all: Statement[] = [{ Effect: 'Allow', Action: ['s3:*', 'kms:*'], Resource: '*' }, ...statements];
    return {
      label: `permissions boundary: ${JSON.stringify(all)}`,
      apply: bounded(...all.map((one) => (pair: Pair) => fill(one, pair))),
    };
  });

// Keys.

const sent =
  (
    side: 'source' | 'destination',
    command: (pair: Pair) => Parameters<Pair['world']['client']['send']>[1],
  ): Break =>
  (pair) =>
    pair.world.client.send(pair[side].at, command(pair));

/** Creates a key with the default policy, and an alias for it. */
const newKey = async (pair: Pair, side: 'source' | 'destination', alias: string): Promise<string> => {
  const { client } = pair.world;
  const { at } = pair[side];
  const { KeyMetadata } = await client.send(at, new CreateKeyCommand({}));
  await client.send(at, new CreateAliasCommand({ AliasName: alias, TargetKeyId: KeyMetadata?.KeyId }));
  return KeyMetadata?.Arn ?? '';
};

const withDefault = (
  algorithm: 'aws:kms' | 'aws:kms:dsse' | 'AES256',
  key: string | undefined,
  BucketKeyEnabled: boolean,
): Break =>
  sent('source', (pair) => {
    const KMSMasterKeyID = key === undefined ? undefined : fill(key, pair);
    return new PutBucketEncryptionCommand({
      Bucket: pair.source.bucket,
      ServerSideEncryptionConfiguration: {
        Rules: [
          {
            ApplyServerSideEncryptionByDefault: { SSEAlgorithm: algorithm, KMSMasterKeyID },
            BucketKeyEnabled,
          },
        ],
      },
    });
  });

const KEYS: Mutation[] = [
  {
    label: 'replica key: disabled',
    apply: sent('destination', ({ destination }) => new DisableKeyCommand({ KeyId: destination.key })),
  },
  {
    label: 'replica key: scheduled for deletion',
    apply: sent(
      'destination',
      ({ destination }) => new ScheduleKeyDeletionCommand({ KeyId: destination.key }),
    ),
  },
  {
    label: 'replica key: without material',
    apply: replicaKeyState((key) => void Object.assign(key, { state: 'PendingImport' })),
  },
  {
    label: 'source key: disabled after the objects are written',
    apply: (pair) =>
      afterWrites(
        pair,
        sourceKeyState((key) => void Object.assign(key, { state: 'Disabled' })),
      ),
  },
  {
    label: 'source key: scheduled for deletion after the objects are written',
    apply: (pair) =>
      afterWrites(
        pair,
        sourceKeyState((key) => void Object.assign(key, { state: 'PendingDeletion' })),
      ),
  },
  {
    label: 'replica key: for signatures',
    apply: replicaKeyOfType({ KeyUsage: 'SIGN_VERIFY', KeySpec: 'RSA_2048' }),
  },
  {
    label: 'replica key: asymmetric',
    apply: replicaKeyOfType({ KeyUsage: 'ENCRYPT_DECRYPT', KeySpec: 'RSA_2048' }),
  },
  {
    label: 'replica key: for MACs',
    apply: replicaKeyOfType({ KeyUsage: 'GENERATE_VERIFY_MAC', KeySpec: 'HMAC_256' }),
  },
  {
    label: 'replica key: does not exist',
    apply: replicaKey(() => `arn:aws:kms:us-west-2:${MAIN}:key/0b0b0b0b-0b0b-4b0b-8b0b-0b0b0b0b0b0b`),
  },
  { label: 'replica key: in the Region of the source', apply: replicaKey(({ source }) => source.key) },
  {
    label: 'replica key: by alias',
    apply: replicaKey(() => `arn:aws:kms:us-west-2:${MAIN}:alias/acme-tax-replica`),
  },
  {
    label: 'replica key: by an alias that does not exist',
    apply: replicaKey(() => `arn:aws:kms:us-west-2:${MAIN}:alias/acme-none`),
  },
  {
    label: 'replica key: by the alias of another account',
    apply: replicaKey(() => `arn:aws:kms:us-west-2:${BACKUP}:alias/acme-tax-replica`),
  },
  {
    label: 'replica key: the key that AWS manages',
    apply: replicaKey(() => `arn:aws:kms:us-west-2:${MAIN}:alias/aws/s3`),
  },
  {
    label: 'replica key: a new key',
    apply: async (pair) => {
      const arn = await newKey(pair, 'destination', 'alias/acme-new');
      await replicaKey(() => arn)(pair);
    },
  },
  {
    label: 'default encryption: the source key by alias',
    apply: withDefault('aws:kms', 'alias/acme-tax', true),
  },
  {
    label: 'default encryption: the source key by the ARN of its alias',
    apply: withDefault('aws:kms', `arn:aws:kms:us-east-1:${MAIN}:alias/acme-tax`, false),
  },
  { label: 'default encryption: DSSE-KMS', apply: withDefault('aws:kms:dsse', '{sourceKey}', false) },
  {
    label: 'default encryption: SSE-KMS without a Bucket Key',
    apply: withDefault('aws:kms', '{sourceKey}', false),
  },
  { label: 'default encryption: SSE-S3', apply: withDefault('AES256', undefined, false) },
  { label: 'default encryption: the key that AWS manages', apply: withDefault('aws:kms', undefined, true) },
  {
    label: 'default encryption: none',
    apply: sent('source', ({ source }) => new DeleteBucketEncryptionCommand({ Bucket: source.bucket })),
  },
  {
    label: 'default encryption: a new key',
    apply: async (pair) => {
      const arn = await newKey(pair, 'source', 'alias/acme-new');
      await withDefault('aws:kms', arn, true)(pair);
    },
  },
];

/** Lets a change happen after the objects are written, and before S3 replicates them. */
function afterWrites(pair: Pair, change: Break): void {
  pair.meanwhile = () => void change(pair);
}

// Buckets.

const versioned = (side: 'source' | 'destination', Status: 'Enabled' | 'Suspended'): Break =>
  sent(
    side,
    (pair) =>
      new PutBucketVersioningCommand({ Bucket: pair[side].bucket, VersioningConfiguration: { Status } }),
  );
const locked = (side: 'source' | 'destination', DefaultRetention?: DefaultRetention): Break =>
  sent(
    side,
    (pair) =>
      new PutObjectLockConfigurationCommand({
        Bucket: pair[side].bucket,
        ObjectLockConfiguration: {
          ObjectLockEnabled: 'Enabled',
          ...(DefaultRetention && { Rule: { DefaultRetention } }),
        },
      }),
  );
const owned = (
  side: 'source' | 'destination',
  ObjectOwnership: 'ObjectWriter' | 'BucketOwnerPreferred',
): Break =>
  sent(
    side,
    (pair) =>
      new PutBucketOwnershipControlsCommand({
        Bucket: pair[side].bucket,
        OwnershipControls: { Rules: [{ ObjectOwnership }] },
      }),
  );
const publicAccess = (side: 'source' | 'destination', isBlocked: boolean): Break =>
  sent(
    side,
    (pair) =>
      new PutPublicAccessBlockCommand({
        Bucket: pair[side].bucket,
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: isBlocked,
          IgnorePublicAcls: isBlocked,
          // A public policy that exists is not refused.
          BlockPublicPolicy: false,
          RestrictPublicBuckets: isBlocked,
        },
      }),
  );
const deleted = sent(
  'destination',
  ({ destination }) => new DeleteBucketCommand({ Bucket: destination.bucket }),
);
const recreated = sent(
  'destination',
  ({ destination }) =>
    new CreateBucketCommand({
      Bucket: destination.bucket,
      CreateBucketConfiguration: { LocationConstraint: 'us-west-2' },
    }),
);
const inOrder =
  (...breaks: Break[]): Break =>
  async (pair) => {
    for (const apply of breaks) await apply(pair);
  };

const SETTINGS: Mutation[] = [
  { label: 'destination: versioning suspended', apply: versioned('destination', 'Suspended') },
  { label: 'destination: deleted', apply: deleted },
  { label: 'destination: recreated without versioning', apply: inOrder(deleted, recreated) },
  {
    label: 'destination: recreated with versioning',
    apply: inOrder(deleted, recreated, versioned('destination', 'Enabled')),
  },
  { label: 'source: Object Lock', apply: locked('source') },
  {
    label: 'source: Object Lock with default retention',
    apply: locked('source', { Mode: 'GOVERNANCE', Days: 1 }),
  },
  { label: 'destination: Object Lock', apply: locked('destination') },
  { label: 'both: Object Lock', apply: inOrder(locked('source'), locked('destination')) },
  {
    label: 'both: Object Lock with default retention',
    apply: inOrder(
      locked('source', { Mode: 'COMPLIANCE', Days: 1 }),
      locked('destination', { Mode: 'COMPLIANCE', Days: 1 }),
    ),
  },
  { label: 'source: ObjectWriter', apply: owned('source', 'ObjectWriter') },
  { label: 'source: BucketOwnerPreferred', apply: owned('source', 'BucketOwnerPreferred') },
  { label: 'destination: ObjectWriter', apply: owned('destination', 'ObjectWriter') },
  { label: 'destination: public access allowed', apply: publicAccess('destination', false) },
  { label: 'destination: public buckets restricted', apply: publicAccess('destination', true) },
  {
    label: 'role: tag team=tax',
    apply: sent(
      'source',
      ({ role }) =>
        new TagRoleCommand({
          RoleName: role.slice(role.lastIndexOf('/') + 1),
          Tags: [{ Key: 'team', Value: 'tax' }],
        }),
    ),
  },
];

// Rules.

const withDestination = (parts: Partial<NonNullable<ReplicationRule['Destination']>>): Break =>
  inRule(({ Destination }) => ({ Destination: { Bucket: Destination?.Bucket, ...Destination, ...parts } }));
const TAG = { Key: 'team', Value: 'tax' };

const RULES: Mutation[] = [
  ...['', 'Tax', 'Tax/2025/', 'tax/', '/Tax/', 'Tax/*', '*', 'Tax/*/', 'Other/', 'Tax/bucket-key'].map(
    (Prefix) => ({
      label: `rule: prefix "${Prefix}"`,
      apply: inRule(() => ({ Filter: { Prefix } })),
    }),
  ),
  {
    label: 'rule: tag filter',
    apply: inRule(() => ({ Filter: { Tag: TAG }, DeleteMarkerReplication: { Status: 'Disabled' } })),
  },
  {
    label: 'rule: prefix and tag filter',
    apply: inRule(() => ({
      Filter: { And: { Prefix: 'Tax/', Tags: [TAG] } },
      DeleteMarkerReplication: { Status: 'Disabled' },
    })),
  },
  {
    label: 'rule: filter of another tag',
    apply: inRule(() => ({
      Filter: { Tag: { Key: 'team', Value: 'audit' } },
      DeleteMarkerReplication: { Status: 'Disabled' },
    })),
  },
  { label: 'rule: disabled', apply: inRule(() => ({ Status: 'Disabled' })) },
  {
    label: 'rule: version V1',
    apply: inConfiguration(([rule]) => {
      const { Filter: _, Priority: __, DeleteMarkerReplication: ___, ...rest } = rule as ReplicationRule;
      return { Rules: [{ ...rest, Prefix: 'Tax/' }] };
    }),
  },
  {
    label: 'rule: with delete markers',
    apply: inRule(() => ({ DeleteMarkerReplication: { Status: 'Enabled' } })),
  },
  {
    label: 'rule: without delete markers',
    apply: inRule(() => ({ DeleteMarkerReplication: { Status: 'Disabled' } })),
  },
  {
    label: 'rule: without KMS selection',
    apply: inRule(({ Destination }) => ({
      SourceSelectionCriteria: undefined,
      Destination: { ...Destination, Bucket: Destination?.Bucket, EncryptionConfiguration: undefined },
    })),
  },
  {
    label: 'rule: KMS selection disabled',
    apply: inRule(() => ({ SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Disabled' } } })),
  },
  {
    label: 'rule: with KMS selection',
    apply: inRule(({ Destination }, { destination }) => ({
      SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
      Destination: {
        ...Destination,
        Bucket: Destination?.Bucket,
        EncryptionConfiguration: { ReplicaKmsKeyID: destination.key },
      },
    })),
  },
  {
    label: 'rule: with replica modifications',
    apply: inRule(({ SourceSelectionCriteria }) => ({
      SourceSelectionCriteria: { ...SourceSelectionCriteria, ReplicaModifications: { Status: 'Enabled' } },
    })),
  },
  {
    label: 'rule: owner of the same account',
    apply: withDestination({ Account: MAIN, AccessControlTranslation: { Owner: 'Destination' } }),
  },
  {
    label: 'rule: owner of the other account',
    apply: withDestination({ Account: BACKUP, AccessControlTranslation: { Owner: 'Destination' } }),
  },
  {
    label: 'rule: without an owner change',
    apply: withDestination({ Account: undefined, AccessControlTranslation: undefined }),
  },
  {
    label: 'rule: without metrics',
    apply: withDestination({ Metrics: undefined, ReplicationTime: undefined }),
  },
  { label: 'rule: storage class GLACIER', apply: withDestination({ StorageClass: 'GLACIER' }) },
  ...[
    { Prefix: '' },
    { Prefix: 'Tax/2025/' },
    { Prefix: 'Other/' },
    { Tag: TAG },
    { And: { Prefix: 'Tax/', Tags: [TAG] } },
  ].flatMap((Filter) =>
    [true, false].flatMap((selectsKms) =>
      (['Enabled', 'Disabled'] as const).map((Status) => ({
        label: `second rule: priority 9, ${Status}, ${selectsKms ? 'with' : 'without'} KMS selection, ${JSON.stringify(Filter)}`,
        apply: inConfiguration((rules, { destination }) => ({
          Rules: [
            ...rules,
            {
              ID: 'second',
              Status,
              Priority: 9,
              Filter,
              DeleteMarkerReplication: { Status: 'Disabled' as const },
              ...(selectsKms && {
                SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' as const } },
              }),
              Destination: {
                Bucket: destination.arn,
                Metrics: { Status: 'Enabled' as const },
                ...(selectsKms && { EncryptionConfiguration: { ReplicaKmsKeyID: destination.key } }),
              },
            },
          ],
        })),
      })),
    ),
  ),
];

/** The breakages and harmless changes of the catalogue, which other tests examine one by one. */
const CATALOGUE: (Mutation & { pair: keyof typeof PAIRS })[] = [
  ...Object.values(BREAKAGES).flat(),
  ...HARMLESS,
]
  .filter((row) => !('meanwhile' in row && row.meanwhile))
  .map(({ when, breaks, pair = 'in one account' }) => ({ label: when, apply: breaks, pair }));

const PAIR_NAMES = Object.keys(PAIRS) as (keyof typeof PAIRS)[];
const PLAIN_MUTATIONS = [...KEYS, ...SETTINGS, ...RULES];

const setting = oneOf(...PLAIN_MUTATIONS);
const mutation = fc.oneof(
  { weight: 6, arbitrary: documentMutation },
  { weight: 1, arbitrary: boundaryMutation },
  { weight: 4, arbitrary: setting },
);

const randomCase: fc.Arbitrary<MutationCase> = oneOf(...PAIR_NAMES).chain((pair) =>
  fc.record({
    pair: fc.constant(pair),
    mutations: fc.oneof(
      { weight: 5, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 2 }) },
      { weight: 1, arbitrary: fc.array(mutation, { minLength: 3, maxLength: 3 }) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(oneOf(...CATALOGUE.filter((row) => row.pair === pair), ...PLAIN_MUTATIONS), mutation)
          .map((mutations) => mutations),
      },
    ),
  }),
);

/** Every setting alone, on every pair. */
const SINGLE_CASES: MutationCase[] = PAIR_NAMES.flatMap((pair) =>
  [...PLAIN_MUTATIONS, ...CATALOGUE.filter((row) => row.pair === pair)].map((one) => ({
    pair,
    mutations: [one],
  })),
);

/** Returns a case by its number: first every setting alone, and then random ones, which the seed determines. */
export function caseOf(number: number, seed: number): MutationCase {
  const single = SINGLE_CASES[number];
  if (single) return single;
  const [random] = fc.sample(randomCase, { numRuns: 1, seed: seed + number * 1_000_003 });
  if (!random) throw new Error('fast-check returned no case');
  return random;
}
