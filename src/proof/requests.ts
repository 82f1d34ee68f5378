import { known } from '../core/observed.ts';
import { accountOf } from '../iam/context.ts';
import type { Code } from './codes.ts';
import type { UncertainRequest } from './decide.ts';
import type { Finding, KmsEncryption, ObjectCase, PolicyPlace } from './types.ts';
import { type Bucket, changesOwner, type RuleWorld, selectsEncrypted } from './world.ts';

/** One request that S3 makes, and whose policy beside the role's has a say. */
export interface Ask {
  code: Code;
  /** In words: `decrypt the source object`. */
  purpose: string;
  request: UncertainRequest;
  resourcePolicy: PolicyPlace;
  /** Whether objects fail without it as things are, or only such as a request makes so. */
  usual: boolean;
  /** An action that does as well. */
  orElse?: string;
}

const SERVICE = 's3.amazonaws.com';

/** S3 assumes the role. Whether it sends `aws:SourceArn` or `aws:SourceAccount` is documented nowhere. */
export const assuming = ({ role }: RuleWorld): Ask => ({
  code: 'RK1301',
  purpose: 'assume the role',
  request: { principal: SERVICE, action: 'sts:AssumeRole', resource: role, resourceAccount: accountOf(role) },
  resourcePolicy: { kind: 'trust', of: role },
  usual: true,
});

/** What S3 asks of the source bucket, whatever the object. */
export const lookingAround = (world: RuleWorld): Ask[] => [
  bucketAsk(world, 'RK1303', 'read the replication configuration', 's3:GetReplicationConfiguration'),
  // S3 looks a missing object up when it replicates delete markers.
  bucketAsk(world, 'RK1303', 'look objects up', 's3:ListBucket'),
];

/** Reading an object: itself, its ACL, and its data key. */
export function reading(world: RuleWorld, one: ObjectCase): Ask[] {
  if (one.what === 'delete marker') return [];
  const { source } = world;
  const at = { bucket: source, key: one.key, usual: one.usual };
  return [
    {
      ...objectAsk(world, 'RK1304', 'read the object', 's3:GetObjectVersionForReplication', at),
      // GetObjectVersion is enough for everything but KMS-encrypted objects.
      ...(isKms(one) ? {} : { orElse: 's3:GetObjectVersion' }),
    },
    objectAsk(world, 'RK1305', 'read its ACL', 's3:GetObjectVersionAcl', at),
    ...(known(source.objectLock)?.ObjectLockEnabled === 'Enabled'
      ? [
          objectAsk(world, 'RK1314', 'read its retention', 's3:GetObjectRetention', at),
          objectAsk(world, 'RK1314', 'read its legal hold', 's3:GetObjectLegalHold', at),
        ]
      : []),
    // Of a key that does not exist nothing is asked.
    ...(isKms(one) && world.observed.keys[one.encryption.keyArn] !== null
      ? [
          keyAsk(
            world,
            'RK1307',
            `decrypt the object${withBucketKey(one)}`,
            'kms:Decrypt',
            source,
            one,
            one.encryption.keyArn,
          ),
        ]
      : []),
  ];
}

/** The key of replicas, and what there is to say of its state. */
interface ReplicaKey {
  arn?: string;
  state: readonly Finding[];
}

/** Writing its replica: permission first, then a data key; tags come last. */
export function writing(world: RuleWorld, one: ObjectCase, replica: ReplicaKey): (Ask | Finding)[] {
  const { source, destination } = world;
  if (!destination) return [];
  const at = { bucket: destination, key: one.key, usual: one.what === 'delete marker' || one.usual };
  if (one.what === 'delete marker')
    return [objectAsk(world, 'RK1310', 'replicate a delete marker', 's3:ReplicateDelete', at)];
  const kms = isKms(one) && selectsEncrypted(world.rule);
  const headers: Record<string, string> = { 's3:x-amz-server-side-encryption': one.encryption.algorithm };
  if (kms && replica.arn !== undefined)
    headers['s3:x-amz-server-side-encryption-aws-kms-key-id'] = replica.arn;
  // Whether S3 sends the headers of the replica with what it asks for beside is documented nowhere.
  const beside = { ...at, perhaps: headers };
  return [
    objectAsk(world, 'RK1308', 'write the replica', 's3:ReplicateObject', { ...at, context: headers }),
    ...(changesOwner(world)
      ? [objectAsk(world, 'RK1311', 'hand it to its owner', 's3:ObjectOwnerOverrideToBucketOwner', beside)]
      : []),
    ...(kms && replica.arn !== undefined
      ? encrypting(world, destination, one, replica.arn, replica.state)
      : []),
    objectAsk(world, 'RK1306', 'read its tags', 's3:GetObjectVersionTagging', { ...at, bucket: source }),
    objectAsk(world, 'RK1309', 'write its tags', 's3:ReplicateTags', beside),
  ];
}

/**
 * A Bucket Key is made and checked before the object is encrypted; the setting is that of the source object. KMS looks
 * at the state of a key once it knows that who asks may use it.
 */
function encrypting(
  world: RuleWorld,
  destination: Bucket,
  one: KmsObject,
  replicaKey: string,
  state: readonly Finding[],
): (Ask | Finding)[] {
  const ask = (code: Code, purpose: string, action: string) =>
    keyAsk(world, code, purpose, action, destination, one, replicaKey);
  const encrypt = ask('RK1312', `encrypt the replica${withBucketKey(one)}`, 'kms:Encrypt');
  if (!one.encryption.bucketKey) return [encrypt, ...state];
  return [
    ask('RK1313', 'make the Bucket Key of the destination', 'kms:GenerateDataKey'),
    ...state,
    ask('RK1313', 'check the Bucket Key of the destination', 'kms:Decrypt'),
    encrypt,
  ];
}

const withBucketKey = ({ encryption }: KmsObject): string =>
  encryption.bucketKey ? ' (with a Bucket Key)' : '';

type KmsObject = Extract<ObjectCase, { what: 'object' }> & { encryption: KmsEncryption };

const isKms = (one: ObjectCase): one is KmsObject =>
  one.what === 'object' && one.encryption.algorithm !== 'AES256';

const bucketAsk = (world: RuleWorld, code: Code, purpose: string, action: string): Ask => ({
  code,
  purpose,
  request: asRole(world, action, world.source.arn, world.source.account, {
    's3:ResourceAccount': world.source.account,
  }),
  resourcePolicy: { kind: 'bucket', of: world.source.name },
  usual: true,
});

interface ObjectAt {
  bucket: Bucket;
  key: string;
  usual: boolean;
  /** Condition keys that S3 sends with it. */
  context?: Record<string, string>;
  /** Those that it may send. */
  perhaps?: Record<string, string>;
}

const objectAsk = (
  world: RuleWorld,
  code: Code,
  purpose: string,
  action: string,
  { bucket, key, usual, context, perhaps }: ObjectAt,
): Ask => ({
  code,
  purpose,
  request: {
    ...asRole(world, action, `${bucket.arn}/${key}`, bucket.account, {
      's3:ResourceAccount': bucket.account,
      ...context,
    }),
    ...(perhaps && { perhaps }),
  },
  resourcePolicy: { kind: 'bucket', of: bucket.name },
  usual,
});

/** The encryption context names the bucket with an S3 Bucket Key, the object without. */
const keyAsk = (
  world: RuleWorld,
  code: Code,
  purpose: string,
  action: string,
  bucket: Bucket,
  { key, encryption, usual }: KmsObject,
  name: string,
): Ask => {
  // KMS decides about the key itself, by whatever alias it is called.
  const keyArn = known(world.observed.keys[name])?.arn ?? name;
  return {
    code,
    purpose,
    request: asRole(world, action, keyArn, accountOf(keyArn), {
      'kms:ViaService': `s3.${bucket.region}.amazonaws.com`,
      'kms:CallerAccount': world.session.account,
      'kms:EncryptionContext:aws:s3:arn': encryption.bucketKey ? bucket.arn : `${bucket.arn}/${key}`,
      'kms:EncryptionContextKeys': ['aws:s3:arn'],
    }),
    resourcePolicy: { kind: 'key', of: keyArn },
    usual,
  };
};

/** A request as the role's session, with the condition keys that every request carries. */
function asRole(
  { role, session }: RuleWorld,
  action: string,
  resource: string,
  resourceAccount: string,
  context: Record<string, string | string[]>,
): UncertainRequest {
  return {
    principal: session.principal,
    action,
    resource,
    resourceAccount,
    context: {
      'aws:PrincipalArn': role,
      'aws:PrincipalAccount': session.account,
      'aws:PrincipalType': 'AssumedRole',
      'aws:PrincipalIsAWSService': 'false',
      'aws:ResourceAccount': resourceAccount,
      'aws:SecureTransport': 'true',
      ...context,
    },
  };
}
