import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { BucketFacts, EncryptionRule, Facts } from '../../src/core/facts.ts';
import type { Policy, Statement } from '../../src/iam/types.ts';
import type { FindingCode } from '../../src/proof/findings.ts';
import type { ObservedObject } from '../../src/proof/object-cases.ts';

/** A reported case, as facts, with the expected findings. */
export interface RealCase {
  /** The report: `owner/repository#number`. */
  thread: string;
  name: string;
  world: Facts;
  seen?: ObservedObject[];
  /** Errors in the order in which S3 encounters them; empty if objects replicate. */
  errors: FindingCode[];
  warnings?: FindingCode[];
  /** Texts that the message of the first finding must contain. */
  names: string[];
  /** Number of rounds of fixes, by default 1. A changed rule may require other permissions. */
  rounds?: number;
}

const MAIN = '111122223333';
const BACKUP = '444455556666';
const ROLE = `arn:aws:iam::${MAIN}:role/acme-tax-replication`;
const SOURCE_KEY = `arn:aws:kms:us-east-1:${MAIN}:key/source`;
const SOURCE = 'arn:aws:s3:::acme-tax';
const REPLICA = 'arn:aws:s3:::acme-tax-replica';
const replicaKeyOf = (account: string) => `arn:aws:kms:us-west-2:${account}:key/replica`;
const REPLICA_KEY = replicaKeyOf(MAIN);

const CONTEXT = 'kms:EncryptionContext:aws:s3:arn';
const NEEDED = (arn: string) => `but the request has ${arn}`;

const policy = (...Statement: Statement[]): Policy => ({ Version: '2012-10-17', Statement });
const allow = (Action: string | string[], Resource: string | string[], more: Partial<Statement> = {}) => ({
  Effect: 'Allow' as const,
  Action,
  Resource,
  ...more,
});
const throughS3 = (region: string, contexts: string | string[], operator = 'StringLike') => ({
  Condition:
    operator === 'StringLike'
      ? { StringLike: { 'kms:ViaService': `s3.${region}.amazonaws.com`, [CONTEXT]: contexts } }
      : {
          StringEquals: { 'kms:ViaService': `s3.${region}.amazonaws.com` },
          [operator]: { [CONTEXT]: contexts },
        },
});
/** The default key policy of KMS: the IAM policies of the account decide. */
const byAccount = (account: string) =>
  policy(allow('kms:*', '*', { Principal: { AWS: `arn:aws:iam::${account}:root` } }));
const byAdministrator = policy(
  allow('kms:*', '*', { Principal: { AWS: `arn:aws:iam::${MAIN}:role/admin` } }),
);

const WRITES = ['s3:ReplicateObject', 's3:ReplicateTags'];
const USES = ['kms:Encrypt', 'kms:GenerateDataKey', 'kms:Decrypt'];

/** The permissions of the role in a working pair, with both forms of the encryption context. */
const granted = (replicaKey: string): Record<string, Statement | null> => ({
  sourceBucket: allow(['s3:GetReplicationConfiguration', 's3:ListBucket'], SOURCE),
  sourceObjects: allow(
    ['s3:GetObjectVersionForReplication', 's3:GetObjectVersionAcl', 's3:GetObjectVersionTagging'],
    `${SOURCE}/*`,
  ),
  sourceKey: allow('kms:Decrypt', SOURCE_KEY, throughS3('us-east-1', [SOURCE, `${SOURCE}/*`])),
  replicas: allow([...WRITES, 's3:ObjectOwnerOverrideToBucketOwner'], `${REPLICA}/*`),
  replicaKey: allow(USES, replicaKey, throughS3('us-west-2', [REPLICA, `${REPLICA}/*`])),
});

const encryptedBy = (KMSMasterKeyID: string, BucketKeyEnabled: boolean): EncryptionRule => ({
  ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID },
  BucketKeyEnabled,
});
const BY_S3: EncryptionRule = { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } };

interface Parts {
  /** Whether the destination is in another account. */
  across?: boolean;
  /** The S3 Bucket Key of new objects, on both sides. */
  bucketKey?: boolean;
  /** Replacements for the working statements of the role; null removes a statement. */
  role?: Record<string, Statement | null>;
  /** Name of the role's policy; an ARN for an attached policy. */
  policyName?: string;
  sourceKeyPolicy?: Policy;
  replicaKeyPolicy?: Policy;
  bucketPolicy?: Policy;
  sourceDefault?: EncryptionRule;
  rule?: Partial<ReplicationRule>;
  destination?: Partial<NonNullable<ReplicationRule['Destination']>>;
  /** Further keys by the name in the rule; null if the key does not exist. */
  keys?: Facts['keys'];
  /** Object Lock of both buckets. */
  objectLock?: NonNullable<BucketFacts['objectLock']>;
}

/** Returns a working pair with some parts replaced. */
export function aPair(parts: Parts = {}): Facts {
  const { across = false, bucketKey = true, rule, destination } = parts;
  const owner = across ? BACKUP : MAIN;
  const replicaKey = replicaKeyOf(owner);
  const statements = Object.values({ ...granted(replicaKey), ...parts.role });
  const theRole = { Principal: { AWS: ROLE } };
  return {
    buckets: {
      'acme-tax': {
        region: 'us-east-1',
        account: MAIN,
        versioning: { Status: 'Enabled' },
        encryption: { Rules: [parts.sourceDefault ?? encryptedBy(SOURCE_KEY, bucketKey)] },
        policy: null,
        ownership: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
        objectLock: parts.objectLock ?? null,
        replication: {
          Role: ROLE,
          Rules: [
            {
              ID: 'tax',
              Priority: 1,
              Status: 'Enabled',
              Filter: { Prefix: 'Tax/' },
              DeleteMarkerReplication: { Status: 'Disabled' },
              SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
              Destination: {
                Bucket: REPLICA,
                EncryptionConfiguration: { ReplicaKmsKeyID: replicaKey },
                Metrics: { Status: 'Enabled' },
                ...(across ? { Account: BACKUP, AccessControlTranslation: { Owner: 'Destination' } } : {}),
                ...destination,
              },
              ...rule,
            },
          ],
        },
      },
      'acme-tax-replica': {
        region: 'us-west-2',
        account: owner,
        versioning: { Status: 'Enabled' },
        encryption: { Rules: [encryptedBy(replicaKey, bucketKey)] },
        policy:
          parts.bucketPolicy ??
          (across
            ? policy(allow([...WRITES, 's3:ObjectOwnerOverrideToBucketOwner'], `${REPLICA}/*`, theRole))
            : null),
        objectLock: parts.objectLock ?? null,
        publicAccessBlock: null,
      },
    },
    roles: {
      [ROLE]: {
        trust: policy({
          Effect: 'Allow',
          Principal: { Service: 's3.amazonaws.com' },
          Action: 'sts:AssumeRole',
        }),
        policies: {
          [parts.policyName ?? 'replication']: policy(...statements.filter((one) => one !== null)),
        },
        boundary: null,
      },
    },
    keys: {
      [SOURCE_KEY]: {
        arn: SOURCE_KEY,
        state: 'Enabled',
        policy: parts.sourceKeyPolicy ?? byAccount(MAIN),
      },
      [replicaKey]: {
        arn: replicaKey,
        state: 'Enabled',
        policy:
          parts.replicaKeyPolicy ??
          (across
            ? policy(...[byAccount(BACKUP).Statement].flat(), allow(USES, '*', theRole))
            : byAccount(MAIN)),
      },
      ...parts.keys,
    },
  };
}

const underBucketKey = (bucketKey: boolean): ObservedObject => ({
  encryption: { algorithm: 'aws:kms', keyArn: SOURCE_KEY, bucketKey },
});

const WITHOUT_KMS_SELECTION: Partial<ReplicationRule> = { SourceSelectionCriteria: undefined };

const sampled = (key: string, parts: Partial<ObservedObject> = {}): ObservedObject => ({
  ...underBucketKey(true),
  key,
  ...parts,
});

const OTHER_REGION = `arn:aws:kms:eu-west-1:${MAIN}:key/replica`;
const ALIAS = 'alias/acme-tax-replica';

export const REAL_CASES: RealCase[] = [
  {
    thread: 'ministryofjustice/modernisation-platform#13396',
    name: 'both forms of the encryption context are allowed: objects with and without a Bucket Key replicate',
    world: aPair(),
    seen: [underBucketKey(true), underBucketKey(false)],
    errors: [],
    names: [],
  },
  {
    thread: 'alphagov/govuk-infrastructure#4840',
    name: 'owner change: the destination bucket policy lacks the permission',
    world: aPair({
      across: true,
      bucketPolicy: policy(allow(WRITES, `${REPLICA}/*`, { Principal: { AWS: ROLE } })),
    }),
    errors: ['RK1311'],
    names: ['bucket policy of acme-tax-replica does not allow', 's3:ObjectOwnerOverrideToBucketOwner'],
  },
  {
    thread: 'cloudposse/terraform-aws-s3-bucket#68',
    name: 'owner change: the role lacks the permission',
    world: aPair({ across: true, role: { replicas: allow(WRITES, `${REPLICA}/*`) } }),
    errors: ['RK1311'],
    names: [`no identity policy of ${ROLE} allows`, 's3:ObjectOwnerOverrideToBucketOwner'],
  },
  {
    thread: 'ministryofjustice/modernisation-platform#13498',
    name: 'the role has S3 permissions and no KMS permissions',
    world: aPair({ role: { sourceKey: null, replicaKey: null } }),
    errors: ['RK1307', 'RK1313', 'RK1313', 'RK1312'],
    names: [`no identity policy of ${ROLE} allows`, 'kms:Decrypt', SOURCE_KEY],
  },
  {
    thread: 'ministryofjustice/modernisation-platform#13504',
    name: 'the policy of the source key names neither the account nor the role',
    world: aPair({ sourceKeyPolicy: byAdministrator }),
    errors: ['RK1307'],
    names: [`key policy of ${SOURCE_KEY} does not allow kms:Decrypt`, 'role/admin'],
  },
  {
    thread: 'ministryofjustice/modernisation-platform#13520',
    name: 'the policy of the replica key names neither the account nor the role',
    world: aPair({ replicaKeyPolicy: byAdministrator }),
    errors: ['RK1313', 'RK1313', 'RK1312'],
    names: [`key policy of ${REPLICA_KEY} does not allow kms:GenerateDataKey`, 'role/admin'],
  },
  {
    thread: 'ministryofjustice/modernisation-platform#13596',
    name: 'all four causes together: one run reports and fixes all',
    world: aPair({
      role: {
        sourceObjects: allow(['s3:GetObjectVersion', 's3:GetObjectVersionAcl'], `${SOURCE}/*`),
        sourceKey: null,
        replicas: allow('s3:ReplicateObject', `${REPLICA}/*`),
        replicaKey: null,
      },
      sourceKeyPolicy: byAdministrator,
      replicaKeyPolicy: byAdministrator,
    }),
    errors: ['RK1304', 'RK1307', 'RK1313', 'RK1313', 'RK1312'],
    warnings: ['RK1306'],
    names: [`no identity policy of ${ROLE} allows s3:GetObjectVersionForReplication`],
  },
  {
    thread: 'aws-ia/terraform-aws-control_tower_account_factory#639',
    name: 'Bucket Keys enabled: the role expects the ARNs of objects',
    world: aPair({
      role: {
        sourceKey: allow('kms:Decrypt', SOURCE_KEY, throughS3('us-east-1', `${SOURCE}/*`)),
        replicaKey: allow(USES, REPLICA_KEY, throughS3('us-west-2', `${REPLICA}/*`)),
      },
    }),
    errors: ['RK1307', 'RK1313', 'RK1313', 'RK1312'],
    names: ['kms:Decrypt', CONTEXT, `expects ${SOURCE}/*`, NEEDED(SOURCE)],
  },
  {
    thread: 'slashdevops/idp-scim-sync#540',
    name: 'the key policy expects the ARN of one object, and the bucket has a Bucket Key',
    world: aPair({
      sourceKeyPolicy: policy(
        allow('kms:Decrypt', '*', {
          Principal: { AWS: ROLE },
          ...throughS3('us-east-1', `${SOURCE}/Tax/state.json`, 'StringEquals'),
        }),
      ),
    }),
    errors: ['RK1307'],
    names: [
      `key policy of ${SOURCE_KEY}`,
      `StringEquals ${CONTEXT} expects ${SOURCE}/Tax/state.json`,
      NEEDED(SOURCE),
    ],
  },
  {
    thread: 'awsdocs/amazon-s3-userguide#116',
    name: 'a condition with /* for objects with a Bucket Key',
    world: aPair({
      bucketKey: false,
      role: {
        sourceKey: allow('kms:Decrypt', SOURCE_KEY, throughS3('us-east-1', [`${SOURCE}/*`])),
      },
    }),
    seen: [underBucketKey(true)],
    errors: ['RK1307'],
    names: [CONTEXT, `expects ${SOURCE}/*`, NEEDED(SOURCE)],
  },
  {
    thread: 'ministryofjustice/analytical-platform#5958',
    name: 'a condition with the ARN of the bucket for objects without a Bucket Key',
    world: aPair({
      bucketKey: false,
      role: {
        sourceKey: allow('kms:Decrypt', SOURCE_KEY, throughS3('us-east-1', SOURCE)),
        replicaKey: allow(USES, REPLICA_KEY, throughS3('us-west-2', REPLICA)),
      },
    }),
    errors: ['RK1307', 'RK1312'],
    names: ['kms:Decrypt', CONTEXT, `expects ${SOURCE},`, NEEDED(`${SOURCE}/Tax/`)],
  },
  {
    thread: 'ministryofjustice/analytical-platform#5958',
    name: 'the replica key is in another Region than its bucket',
    world: aPair({
      destination: { EncryptionConfiguration: { ReplicaKmsKeyID: OTHER_REGION } },
      role: { replicaKey: allow(USES, OTHER_REGION, throughS3('us-west-2', [REPLICA, `${REPLICA}/*`])) },
      keys: { [OTHER_REGION]: { arn: OTHER_REGION, state: 'Enabled', policy: byAccount(MAIN) } },
    }),
    errors: ['RK1205'],
    names: [OTHER_REGION, 'is in eu-west-1', 'acme-tax-replica is in us-west-2'],
    rounds: 2,
  },
  {
    thread: 'awslabs/landing-zone-accelerator-on-aws#1144',
    name: 'kms:Decrypt and kms:Encrypt are sufficient without Bucket Keys',
    world: aPair({
      bucketKey: false,
      role: {
        sourceKey: allow('kms:Decrypt', SOURCE_KEY),
        replicaKey: allow('kms:Encrypt', REPLICA_KEY),
      },
    }),
    seen: [underBucketKey(false)],
    errors: [],
    warnings: ['RK1313', 'RK1313'],
    names: ['create the Bucket Key of the destination', 'kms:GenerateDataKey'],
  },
  {
    thread: 'awslabs/landing-zone-accelerator-on-aws#1144',
    name: 'kms:Decrypt and kms:Encrypt are insufficient for objects with a Bucket Key',
    world: aPair({
      bucketKey: false,
      role: {
        sourceKey: allow('kms:Decrypt', SOURCE_KEY),
        replicaKey: allow('kms:Encrypt', REPLICA_KEY),
      },
    }),
    seen: [underBucketKey(true)],
    errors: ['RK1313', 'RK1313'],
    names: [`no identity policy of ${ROLE} allows kms:GenerateDataKey on ${REPLICA_KEY}`],
  },
  {
    thread: 'hashicorp/terraform#18966',
    name: 'no configuration names the source key, and the role has no permission for it',
    world: aPair({ role: { sourceKey: null } }),
    errors: ['RK1307'],
    names: ['kms:Decrypt', SOURCE_KEY],
  },
  {
    thread: 'hashicorp/terraform-provider-aws#15833',
    name: 'the role has a permission for another key than the key of the objects',
    world: aPair({
      role: { sourceKey: allow('kms:Decrypt', `arn:aws:kms:us-east-1:${MAIN}:key/another`) },
    }),
    errors: ['RK1307'],
    names: ['the resource expects', 'key/another', NEEDED(SOURCE_KEY)],
  },
  {
    thread: 'ministryofjustice/aws-root-account#1015',
    name: 'the replica key is an alias that does not exist in the account of the role',
    world: aPair({
      across: true,
      destination: { EncryptionConfiguration: { ReplicaKmsKeyID: ALIAS } },
      keys: { [`arn:aws:kms:us-west-2:${MAIN}:${ALIAS}`]: null },
    }),
    errors: ['RK1204'],
    names: [
      `arn:aws:kms:us-west-2:${MAIN}:${ALIAS}`,
      `resolves the alias in the account of the role, ${MAIN}`,
    ],
  },
  {
    thread: 'ministryofjustice/aws-root-account#1014',
    name: 'the rule does not select the KMS-encrypted objects',
    world: aPair({
      rule: { SourceSelectionCriteria: undefined },
      destination: { EncryptionConfiguration: undefined },
    }),
    errors: ['RK1003'],
    names: ['encrypts objects with aws:kms by default', 'the rule does not select them'],
  },
  {
    thread: 'ministryofjustice/aws-root-account#1275',
    name: 'a bucket with SSE-S3 needs neither the KMS selection nor a KMS permission',
    world: aPair({
      sourceDefault: BY_S3,
      rule: { SourceSelectionCriteria: undefined },
      destination: { EncryptionConfiguration: undefined },
      role: { sourceKey: null, replicaKey: null },
    }),
    errors: [],
    names: [],
  },
  {
    thread: 'nozaq/terraform-aws-remote-state-s3-backend#11',
    name: 'a module attached a policy without KMS permissions to the role',
    world: aPair({
      bucketKey: false,
      policyName: `arn:aws:iam::${MAIN}:policy/replication`,
      role: { sourceKey: null, replicaKey: null },
    }),
    errors: ['RK1307', 'RK1312'],
    warnings: ['RK1313', 'RK1313'],
    names: [`no identity policy of ${ROLE} allows`, 'kms:Decrypt', SOURCE_KEY],
  },
  {
    thread: 'cloudposse/terraform-aws-s3-bucket#277',
    name: "across accounts: neither the role nor the other account's key policy allows KMS",
    world: aPair({
      across: true,
      role: {
        sourceBucket: allow(['s3:ListBucket', 's3:Get*'], [SOURCE, `${SOURCE}/*`]),
        sourceObjects: null,
        sourceKey: null,
        replicaKey: null,
      },
      replicaKeyPolicy: byAccount(BACKUP),
    }),
    errors: ['RK1307', 'RK1313', 'RK1313', 'RK1312'],
    names: [`no identity policy of ${ROLE} allows kms:Decrypt on ${SOURCE_KEY}`],
  },
  {
    thread: 'cloudposse/terraform-aws-s3-bucket#279',
    name: 'the other account allows the default role name, and the role has another name',
    world: aPair({
      across: true,
      bucketPolicy: policy(
        allow([...WRITES, 's3:ObjectOwnerOverrideToBucketOwner'], `${REPLICA}/*`, {
          Principal: { AWS: `arn:aws:iam::${MAIN}:role/acme-tax-role` },
        }),
      ),
    }),
    errors: ['RK1308', 'RK1311'],
    names: ['the principal expects', 'role/acme-tax-role', 'assumed-role/acme-tax-replication/'],
  },
  {
    thread: 'aws-controllers-k8s/community#1993',
    name: 'denied across accounts: the message shows the principal, action, resource and statement',
    world: aPair({
      across: true,
      bucketPolicy: policy({
        ...allow('s3:*', [REPLICA, `${REPLICA}/*`], {
          Principal: { AWS: `arn:aws:iam::${MAIN}:user/ada` },
        }),
        Sid: 'Partner',
      }),
    }),
    errors: ['RK1308', 'RK1311'],
    names: [
      's3:ReplicateObject on arn:aws:s3:::acme-tax-replica/Tax/',
      'bucket policy of acme-tax-replica (Partner)',
      'user/ada',
      'assumed-role/acme-tax-replication/',
    ],
  },
  {
    thread: 'hashicorp/terraform#19450',
    name: 'GetObjectVersion is insufficient for KMS-encrypted objects',
    world: aPair({
      role: {
        sourceObjects: allow(
          ['s3:GetObjectVersion', 's3:GetObjectVersionAcl', 's3:GetObjectVersionTagging'],
          `${SOURCE}/*`,
        ),
      },
    }),
    errors: ['RK1304'],
    names: ['s3:GetObjectVersionForReplication'],
  },
  {
    // IAM User Guide, NotPrincipal with Deny: name the account, the role and the session.
    thread: 'aws/aws-cdk#12865',
    name: 'a Deny of the destination exempts the role by NotPrincipal, without its session and account',
    world: aPair({
      bucketPolicy: policy({
        Sid: 'OnlyTheReplicationRole',
        Effect: 'Deny',
        NotPrincipal: { AWS: [ROLE] },
        Action: 's3:*',
        Resource: [REPLICA, `${REPLICA}/*`],
      }),
    }),
    errors: ['RK1308'],
    names: ['OnlyTheReplicationRole', 'the role, its session and its account'],
  },
  {
    thread: 'aws/aws-cdk#12865',
    name: 'a Deny of the destination exempts the role, its session and its account by NotPrincipal',
    world: aPair({
      bucketPolicy: policy({
        Effect: 'Deny',
        NotPrincipal: {
          AWS: [ROLE, `arn:aws:sts::${MAIN}:assumed-role/acme-tax-replication/s3-replication`, MAIN],
        },
        Action: 's3:*',
        Resource: [REPLICA, `${REPLICA}/*`],
      }),
    }),
    errors: [],
    names: [],
  },
  {
    // S3 User Guide, "Organizing objects using prefixes": a prefix is compared literally.
    thread: 'alphagov/digitalmarketplace-aws#432',
    name: 'the prefix is an asterisk, meant as every object',
    world: aPair({ rule: { Filter: { Prefix: '*' } } }),
    errors: ['RK1011'],
    names: ['which selects every object'],
  },
  {
    thread: 'alphagov/digitalmarketplace-aws#432',
    name: 'the prefix ends in an asterisk',
    world: aPair({ rule: { Filter: { Prefix: 'Logs/*' } } }),
    seen: [sampled('Logs/2026')],
    errors: ['RK1011'],
    names: ['Use the prefix "Logs/"'],
  },
  {
    thread: 'alphagov/digitalmarketplace-aws#432',
    name: 'the prefix contains an asterisk, and so do the keys',
    world: aPair({ rule: { Filter: { Prefix: 'Logs/*/' } } }),
    seen: [sampled('Logs/*/2026')],
    errors: [],
    names: [],
  },
  {
    // S3 User Guide, "Using Object Lock with S3 Replication": the role must be allowed to read both.
    thread: 'hashicorp/terraform-provider-aws#14061',
    name: 'the source has a default retention, and the role can read neither retention nor legal hold',
    world: aPair({
      objectLock: {
        ObjectLockEnabled: 'Enabled',
        Rule: { DefaultRetention: { Mode: 'COMPLIANCE', Days: 30 } },
      },
    }),
    errors: ['RK1314', 'RK1317'],
    names: ['s3:GetObjectRetention'],
  },
  {
    // S3 User Guide, "Setting up permissions for live replication": tags are lost, and the object is replicated.
    thread: 'S3 User Guide',
    name: 'the role has no permissions for tags: untagged objects replicate',
    world: aPair({
      role: {
        sourceObjects: allow(['s3:GetObjectVersionForReplication', 's3:GetObjectVersionAcl'], `${SOURCE}/*`),
        replicas: allow('s3:ReplicateObject', `${REPLICA}/*`),
      },
    }),
    seen: [sampled('Tax/1')],
    errors: [],
    warnings: ['RK1306'],
    names: ['objects with tags: ', 's3:GetObjectVersionTagging'],
  },
  {
    thread: 'S3 User Guide',
    name: 'the role cannot read tags, and a sampled object has some',
    world: aPair({
      role: {
        sourceObjects: allow(['s3:GetObjectVersionForReplication', 's3:GetObjectVersionAcl'], `${SOURCE}/*`),
      },
    }),
    seen: [sampled('Tax/1', { tags: ['class=secret'] })],
    errors: ['RK1306'],
    names: ['s3:GetObjectVersionTagging'],
  },
  {
    thread: 'S3 User Guide',
    name: 'the role cannot write tags, and the rule selects by tag: ReplicateObject covers tags',
    world: aPair({
      role: { replicas: allow('s3:ReplicateObject', `${REPLICA}/*`) },
      rule: { Filter: { And: { Prefix: 'Tax/', Tags: [{ Key: 'class', Value: 'secret' }] } } },
    }),
    errors: [],
    names: [],
  },
  {
    thread: 'S3 User Guide',
    name: 'the destination denies tags explicitly, and a sampled object has some',
    world: aPair({
      bucketPolicy: policy({
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:ReplicateTags',
        Resource: `${REPLICA}/*`,
      }),
    }),
    seen: [sampled('Tax/1', { tags: ['class=secret'] })],
    errors: ['RK1309'],
    names: ['denies s3:ReplicateTags'],
  },
  {
    // A request header encrypts these objects: S3 passes them over, without a status.
    thread: 'aws/sagemaker-python-sdk#4340',
    name: 'the default is SSE-S3, the rule does not select KMS objects, and the bucket has some',
    world: aPair({ sourceDefault: BY_S3, rule: WITHOUT_KMS_SELECTION }),
    seen: [sampled('Tax/model'), sampled('Tax/plain', { encryption: { algorithm: 'AES256' } })],
    errors: ['RK1003'],
    names: ['1 of 2 sampled objects are encrypted with KMS (for example Tax/model)'],
  },
  {
    thread: 'aws/sagemaker-python-sdk#4340',
    name: 'the default is SSE-S3, and the KMS objects are under another prefix',
    world: aPair({ sourceDefault: BY_S3, rule: WITHOUT_KMS_SELECTION }),
    seen: [sampled('Other/model')],
    errors: [],
    names: [],
  },
];
