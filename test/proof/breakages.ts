import { CreateKeyCommand, DisableKeyCommand, ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteBucketPolicyCommand,
  DeleteBucketReplicationCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
  PutPublicAccessBlockCommand,
} from '@aws-sdk/client-s3';
import type { FindingCode } from '../../src/proof/findings.ts';
import { TAX_SPEC } from '../support/env.ts';
import {
  adding,
  BACKUP,
  type Break,
  bounded,
  denying,
  expecting,
  having,
  inConfiguration,
  inReplicaBucketPolicy,
  inReplicaKeyPolicy,
  inRolePolicy,
  inRule,
  inSourceBucketPolicy,
  inSourceKeyPolicy,
  inTrustPolicy,
  keysLeftToTheAccount,
  keysOfTheRootUser,
  lacking,
  MAIN,
  replicaKey,
  replicaKeyOfType,
  replicaKeyState,
  replicas,
  roleRecreated,
  sourceBucketState,
  sourceDefault,
  sourceKeyLost,
  sourceKeyState,
  sourceObjects,
  theKey,
  theRole,
  together,
  without,
  withoutRole,
  withoutRolePolicy,
} from './breaking.ts';

/**
 * Each row breaks one setting of a working pair. The sandbox then replicates as S3 does, and returns the failure reason.
 * The doctor must report the same cause, and its fixes must correct it.
 */
export interface Breakage {
  /** The breakage, for the test title. */
  when: string;
  breaks: Break;
  /** The doctor's first finding. S3's failure reason goes with it. */
  code: FindingCode;
  /** The pair; by default a pair in one account, whose role policy alone allows the use of the keys. */
  pair?: keyof typeof PAIRS;
  /** The affected object; by default an object under the source key with a Bucket Key. */
  object?: keyof typeof OBJECTS;
  /** The object key, if the breakage affects only some keys. */
  key?: string;
  /** S3 skips the object without a status. */
  passedOver?: true;
  /**
   * The breakage occurs between a write and its replication. The test changes the memory of the sandbox, because no call
   * is fast enough.
   */
  meanwhile?: true;
  /** The reason why the doctor prints no fix. */
  byHand?: string;
}

const RULE = (setting: string, yaml = TAX_SPEC): string =>
  yaml.replace('prefix: Tax/', `prefix: Tax/\n      ${setting}`);
const SOURCE = (setting: string): string =>
  TAX_SPEC.replace('key: alias/acme-tax }', `key: alias/acme-tax, ${setting} }`);

const ACROSS = `apiVersion: replikey.dev/v1
kind: Account
metadata: { name: main }
spec: { id: "${MAIN}" }
---
apiVersion: replikey.dev/v1
kind: Account
metadata: { name: backup }
spec: { id: "${BACKUP}" }
---
${TAX_SPEC.replace('us-east-1,', 'us-east-1, account: main,').replace('us-west-2,', 'us-west-2, account: backup,')}`;

/** The pairs: a spec, and a preparation that lets one policy alone decide. */
export const PAIRS = {
  'in one account': { yaml: TAX_SPEC, prepare: keysLeftToTheAccount },
  'whose key policies name the role': {
    yaml: TAX_SPEC,
    prepare: together(keysOfTheRootUser, inRolePolicy(without('SourceKey'), without('DestinationKey'))),
  },
  'whose keys and role both allow it': { yaml: TAX_SPEC, prepare: keysOfTheRootUser },
  'that replicates delete markers': { yaml: RULE('deleteMarkerReplication: true') },
  'without Bucket Keys': {
    yaml: TAX_SPEC.replaceAll(/key: (alias\/[a-z-]+)/g, 'key: { alias: $1, bucketKey: false }'),
    prepare: keysLeftToTheAccount,
  },
  'that is encrypted by S3 itself': { yaml: SOURCE('defaultEncryption: SSE-S3') },
  'that is encrypted twice': {
    yaml: TAX_SPEC.replaceAll(
      /key: (alias\/[a-z-]+)/g,
      'key: { alias: $1, bucketKey: false }, defaultEncryption: DSSE-KMS',
    ),
  },
  'of plain objects alone': {
    yaml: RULE('sseKmsEncryptedObjects: false', SOURCE('defaultEncryption: SSE-S3')),
  },
  'of whole buckets': { yaml: TAX_SPEC.replace('Tax/', '""') },
  'whose role has a path': {
    yaml: TAX_SPEC.replace('  rules:', '  role: { name: replicator, path: /service-role/ }\n  rules:'),
  },
  'across accounts': { yaml: RULE('deleteMarkerReplication: true', ACROSS) },
} satisfies Record<string, { yaml: string; prepare?: Break }>;

/** The parameters of a written object. */
export const OBJECTS = {
  'with a Bucket Key': { ServerSideEncryption: 'aws:kms', BucketKeyEnabled: true },
  'without a Bucket Key': { ServerSideEncryption: 'aws:kms', BucketKeyEnabled: false },
  'encrypted as the bucket has it': {},
  'encrypted by S3 itself': { ServerSideEncryption: 'AES256' },
  'with tags': { Tagging: 'team=tax' },
  'with tags, without a Bucket Key': {
    Tagging: 'team=tax',
    ServerSideEncryption: 'aws:kms',
    BucketKeyEnabled: false,
  },
  'a delete marker': {},
} as const;

const NOT_OUR_ADMIN = { 'aws:PrincipalArn': `arn:aws:iam::${MAIN}:role/admin` };
const OTHER_KEY = `arn:aws:kms:us-west-2:${MAIN}:key/0b0b0b0b-0b0b-4b0b-8b0b-0b0b0b0b0b0b`;

const statements: Breakage[] = [
  {
    when: 'the role policy has no statement for the source bucket',
    breaks: inRolePolicy(without('SourceBucket')),
    code: 'RK1303',
  },
  {
    when: 'the role policy has no statement for source objects',
    breaks: inRolePolicy(without('SourceObjects')),
    code: 'RK1304',
  },
  {
    when: 'the role policy has no statement for the source key',
    breaks: inRolePolicy(without('SourceKey')),
    code: 'RK1307',
  },
  {
    when: 'the role policy has no statement for replicas',
    breaks: inRolePolicy(without('DestinationObjects')),
    code: 'RK1308',
  },
  {
    when: 'the role policy has no statement for the replica key',
    breaks: inRolePolicy(without('DestinationKey')),
    code: 'RK1313',
  },
  {
    when: 'the role policy has no statement for the replica key',
    breaks: inRolePolicy(without('DestinationKey')),
    pair: 'without Bucket Keys',
    object: 'encrypted as the bucket has it',
    code: 'RK1312',
  },
  {
    when: 'the role policy has no statement for delete markers',
    breaks: inRolePolicy(without('DestinationDeletes')),
    pair: 'that replicates delete markers',
    object: 'a delete marker',
    code: 'RK1310',
  },
  {
    when: 'the role has no policy',
    breaks: withoutRolePolicy,
    code: 'RK1303',
  },
];

const readingPlainly = inRolePolicy(
  having('SourceObjects', () => ({
    Action: ['s3:GetObjectVersion', 's3:GetObjectVersionAcl', 's3:GetObjectVersionTagging'],
  })),
);

const actions: Breakage[] = [
  {
    when: 'the role may not read the replication configuration',
    breaks: inRolePolicy(lacking('SourceBucket', 's3:GetReplicationConfiguration')),
    code: 'RK1303',
  },
  {
    when: 'the role may not list the source bucket',
    breaks: inRolePolicy(lacking('SourceBucket', 's3:ListBucket')),
    code: 'RK1303',
  },
  {
    when: 'the role may not read versions for replication',
    breaks: inRolePolicy(lacking('SourceObjects', 's3:GetObjectVersionForReplication')),
    code: 'RK1304',
  },
  {
    when: 'the role has s3:GetObjectVersion, which is insufficient for KMS-encrypted objects',
    breaks: readingPlainly,
    code: 'RK1304',
  },
  {
    when: 'the role has s3:GetObjectVersion, and some objects are KMS-encrypted',
    breaks: readingPlainly,
    pair: 'that is encrypted by S3 itself',
    object: 'without a Bucket Key',
    code: 'RK1304',
  },
  {
    when: 'the role may not read ACLs',
    breaks: inRolePolicy(lacking('SourceObjects', 's3:GetObjectVersionAcl')),
    code: 'RK1305',
  },
  {
    when: 'the role may not read tags',
    breaks: inRolePolicy(lacking('SourceObjects', 's3:GetObjectVersionTagging')),
    object: 'with tags',
    code: 'RK1306',
  },
  {
    when: 'the role may not write replicas',
    breaks: inRolePolicy(lacking('DestinationObjects', 's3:ReplicateObject')),
    code: 'RK1308',
  },
  {
    when: 'the role has s3:PutObject, which replication does not use',
    breaks: inRolePolicy(
      having('DestinationObjects', () => ({ Action: ['s3:PutObject', 's3:PutObjectTagging'] })),
    ),
    code: 'RK1308',
  },
  {
    when: 'the role may not encrypt with the replica key',
    breaks: inRolePolicy(lacking('DestinationKey', 'kms:Encrypt')),
    code: 'RK1312',
  },
  {
    when: 'the role has only kms:Encrypt on the replica key, which is insufficient for a Bucket Key',
    breaks: inRolePolicy(having('DestinationKey', () => ({ Action: 'kms:Encrypt' }))),
    code: 'RK1313',
  },
  {
    when: 'the role may not create a Bucket Key',
    breaks: inRolePolicy(lacking('DestinationKey', 'kms:GenerateDataKey')),
    code: 'RK1313',
  },
  {
    when: 'the role may not check a Bucket Key',
    breaks: inRolePolicy(lacking('DestinationKey', 'kms:Decrypt')),
    code: 'RK1313',
  },
  {
    when: 'the role may only use Bucket Keys',
    breaks: inRolePolicy(
      having('DestinationKey', () => ({ Action: ['kms:GenerateDataKey', 'kms:Decrypt'] })),
    ),
    object: 'without a Bucket Key',
    code: 'RK1312',
  },
  {
    when: 'the actions on the two keys are swapped',
    breaks: inRolePolicy(
      having('SourceKey', () => ({ Action: ['kms:Encrypt'] })),
      having('DestinationKey', () => ({ Action: ['kms:Decrypt'] })),
    ),
    code: 'RK1307',
  },
];

const conditions: Breakage[] = [
  {
    when: 'kms:ViaService of the source key names the Region of the destination',
    breaks: inRolePolicy(expecting('SourceKey', 'ViaService', () => 's3.us-west-2.amazonaws.com')),
    code: 'RK1307',
  },
  {
    when: 'kms:ViaService of the replica key names the Region of the source',
    breaks: inRolePolicy(expecting('DestinationKey', 'ViaService', () => 's3.us-east-1.amazonaws.com')),
    code: 'RK1313',
  },
  {
    when: 'kms:ViaService names S3 without a Region',
    breaks: inRolePolicy(expecting('SourceKey', 'ViaService', () => 's3.amazonaws.com')),
    code: 'RK1307',
  },
  {
    when: 'the context of the source key is only the bucket, as in the AWS walkthrough',
    breaks: inRolePolicy(expecting('SourceKey', 'Context', ({ source }) => source.arn)),
    object: 'without a Bucket Key',
    code: 'RK1307',
  },
  {
    when: 'the context of the source key is only the bucket, as in the AWS walkthrough',
    breaks: inRolePolicy(expecting('SourceKey', 'Context', ({ source }) => source.arn)),
    pair: 'without Bucket Keys',
    object: 'encrypted as the bucket has it',
    code: 'RK1307',
  },
  {
    when: 'the context of the source key is only the objects',
    breaks: inRolePolicy(expecting('SourceKey', 'Context', sourceObjects())),
    code: 'RK1307',
  },
  {
    when: 'the context of the replica key is only the bucket',
    breaks: inRolePolicy(expecting('DestinationKey', 'Context', ({ destination }) => destination.arn)),
    object: 'without a Bucket Key',
    code: 'RK1312',
  },
  {
    when: 'the context of the replica key is only the objects',
    breaks: inRolePolicy(expecting('DestinationKey', 'Context', replicas())),
    code: 'RK1313',
  },
  {
    when: 'the context of the source key is that of the other bucket',
    breaks: inRolePolicy(
      expecting('SourceKey', 'Context', ({ destination }) => [destination.arn, `${destination.arn}/*`]),
    ),
    code: 'RK1307',
  },
  {
    when: 'the context of the replica key is that of the other bucket',
    breaks: inRolePolicy(
      expecting('DestinationKey', 'Context', ({ source }) => [source.arn, `${source.arn}/*`]),
    ),
    code: 'RK1313',
  },
  {
    when: 'the context of the source key has the prefix in small letters',
    breaks: inRolePolicy(expecting('SourceKey', 'Context', sourceObjects('tax/'))),
    object: 'without a Bucket Key',
    code: 'RK1307',
  },
  {
    when: 'the context of the source key covers half the prefix',
    breaks: inRolePolicy(
      expecting('SourceKey', 'Context', ({ source }) => [source.arn, `${source.arn}/Tax/2025/*`]),
    ),
    object: 'without a Bucket Key',
    key: 'Tax/2026/report.pdf',
    code: 'RK1307',
  },
  {
    when: 'the condition key of the context is misspelt, as on a page of AWS',
    breaks: inRolePolicy(
      having('SourceKey', ({ source }) => ({
        Condition: { StringLike: { 'kms:EncryptionContext:arn:aws:arn': source.arn } },
      })),
    ),
    code: 'RK1307',
  },
  {
    when: 'the context is compared with StringEquals and contains a wildcard',
    breaks: inRolePolicy(
      having('SourceKey', ({ source }) => ({
        Condition: { StringEquals: { 'kms:EncryptionContext:aws:s3:arn': `${source.arn}/*` } },
      })),
    ),
    object: 'without a Bucket Key',
    code: 'RK1307',
  },
  {
    when: 'the role may write replicas only with SSE-S3',
    breaks: inRolePolicy(
      having('DestinationObjects', () => ({
        Condition: { StringEquals: { 's3:x-amz-server-side-encryption': 'AES256' } },
      })),
    ),
    code: 'RK1308',
  },
  {
    when: 'the role may write replicas only with SSE-KMS, as in the AWS walkthrough',
    breaks: inRolePolicy(
      having('DestinationObjects', () => ({
        Action: 's3:ReplicateObject',
        Condition: { StringLikeIfExists: { 's3:x-amz-server-side-encryption': ['aws:kms', 'AES256'] } },
      })),
      adding((pair) => ({ Effect: 'Allow', Action: 's3:ReplicateTags', Resource: replicas()(pair) })),
    ),
    pair: 'that is encrypted twice',
    object: 'encrypted as the bucket has it',
    code: 'RK1308',
  },
  {
    when: 'the role may write replicas only with another key',
    breaks: inRolePolicy(
      having('DestinationObjects', () => ({
        Condition: { StringEquals: { 's3:x-amz-server-side-encryption-aws-kms-key-id': OTHER_KEY } },
      })),
    ),
    code: 'RK1308',
  },
  {
    when: 'the role may read only through a VPC endpoint',
    breaks: inRolePolicy(
      having('SourceObjects', () => ({ Condition: { StringEquals: { 'aws:SourceVpce': 'vpce-1' } } })),
    ),
    code: 'RK1304',
  },
  {
    when: 'the role may write only from the addresses of an office',
    breaks: inRolePolicy(
      having('DestinationObjects', () => ({
        Condition: { IpAddress: { 'aws:SourceIp': '203.0.113.0/24' } },
      })),
    ),
    code: 'RK1308',
  },
  {
    when: 'the role policy allows the source key only for another account',
    breaks: inRolePolicy(
      having('SourceKey', () => ({ Condition: { StringEquals: { 'kms:CallerAccount': BACKUP } } })),
    ),
    code: 'RK1307',
  },
  {
    when: 'the role policy allows the source key only from the addresses of an office',
    breaks: inRolePolicy(
      having('SourceKey', () => ({ Condition: { IpAddress: { 'aws:SourceIp': '203.0.113.0/24' } } })),
    ),
    code: 'RK1307',
  },
];

const resources: Breakage[] = [
  {
    when: 'the role may read only half the prefix',
    breaks: inRolePolicy(having('SourceObjects', (pair) => ({ Resource: sourceObjects('Tax/2025/')(pair) }))),
    code: 'RK1304',
  },
  {
    when: 'the role may write only half the prefix',
    breaks: inRolePolicy(having('DestinationObjects', (pair) => ({ Resource: replicas('Tax/2025/')(pair) }))),
    code: 'RK1308',
  },
  {
    when: 'the role may read objects of another bucket',
    breaks: inRolePolicy(having('SourceObjects', () => ({ Resource: 'arn:aws:s3:::acme-taxes/*' }))),
    code: 'RK1304',
  },
  {
    when: 'the role may write to another bucket',
    breaks: inRolePolicy(having('DestinationObjects', () => ({ Resource: 'arn:aws:s3:::acme-taxes/*' }))),
    code: 'RK1308',
  },
  {
    when: 'the actions on the source bucket are granted on its objects',
    breaks: inRolePolicy(having('SourceBucket', (pair) => ({ Resource: sourceObjects()(pair) }))),
    code: 'RK1303',
  },
  {
    when: 'the actions on objects are granted on their bucket',
    breaks: inRolePolicy(having('SourceObjects', ({ source }) => ({ Resource: source.arn }))),
    code: 'RK1304',
  },
  {
    when: 'the actions on replicas are granted on their bucket',
    breaks: inRolePolicy(having('DestinationObjects', ({ destination }) => ({ Resource: destination.arn }))),
    code: 'RK1308',
  },
  {
    when: 'the source key is named by its alias',
    breaks: inRolePolicy(
      having('SourceKey', () => ({ Resource: `arn:aws:kms:us-east-1:${MAIN}:alias/acme-tax` })),
    ),
    code: 'RK1307',
  },
  {
    when: 'the role may use the replica key for the source',
    breaks: inRolePolicy(having('SourceKey', ({ destination }) => ({ Resource: destination.key }))),
    code: 'RK1307',
  },
  {
    when: 'the role may use the source key for replicas',
    breaks: inRolePolicy(having('DestinationKey', ({ source }) => ({ Resource: source.key }))),
    code: 'RK1313',
  },
  {
    when: 'the role may use a deleted replica key',
    breaks: inRolePolicy(having('DestinationKey', () => ({ Resource: OTHER_KEY }))),
    code: 'RK1313',
  },
  {
    when: 'the name of the source bucket is misspelt',
    breaks: inRolePolicy(having('SourceBucket', () => ({ Resource: 'arn:aws:s3:::acme-taxes' }))),
    code: 'RK1303',
  },
  {
    when: 'the role may read under the prefix in small letters',
    breaks: inRolePolicy(having('SourceObjects', (pair) => ({ Resource: sourceObjects('tax/')(pair) }))),
    code: 'RK1304',
  },
  {
    when: 'the role may read under the prefix with a slash before it',
    breaks: inRolePolicy(having('SourceObjects', (pair) => ({ Resource: sourceObjects('/Tax/')(pair) }))),
    code: 'RK1304',
  },
  {
    when: 'the role may write to the source in place of the destination',
    breaks: inRolePolicy(having('DestinationObjects', (pair) => ({ Resource: sourceObjects()(pair) }))),
    code: 'RK1308',
  },
  {
    when: 'the role may use keys of another account for the source',
    breaks: inRolePolicy(having('SourceKey', () => ({ Resource: `arn:aws:kms:us-east-1:${BACKUP}:key/*` }))),
    code: 'RK1307',
  },
  {
    when: 'the role may use keys of another Region for replicas',
    breaks: inRolePolicy(
      having('DestinationKey', () => ({ Resource: `arn:aws:kms:us-east-1:${MAIN}:key/*` })),
    ),
    code: 'RK1313',
  },
];

const trust: Breakage[] = [
  {
    when: 'the role trusts another service',
    breaks: inTrustPolicy(having('AssumeRole', () => ({ Principal: { Service: 'ec2.amazonaws.com' } }))),
    code: 'RK1301',
  },
  {
    when: 'the role trusts only S3 Batch Operations',
    breaks: inTrustPolicy(
      having('AssumeRole', () => ({ Principal: { Service: 'batchoperations.s3.amazonaws.com' } })),
    ),
    code: 'RK1301',
  },
  {
    when: 'the role trusts its account, and no service',
    breaks: inTrustPolicy(having('AssumeRole', () => ({ Principal: { AWS: MAIN } }))),
    code: 'RK1301',
  },
  {
    when: 'the trust policy denies every principal',
    breaks: inTrustPolicy(adding(() => ({ Effect: 'Deny', Principal: '*', Action: 'sts:AssumeRole' }))),
    code: 'RK1301',
  },
  {
    when: 'the role is deleted',
    breaks: withoutRole,
    code: 'RK1302',
    byHand: 'a role needs several calls; reconcile --once creates it',
  },
  {
    when: 'the configuration names a role that never existed',
    breaks: inConfiguration((Rules, { role }) => ({ Rules, Role: `${role}s` })),
    code: 'RK1302',
    byHand: 'the intended role is unknown',
  },
  {
    when: 'the role was recreated, so the key policies name a deleted principal',
    breaks: roleRecreated,
    pair: 'whose keys and role both allow it',
    code: 'RK1307',
  },
  {
    when: 'the trust policy allows only sts:TagSession',
    breaks: inTrustPolicy(having('AssumeRole', () => ({ Action: 'sts:TagSession' }))),
    code: 'RK1301',
  },
  {
    when: 'the trust policy requires an external id, which S3 does not send',
    breaks: inTrustPolicy(
      having('AssumeRole', () => ({ Condition: { StringEquals: { 'sts:ExternalId': 'acme' } } })),
    ),
    code: 'RK1301',
  },
];

const kmsAlone = inReplicaBucketPolicy(
  denying(['s3:PutObject', 's3:ReplicateObject'], replicas(), () => ({
    Condition: { StringNotEquals: { 's3:x-amz-server-side-encryption': 'aws:kms' } },
  })),
);

const denials: Breakage[] = [
  {
    when: 'the role policy denies a part of the prefix',
    breaks: inRolePolicy(denying('s3:ReplicateObject', replicas('Tax/private/'))),
    key: 'Tax/private/2026.pdf',
    code: 'RK1308',
  },
  {
    when: 'the role policy denies all KMS actions',
    breaks: inRolePolicy(denying('kms:*', theKey)),
    code: 'RK1307',
  },
  {
    when: 'the role policy denies everything except reading',
    breaks: inRolePolicy(
      adding(() => ({ Effect: 'Deny', NotAction: ['s3:Get*', 's3:List*', 'kms:*'], Resource: '*' })),
    ),
    code: 'RK1308',
  },
  {
    when: 'the source bucket policy denies the role to list',
    breaks: inSourceBucketPolicy(denying('s3:ListBucket', ({ source }) => source.arn, theRole)),
    code: 'RK1303',
  },
  {
    when: 'the source bucket policy denies reading for replication',
    breaks: inSourceBucketPolicy(denying('s3:GetObjectVersionForReplication', sourceObjects())),
    code: 'RK1304',
  },
  {
    when: 'the source bucket policy denies reading ACLs',
    breaks: inSourceBucketPolicy(denying('s3:GetObjectVersionAcl', sourceObjects())),
    code: 'RK1305',
  },
  {
    when: 'the source bucket policy denies reading tags',
    breaks: inSourceBucketPolicy(denying('s3:GetObjectVersionTagging', sourceObjects())),
    object: 'with tags',
    code: 'RK1306',
  },
  {
    when: 'the source bucket policy allows a part of the prefix only through a VPC endpoint',
    breaks: inSourceBucketPolicy(
      denying('s3:GetObjectVersion*', sourceObjects('Tax/private/'), () => ({
        Condition: { StringNotEquals: { 'aws:SourceVpce': 'vpce-1' } },
      })),
    ),
    key: 'Tax/private/2026.pdf',
    code: 'RK1304',
  },
  {
    when: 'the destination bucket policy denies replicas',
    breaks: inReplicaBucketPolicy(denying('s3:ReplicateObject', replicas())),
    code: 'RK1308',
  },
  {
    when: 'the destination bucket policy denies tags of replicas',
    breaks: inReplicaBucketPolicy(denying('s3:ReplicateTags', replicas())),
    object: 'with tags',
    code: 'RK1309',
  },
  {
    when: 'the destination bucket policy denies delete markers',
    breaks: inReplicaBucketPolicy(denying('s3:ReplicateDelete', replicas())),
    pair: 'that replicates delete markers',
    object: 'a delete marker',
    code: 'RK1310',
  },
  {
    when: 'the destination bucket policy denies requests without a KMS header',
    breaks: kmsAlone,
    object: 'encrypted by S3 itself',
    code: 'RK1308',
  },
  {
    when: 'the destination bucket policy denies requests without a KMS header',
    breaks: kmsAlone,
    pair: 'that is encrypted by S3 itself',
    object: 'encrypted as the bucket has it',
    code: 'RK1308',
  },
  {
    when: 'the destination bucket policy denies every key except one',
    breaks: inReplicaBucketPolicy(
      denying('s3:ReplicateObject', replicas(), () => ({
        Condition: { StringNotEquals: { 's3:x-amz-server-side-encryption-aws-kms-key-id': OTHER_KEY } },
      })),
    ),
    code: 'RK1308',
  },
  {
    when: 'the destination bucket policy denies requests that do not come through a VPC endpoint',
    breaks: inReplicaBucketPolicy(
      denying('s3:Replicate*', replicas(), () => ({
        Condition: { StringNotEquals: { 'aws:SourceVpce': 'vpce-1' } },
      })),
    ),
    code: 'RK1308',
  },
  {
    when: 'the destination bucket policy denies all roles except another one, by ArnNotEquals',
    breaks: inReplicaBucketPolicy(
      denying('s3:Replicate*', replicas(), () => ({ Condition: { ArnNotEquals: NOT_OUR_ADMIN } })),
    ),
    code: 'RK1308',
  },
  {
    when: 'the destination bucket policy denies all roles except another one, by StringNotLike',
    breaks: inReplicaBucketPolicy(
      denying('s3:Replicate*', replicas(), () => ({ Condition: { StringNotLike: NOT_OUR_ADMIN } })),
    ),
    code: 'RK1308',
  },
  {
    when: 'the destination bucket policy denies all roles except another one, and the role has a path',
    breaks: inReplicaBucketPolicy(
      denying('s3:Replicate*', replicas(), () => ({ Condition: { ArnNotEquals: NOT_OUR_ADMIN } })),
    ),
    pair: 'whose role has a path',
    code: 'RK1308',
  },
  {
    when: 'the destination bucket policy denies principals that are not AWS services',
    breaks: inReplicaBucketPolicy(
      denying('s3:Replicate*', replicas(), () => ({
        Condition: { Bool: { 'aws:PrincipalIsAWSService': 'false' } },
      })),
    ),
    code: 'RK1308',
  },
  {
    when: 'the role policy denies resources of its own account',
    breaks: inRolePolicy(
      denying('kms:*', theKey, () => ({ Condition: { StringEquals: { 'aws:ResourceAccount': MAIN } } })),
    ),
    code: 'RK1307',
  },
  {
    when: 'the destination bucket policy denies all principals except its root, by NotPrincipal',
    breaks: inReplicaBucketPolicy(
      denying('s3:Replicate*', replicas(), () => ({ NotPrincipal: { AWS: `arn:aws:iam::${MAIN}:root` } })),
    ),
    code: 'RK1308',
  },
  {
    when: 'the source key policy denies decryption',
    breaks: inSourceKeyPolicy(denying('kms:Decrypt', theKey)),
    code: 'RK1307',
  },
  {
    when: 'the source key policy denies requests that do not come from a VPC',
    breaks: inSourceKeyPolicy(
      denying('kms:Decrypt', theKey, () => ({
        Condition: { StringNotEquals: { 'aws:SourceVpc': 'vpc-1' } },
      })),
    ),
    code: 'RK1307',
  },
  {
    when: 'the replica key policy denies encryption',
    breaks: inReplicaKeyPolicy(denying('kms:Encrypt', theKey)),
    code: 'RK1312',
  },
  {
    when: 'the replica key policy denies data keys',
    breaks: inReplicaKeyPolicy(denying('kms:GenerateDataKey*', theKey)),
    code: 'RK1313',
  },
  {
    when: 'the permissions boundary allows S3 but not KMS',
    breaks: bounded(() => ({ Effect: 'Allow', Action: 's3:*', Resource: '*' })),
    code: 'RK1307',
  },
  {
    when: 'the permissions boundary allows only the source',
    breaks: bounded(({ source }) => ({
      Effect: 'Allow',
      Action: '*',
      Resource: [source.arn, `${source.arn}/*`, source.key],
    })),
    code: 'RK1308',
  },
  {
    when: 'the permissions boundary denies encryption',
    breaks: bounded(
      () => ({ Effect: 'Allow', Action: '*', Resource: '*' }),
      () => ({ Effect: 'Deny', Action: 'kms:Encrypt', Resource: '*' }),
    ),
    code: 'RK1312',
  },
  {
    when: 'the role policy denies all writing',
    breaks: inRolePolicy(denying('s3:Replicate*', () => '*')),
    code: 'RK1308',
  },
  {
    when: 'the destination bucket policy denies all principals except some named ones',
    breaks: inReplicaBucketPolicy(
      denying('s3:*', replicas(), () => ({
        Condition: {
          ArnNotEquals: {
            'aws:PrincipalArn': [`arn:aws:iam::${MAIN}:role/admin`, `arn:aws:iam::${MAIN}:root`],
          },
        },
      })),
    ),
    code: 'RK1308',
  },
  {
    when: 'the source key policy denies the role by name',
    breaks: inSourceKeyPolicy(denying('kms:Decrypt', theKey, theRole)),
    code: 'RK1307',
  },
  {
    when: 'the replica key policy denies the role everything',
    breaks: inReplicaKeyPolicy(denying('kms:*', theKey, theRole)),
    code: 'RK1313',
  },
  {
    when: 'the replica key policy denies requests from outside the addresses of an office',
    breaks: inReplicaKeyPolicy(
      denying(['kms:Encrypt', 'kms:GenerateDataKey'], theKey, () => ({
        Condition: { NotIpAddress: { 'aws:SourceIp': '203.0.113.0/24' } },
      })),
    ),
    code: 'RK1313',
  },
  {
    when: 'the permissions boundary allows KMS but not S3',
    breaks: bounded(() => ({ Effect: 'Allow', Action: 'kms:*', Resource: '*' })),
    code: 'RK1303',
  },
  {
    when: 'the permissions boundary allows no writing',
    breaks: bounded(() => ({ Effect: 'Allow', Action: ['s3:Get*', 's3:List*', 'kms:*'], Resource: '*' })),
    code: 'RK1308',
  },
  {
    when: 'the permissions boundary denies the keys of a Region',
    breaks: bounded(
      () => ({ Effect: 'Allow', Action: '*', Resource: '*' }),
      () => ({ Effect: 'Deny', Action: 'kms:*', Resource: 'arn:aws:kms:us-west-2:*:*' }),
    ),
    code: 'RK1313',
  },
];

const keyPolicies: Breakage[] = [
  {
    when: 'the source key policy names neither the account nor the role',
    breaks: inSourceKeyPolicy(without('SourceKey')),
    pair: 'whose keys and role both allow it',
    code: 'RK1307',
  },
  {
    when: 'the replica key policy names neither the account nor the role',
    breaks: inReplicaKeyPolicy(without('DestinationKey')),
    pair: 'whose keys and role both allow it',
    code: 'RK1313',
  },
  {
    when: 'the source key policy expects the other Region',
    breaks: inSourceKeyPolicy(expecting('SourceKey', 'ViaService', () => 's3.us-west-2.amazonaws.com')),
    pair: 'whose key policies name the role',
    code: 'RK1307',
  },
  {
    when: 'the source key policy expects only the bucket as the context',
    breaks: inSourceKeyPolicy(expecting('SourceKey', 'Context', ({ source }) => source.arn)),
    pair: 'whose key policies name the role',
    object: 'without a Bucket Key',
    code: 'RK1307',
  },
  {
    when: 'the replica key policy expects only objects as the context',
    breaks: inReplicaKeyPolicy(expecting('DestinationKey', 'Context', replicas())),
    pair: 'whose key policies name the role',
    code: 'RK1313',
  },
  {
    when: 'the replica key policy allows only kms:Encrypt',
    breaks: inReplicaKeyPolicy(having('DestinationKey', () => ({ Action: 'kms:Encrypt' }))),
    pair: 'whose key policies name the role',
    code: 'RK1313',
  },
  {
    when: 'the source key policy allows only the S3 service principal, which is not the caller',
    breaks: inSourceKeyPolicy(having('SourceKey', () => ({ Principal: { Service: 's3.amazonaws.com' } }))),
    pair: 'whose key policies name the role',
    code: 'RK1307',
  },
];

const disabledReplicaKey: Break = ({ world: env, destination }) =>
  env.client.send(destination.at, new DisableKeyCommand({ KeyId: destination.key }));

const keyStates: Breakage[] = [
  {
    when: 'the source key is disabled',
    breaks: sourceKeyState((key) => Object.assign(key, { state: 'Disabled' })),
    meanwhile: true,
    code: 'RK1201',
  },
  {
    when: 'the source key is pending deletion',
    breaks: sourceKeyState((key) => Object.assign(key, { state: 'PendingDeletion' })),
    meanwhile: true,
    code: 'RK1201',
  },
  {
    when: 'the material of the source key was deleted',
    breaks: sourceKeyState((key) => Object.assign(key, { state: 'PendingImport' })),
    meanwhile: true,
    code: 'RK1201',
    byHand: 'only the owner of the key material can import it again',
  },
  {
    when: 'the source key is deleted',
    breaks: sourceKeyLost,
    meanwhile: true,
    code: 'RK1202',
    byHand: 'objects under the key are lost',
  },
  {
    when: 'the replica key is disabled',
    breaks: disabledReplicaKey,
    code: 'RK1203',
  },
  {
    when: 'the replica key is disabled, and the role may not write tags, which S3 does last',
    breaks: together(disabledReplicaKey, inRolePolicy(lacking('DestinationObjects', 's3:ReplicateTags'))),
    object: 'with tags',
    code: 'RK1203',
  },
  {
    when: 'the replica key is disabled, and the role may not check a Bucket Key, which S3 does after it creates one',
    breaks: together(disabledReplicaKey, inRolePolicy(lacking('DestinationKey', 'kms:Decrypt'))),
    code: 'RK1203',
  },
  {
    when: 'the replica key is disabled, and the role may not use it, which KMS checks first',
    breaks: together(disabledReplicaKey, inRolePolicy(without('DestinationKey'))),
    code: 'RK1313',
  },
  {
    when: 'the replica key is pending deletion',
    breaks: ({ world: env, destination }) =>
      env.client.send(
        destination.at,
        new ScheduleKeyDeletionCommand({ KeyId: destination.key, PendingWindowInDays: 7 }),
      ),
    code: 'RK1203',
  },
  {
    when: 'the key store of the replica key cannot be reached',
    breaks: replicaKeyState((key) => Object.assign(key, { state: 'Unavailable' })),
    code: 'RK1203',
    byHand: 'the key store must be connected again',
  },
  {
    when: 'the replica key is for signatures',
    breaks: replicaKeyOfType({ KeyUsage: 'SIGN_VERIFY', KeySpec: 'RSA_2048' }),
    code: 'RK1203',
    byHand: 'the usage of a key is immutable',
  },
  {
    when: 'the replica key is for authentication codes',
    breaks: replicaKeyOfType({ KeyUsage: 'GENERATE_VERIFY_MAC', KeySpec: 'HMAC_256' }),
    code: 'RK1203',
    byHand: 'the usage of a key is immutable',
  },
  {
    when: 'the replica key is asymmetric',
    breaks: replicaKeyOfType({ KeyUsage: 'ENCRYPT_DECRYPT', KeySpec: 'RSA_2048' }),
    code: 'RK1203',
    byHand: 'the spec of a key is immutable',
  },
  {
    when: 'the replica key does not exist',
    breaks: replicaKey(() => OTHER_KEY),
    code: 'RK1204',
  },
  {
    when: 'the replica key is in the Region of the source',
    breaks: replicaKey(({ source }) => source.key),
    code: 'RK1205',
  },
  {
    when: 'the replica key is an alias, and the key policy allows no principal',
    breaks: together(
      replicaKey(() => `arn:aws:kms:us-west-2:${MAIN}:alias/acme-tax-replica`),
      inReplicaKeyPolicy(without('DestinationKey')),
    ),
    pair: 'whose keys and role both allow it',
    code: 'RK1313',
  },
  {
    when: 'the default key of the source is an alias, and the key policy allows no principal',
    breaks: together(sourceDefault('alias/acme-tax'), inSourceKeyPolicy(without('SourceKey'))),
    pair: 'whose keys and role both allow it',
    object: 'encrypted as the bucket has it',
    code: 'RK1307',
  },
  {
    when: 'the replica key is an alias that does not exist',
    breaks: replicaKey(() => `arn:aws:kms:us-west-2:${MAIN}:alias/acme-none`),
    code: 'RK1204',
  },
  {
    when: 'the replica key is a key that the role may not use',
    breaks: async (pair) => {
      const { KeyMetadata } = await pair.world.client.send(pair.destination.at, new CreateKeyCommand({}));
      await replicaKey(() => KeyMetadata?.Arn ?? '')(pair);
    },
    code: 'RK1313',
  },
];

const suspended: Break = ({ world: env, destination }) =>
  env.client.send(
    destination.at,
    new PutBucketVersioningCommand({
      Bucket: destination.bucket,
      VersioningConfiguration: { Status: 'Suspended' },
    }),
  );
const deleted: Break = ({ world: env, destination }) =>
  env.client.send(destination.at, new DeleteBucketCommand({ Bucket: destination.bucket }));
const recreated: Break = ({ world: env, destination }) =>
  env.client.send(
    destination.at,
    new CreateBucketCommand({
      Bucket: destination.bucket,
      CreateBucketConfiguration: { LocationConstraint: 'us-west-2' },
    }),
  );

const locked =
  (side: 'source' | 'destination'): Break =>
  (pair) =>
    pair.world.client.send(
      pair[side].at,
      new PutObjectLockConfigurationCommand({
        Bucket: pair[side].bucket,
        ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled' },
      }),
    );

const bucketStates: Breakage[] = [
  {
    when: 'versioning of the destination is suspended',
    breaks: suspended,
    code: 'RK1104',
  },
  {
    when: 'the destination bucket is deleted',
    breaks: deleted,
    code: 'RK1103',
    byHand: 'a bucket needs several calls; reconcile --once creates it',
  },
  {
    when: 'the destination bucket was recreated without versioning',
    breaks: together(deleted, recreated),
    code: 'RK1104',
  },
  {
    when: 'the source has Object Lock, and the destination does not',
    breaks: locked('source'),
    code: 'RK1106',
  },
  {
    // S3 User Guide, "Using Object Lock with S3 Replication": the role must be allowed to read both.
    when: 'both buckets have Object Lock, and the role may not read retentions',
    breaks: together(
      locked('source'),
      locked('destination'),
      inRolePolicy(lacking('SourceObjects', 's3:GetObjectRetention')),
    ),
    code: 'RK1314',
  },
  {
    when: 'both buckets have Object Lock, and the role may not read legal holds',
    breaks: together(
      locked('source'),
      locked('destination'),
      inRolePolicy(lacking('SourceObjects', 's3:GetObjectLegalHold')),
    ),
    code: 'RK1317',
  },
];

const rules: Breakage[] = [
  {
    when: 'the rule no longer selects KMS-encrypted objects',
    breaks: inRule(({ Destination }) => ({
      SourceSelectionCriteria: undefined,
      Destination: { Bucket: Destination?.Bucket },
    })),
    code: 'RK1003',
    passedOver: true,
  },
  {
    when: 'the selection of KMS-encrypted objects is disabled',
    breaks: inRule(() => ({ SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Disabled' } } })),
    code: 'RK1003',
    passedOver: true,
  },
  {
    when: 'the rule is disabled',
    breaks: inRule(() => ({ Status: 'Disabled' })),
    code: 'RK1002',
    passedOver: true,
    byHand: 'a user may have disabled it on purpose',
  },
  {
    when: 'a rule with a higher priority matches the objects and does not select KMS-encrypted ones',
    breaks: inConfiguration(([rule = {} as never, ...more]) => ({
      Rules: [
        rule,
        ...more,
        {
          ID: 'another',
          Status: 'Enabled',
          Priority: 9,
          Filter: { Prefix: '' },
          DeleteMarkerReplication: { Status: 'Disabled' },
          Destination: { Bucket: rule.Destination?.Bucket },
        },
      ],
    })),
    code: 'RK1004',
    passedOver: true,
    byHand: 'the other rule is foreign, and its owner must decide',
  },
  {
    when: 'the prefix begins with a slash',
    breaks: inRule(() => ({ Filter: { Prefix: '/Tax/' } })),
    pair: 'of whole buckets',
    code: 'RK1006',
    passedOver: true,
    byHand: 'object keys may begin with a slash',
  },
  {
    when: 'the replication configuration is deleted',
    breaks: ({ world: env, source }) =>
      env.client.send(source.at, new DeleteBucketReplicationCommand({ Bucket: source.bucket })),
    code: 'RK1001',
    passedOver: true,
    byHand: 'reconcile --once creates it',
  },
  {
    when: 'the replication configuration is deleted while an object is pending',
    breaks: sourceBucketState((bucket) => {
      delete bucket.replication;
    }),
    meanwhile: true,
    code: 'RK1001',
    byHand: 'reconcile --once creates it',
  },
];

const acrossAccounts: Breakage[] = (
  [
    {
      when: 'the destination bucket has no policy',
      breaks: ({ world: env, destination }) =>
        env.client.send(destination.at, new DeleteBucketPolicyCommand({ Bucket: destination.bucket })),
      code: 'RK1308',
    },
    {
      when: 'the destination bucket policy allows another account',
      breaks: inReplicaBucketPolicy(
        having('DestinationObjects', () => ({ Principal: { AWS: 'arn:aws:iam::777788889999:root' } })),
      ),
      code: 'RK1308',
    },
    {
      when: 'the destination bucket policy allows writes to other objects only',
      breaks: inReplicaBucketPolicy(
        having('DestinationObjects', ({ destination }) => ({ Resource: `${destination.arn}/Other/*` })),
      ),
      code: 'RK1308',
    },
    {
      when: 'the destination bucket policy does not allow writing replicas',
      breaks: inReplicaBucketPolicy(lacking('DestinationObjects', 's3:ReplicateObject')),
      code: 'RK1308',
    },
    {
      when: 'the destination bucket policy does not allow the owner change',
      breaks: inReplicaBucketPolicy(without('DestinationOwner')),
      code: 'RK1311',
    },
    {
      when: 'the role policy has no statement for replicas',
      breaks: inRolePolicy(without('DestinationObjects')),
      code: 'RK1308',
    },
    {
      when: 'the role policy has no statement for the replica key',
      breaks: inRolePolicy(without('DestinationKey')),
      code: 'RK1313',
    },
    {
      when: 'the replica key policy does not name the role',
      breaks: inReplicaKeyPolicy(without('DestinationKey')),
      code: 'RK1313',
    },
    {
      when: 'the replica key policy expects the Region of the source',
      breaks: inReplicaKeyPolicy(
        expecting('DestinationKey', 'ViaService', () => 's3.us-east-1.amazonaws.com'),
      ),
      code: 'RK1313',
    },
    {
      when: 'the destination bucket policy allows another role',
      breaks: inReplicaBucketPolicy(
        having('DestinationObjects', () => ({
          Principal: { AWS: `arn:aws:iam::${MAIN}:root` },
          Condition: { ArnEquals: NOT_OUR_ADMIN },
        })),
      ),
      code: 'RK1308',
    },
    {
      when: 'the destination bucket policy covers another prefix',
      breaks: inReplicaBucketPolicy(
        having('DestinationObjects', (pair) => ({ Resource: replicas('Taxes/')(pair) })),
      ),
      code: 'RK1308',
    },
    {
      when: 'the destination bucket policy does not allow delete markers',
      breaks: inReplicaBucketPolicy(without('DestinationDeletes')),
      object: 'a delete marker',
      code: 'RK1310',
    },
    {
      when: 'the replica key policy allows another account',
      breaks: inReplicaKeyPolicy(
        having('DestinationKey', () => ({ Principal: { AWS: 'arn:aws:iam::777788889999:root' } })),
      ),
      code: 'RK1313',
    },
    {
      when: 'the replica key is disabled',
      breaks: disabledReplicaKey,
      code: 'RK1203',
    },
    {
      when: 'versioning of the destination is suspended',
      breaks: suspended,
      code: 'RK1104',
    },
    {
      when: 'the replica key is an alias that does not exist in the account of the role',
      breaks: replicaKey(() => `arn:aws:kms:us-west-2:${MAIN}:alias/acme-tax-replica`),
      code: 'RK1204',
    },
    {
      when: 'the role was recreated, so the policies of the other account name a deleted principal',
      breaks: roleRecreated,
      code: 'RK1308',
    },
    {
      // S3 API Reference, PublicAccessBlockConfiguration: cross-account access within a public policy is blocked.
      when: 'the destination bucket policy is public, and public buckets are restricted',
      breaks: together(
        ({ world: env, destination }) =>
          env.client.send(
            destination.at,
            new PutPublicAccessBlockCommand({
              Bucket: destination.bucket,
              PublicAccessBlockConfiguration: { RestrictPublicBuckets: true },
            }),
          ),
        inReplicaBucketPolicy(
          adding((pair) => ({
            Effect: 'Allow',
            Principal: '*',
            Action: 's3:GetObject',
            Resource: replicas()(pair),
          })),
        ),
      ),
      code: 'RK1107',
      byHand: 'the public statement is foreign, and its owner must decide',
    },
    {
      when: 'the role policy has no statement for the owner of replicas',
      breaks: inRolePolicy(without('DestinationOwner')),
      code: 'RK1311',
    },
  ] satisfies Omit<Breakage, 'pair'>[]
).map((row) => ({ ...row, pair: 'across accounts' as const }));

export const BREAKAGES: Record<string, Breakage[]> = {
  'missing statements of the role policy': statements,
  'missing actions of the role policy': actions,
  'unsatisfied conditions': conditions,
  'other resources': resources,
  'trust policy and role': trust,
  denials: denials,
  'key policies': keyPolicies,
  'states of keys': keyStates,
  'states of buckets': bucketStates,
  rules: rules,
  'between accounts': acrossAccounts,
};

/** Changes that break nothing, so the doctor reports no problem. */
export const HARMLESS: Pick<Breakage, 'when' | 'breaks' | 'pair' | 'object'>[] = [
  {
    when: 'the role has s3:GetObjectVersion, which is sufficient for objects without KMS encryption',
    breaks: readingPlainly,
    pair: 'of plain objects alone',
    object: 'encrypted by S3 itself',
  },
  {
    when: 'the role may use all actions on all resources',
    breaks: inRolePolicy(
      having('SourceObjects', () => ({ Action: '*', Resource: '*' })),
      without('SourceKey'),
      without('DestinationKey'),
    ),
  },
  {
    when: 'the context is one pattern for bucket and objects',
    breaks: inRolePolicy(expecting('SourceKey', 'Context', ({ source }) => `${source.arn}*`)),
    object: 'without a Bucket Key',
  },
  {
    when: 'kms:ViaService is S3 in any Region',
    breaks: inRolePolicy(
      having('SourceKey', () => ({
        Condition: { StringLike: { 'kms:ViaService': 's3.*.amazonaws.com' } },
      })),
    ),
  },
  {
    when: 'a key may be used by its account, with no other context',
    breaks: inRolePolicy(
      having('DestinationKey', () => ({
        Condition: {
          StringEquals: { 'kms:CallerAccount': MAIN },
          'ForAllValues:StringEquals': { 'kms:EncryptionContextKeys': 'aws:s3:arn' },
        },
      })),
    ),
  },
  {
    when: 'the role may access only buckets of its account',
    breaks: inRolePolicy(
      ...['SourceBucket', 'SourceObjects', 'DestinationObjects'].map((sid) =>
        having(sid, () => ({ Condition: { StringEquals: { 's3:ResourceAccount': MAIN } } })),
      ),
    ),
  },
  {
    when: 'the role policy denies resources of other accounts',
    breaks: inRolePolicy(
      denying(
        ['s3:*', 'kms:*'],
        () => '*',
        () => ({
          Condition: { StringNotEquals: { 'aws:ResourceAccount': MAIN } },
        }),
      ),
    ),
  },
  {
    when: 'the role policy denies all other buckets',
    breaks: inRolePolicy(
      adding(({ source, destination }) => ({
        Effect: 'Deny',
        Action: 's3:*',
        NotResource: [source, destination].flatMap(({ arn }) => [arn, `${arn}/*`]),
      })),
    ),
  },
  {
    when: 'the trust policy also allows other principals',
    breaks: inTrustPolicy(
      having('AssumeRole', () => ({
        Principal: { Service: ['batchoperations.s3.amazonaws.com', 's3.amazonaws.com'] },
        Action: 'sts:*',
      })),
    ),
  },
  {
    when: 'the destination bucket policy denies requests without TLS',
    breaks: inReplicaBucketPolicy(
      denying('s3:Replicate*', replicas(), () => ({
        Condition: { BoolIfExists: { 'aws:SecureTransport': 'false' } },
      })),
    ),
  },
  {
    // S3 User Guide, "Setting up permissions for live replication": s3:ReplicateObject also covers tags.
    when: 'the role may not write tags of replicas, which s3:ReplicateObject covers',
    breaks: inRolePolicy(lacking('DestinationObjects', 's3:ReplicateTags')),
    object: 'with tags',
  },
  {
    when: 'the destination bucket policy does not allow writing tags, which s3:ReplicateObject covers',
    breaks: inReplicaBucketPolicy(lacking('DestinationObjects', 's3:ReplicateTags')),
    pair: 'across accounts',
    object: 'with tags',
  },
  {
    when: 'the destination bucket policy denies another prefix',
    breaks: inReplicaBucketPolicy(denying('s3:*', replicas('Taxes/'))),
  },
  {
    when: 'the destination bucket policy denies all principals except the role',
    breaks: inReplicaBucketPolicy(
      denying('s3:Replicate*', replicas(), ({ role }) => ({
        Condition: { ArnNotEquals: { 'aws:PrincipalArn': role } },
      })),
    ),
    pair: 'whose role has a path',
  },
  {
    when: 'the destination bucket policy denies all accounts except its own',
    breaks: inReplicaBucketPolicy(
      denying('s3:Replicate*', replicas(), () => ({
        Condition: { StringNotEquals: { 'aws:PrincipalAccount': MAIN } },
      })),
    ),
    pair: 'across accounts',
  },
  {
    when: 'the destination bucket policy denies s3:PutObject, which replication does not use',
    breaks: inReplicaBucketPolicy(denying('s3:PutObject*', replicas())),
  },
  {
    when: 'the permissions boundary allows everything',
    breaks: bounded(() => ({ Effect: 'Allow', Action: '*', Resource: '*' })),
  },
  {
    when: 'the default key of the source is named by its alias',
    breaks: sourceDefault('alias/acme-tax'),
    object: 'encrypted as the bucket has it',
  },
  {
    when: 'the default key of the source is named by the ARN of its alias',
    breaks: sourceDefault(`arn:aws:kms:us-east-1:${MAIN}:alias/acme-tax`),
    object: 'encrypted as the bucket has it',
  },
  {
    when: 'the replica key is an alias of the account of the role',
    breaks: replicaKey(() => `arn:aws:kms:us-west-2:${MAIN}:alias/acme-tax-replica`),
  },
  {
    when: 'the destination bucket policy allows the account of the role',
    breaks: inReplicaBucketPolicy(
      ...['DestinationObjects', 'DestinationDeletes', 'DestinationOwner'].map((sid) =>
        having(sid, () => ({ Principal: { AWS: MAIN } })),
      ),
    ),
    pair: 'across accounts',
  },
  {
    when: 'the replica key policy allows the account of the role',
    breaks: inReplicaKeyPolicy(having('DestinationKey', () => ({ Principal: { AWS: MAIN } }))),
    pair: 'across accounts',
  },
];
