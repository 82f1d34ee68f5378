import { factValue } from '../core/facts.ts';
import { accountOfArn } from '../iam/context.ts';
import { regionOfArn } from '../util/arn.ts';
import type { UncertainRequest } from './decide.ts';
import type { Finding, FindingCode, PolicyRef } from './findings.ts';
import { organizationKeysOf } from './organization-keys.ts';
import { changesOwner, type RuleBucket, type RuleContext, selectsKmsObjects } from './rule-context.ts';
import type { KmsEncryption, ObjectCase } from './types.ts';

/** One request that S3 makes, with the resource policy that applies beside the role's policies. */
export interface AccessCheck {
  code: FindingCode;
  /** A phrase for messages: `decrypt the source object`. */
  purpose: string;
  request: UncertainRequest;
  resourcePolicy: PolicyRef;
  /** Whether typical objects fail without it. If false, only objects that a request header makes different fail. */
  isTypical: boolean;
  /** The objects that fail without it, if it is not typical: `objects with tags`. */
  concerns?: string;
  /** Another action that also satisfies the check. */
  alternative?: {
    action: string;
    /** Whether it does so although a policy denies the first action explicitly. */
    overridesDeny: boolean;
  };
}

const S3_SERVICE = 's3.amazonaws.com';

/**
 * Returns the check that S3 may assume the role. AWS does not document whether S3 sends `aws:SourceArn` or
 * `aws:SourceAccount`. A condition with other values fails in either case.
 */
export function assumeRoleCheck({ role, source, facts }: RuleContext): AccessCheck {
  const resourceAccount = accountOfArn(role);
  const roleKeys = organizationKeysOf(facts, { Resource: resourceAccount });
  // If S3 sends the account of the bucket, it also sends the organization of this account.
  const sourceKeys = organizationKeysOf(facts, { Source: source.account });
  return {
    code: 'RK1301',
    purpose: 'assume the role',
    request: {
      principal: S3_SERVICE,
      action: 'sts:AssumeRole',
      resource: role,
      resourceAccount,
      context: {
        'aws:PrincipalIsAWSService': 'true',
        'aws:PrincipalServiceName': S3_SERVICE,
        'aws:ResourceAccount': resourceAccount,
        ...roleKeys.context,
      },
      absentKeys: [
        // A service is in no organization.
        ...(facts.accounts ? ['aws:PrincipalOrgID', 'aws:PrincipalOrgPaths'] : []),
        ...roleKeys.absent,
        ...sourceKeys.absent,
      ],
      outsideOrganizations: { ...roleKeys.outside, ...sourceKeys.outside },
      optionalContext: {
        'aws:SourceAccount': source.account,
        'aws:SourceArn': source.arn,
        ...sourceKeys.context,
      },
    },
    resourcePolicy: { kind: 'trust', of: role },
    isTypical: true,
  };
}

/** Returns the requests that S3 makes to the source bucket for every object. */
export const bucketChecks = (context: RuleContext): AccessCheck[] => [
  createBucketCheck(
    context,
    'RK1303',
    'read the replication configuration',
    's3:GetReplicationConfiguration',
  ),
  // S3 looks up missing objects when it replicates delete markers.
  createBucketCheck(context, 'RK1303', 'look up objects', 's3:ListBucket'),
];

/** Returns the checks for reading an object, its ACL and its data key. */
export function readChecks(context: RuleContext, objectCase: ObjectCase): AccessCheck[] {
  if (objectCase.type === 'delete marker') return [];
  const { source } = context;
  const target = {
    bucket: source,
    key: objectCase.key,
    isTypical: objectCase.isTypical,
    concerns: concernsOf(objectCase),
  };
  return [
    {
      ...createObjectCheck(context, 'RK1304', 'read the object', 's3:GetObjectVersionForReplication', target),
      // GetObjectVersion is sufficient for all objects except KMS-encrypted ones.
      ...(isKmsObject(objectCase)
        ? {}
        : { alternative: { action: 's3:GetObjectVersion', overridesDeny: true } }),
    },
    createObjectCheck(context, 'RK1305', 'read the ACL of the object', 's3:GetObjectVersionAcl', target),
    // S3 requires both for every object of a locked bucket (S3 User Guide, "Using Object Lock with S3 Replication").
    ...(factValue(source.objectLock)?.ObjectLockEnabled === 'Enabled'
      ? [
          createObjectCheck(
            context,
            'RK1314',
            'read the retention of the object',
            's3:GetObjectRetention',
            target,
          ),
          createObjectCheck(
            context,
            'RK1317',
            'read the legal hold of the object',
            's3:GetObjectLegalHold',
            target,
          ),
        ]
      : []),
    // S3 makes no request for a key that does not exist.
    ...(isKmsObject(objectCase) && context.facts.keys[objectCase.encryption.keyArn] !== null
      ? [
          createKeyCheck(
            context,
            'RK1307',
            `decrypt the object${withBucketKey(objectCase)}`,
            'kms:Decrypt',
            source,
            objectCase,
            objectCase.encryption.keyArn,
          ),
        ]
      : []),
  ];
}

/** The replica key and the findings about its state. */
interface ReplicaKey {
  arn?: string;
  stateFindings: readonly Finding[];
}

/**
 * Returns the checks for writing the replica: the write permission first, then the data key, and tags last. Without the
 * permission to read tags, S3 replicates an object that has none, and loses the tags of an object that has some (S3 User Guide,
 * "Setting up permissions for live replication").
 *
 * @param hasTags whether objects with tags are typical
 */
export function writeChecks(
  context: RuleContext,
  objectCase: ObjectCase,
  replicaKey: ReplicaKey,
  hasTags: boolean,
): (AccessCheck | Finding)[] {
  const { source, destination = context.unreadDestination } = context;
  if (!destination) return [];
  const target = {
    bucket: destination,
    key: objectCase.key,
    isTypical: objectCase.type === 'delete marker' || objectCase.isTypical,
    ...(objectCase.type === 'object' && { concerns: concernsOf(objectCase) }),
  };
  if (objectCase.type === 'delete marker')
    return [createObjectCheck(context, 'RK1310', 'replicate a delete marker', 's3:ReplicateDelete', target)];
  const isKmsReplica = isKmsObject(objectCase) && selectsKmsObjects(context.rule);
  const headers: Record<string, string> = {
    's3:x-amz-server-side-encryption': objectCase.encryption.algorithm,
  };
  if (isKmsReplica && replicaKey.arn !== undefined)
    headers['s3:x-amz-server-side-encryption-aws-kms-key-id'] = replicaKey.arn;
  // AWS does not document whether S3 sends the replica's headers with these additional requests.
  const optionalTarget = { ...target, optionalContext: headers };
  return [
    createObjectCheck(context, 'RK1308', 'write the replica', 's3:ReplicateObject', {
      ...target,
      conditionKeys: headers,
    }),
    ...(changesOwner(context)
      ? [
          createObjectCheck(
            context,
            'RK1311',
            'change the owner of the replica',
            's3:ObjectOwnerOverrideToBucketOwner',
            optionalTarget,
          ),
        ]
      : []),
    ...(isKmsReplica && replicaKey.arn !== undefined
      ? encryptChecks(context, destination, objectCase, replicaKey.arn, replicaKey.stateFindings)
      : []),
    {
      ...createObjectCheck(context, 'RK1306', 'read the tags of the object', 's3:GetObjectVersionTagging', {
        ...target,
        bucket: source,
      }),
      ...ofTaggedObjects(target.isTypical && hasTags),
    },
    {
      ...createObjectCheck(
        context,
        'RK1309',
        'write the tags of the replica',
        's3:ReplicateTags',
        optionalTarget,
      ),
      ...ofTaggedObjects(target.isTypical && hasTags),
      // ReplicateObject covers tags, too.
      alternative: { action: 's3:ReplicateObject', overridesDeny: false },
    },
  ];
}

const ofTaggedObjects = (isTypical: boolean) => ({ isTypical, concerns: 'objects with tags' });

/**
 * Returns the checks for encrypting the replica. S3 creates and checks a Bucket Key before it encrypts the object; the
 * source object determines the Bucket Key setting. KMS checks the state of a key after it has authorized the caller.
 */
function encryptChecks(
  context: RuleContext,
  destination: RuleBucket,
  kmsObject: KmsObject,
  keyArn: string,
  stateFindings: readonly Finding[],
): (AccessCheck | Finding)[] {
  const createCheck = (code: FindingCode, purpose: string, action: string) =>
    createKeyCheck(context, code, purpose, action, destination, kmsObject, keyArn);
  const encryptCheck = createCheck('RK1312', `encrypt the replica${withBucketKey(kmsObject)}`, 'kms:Encrypt');
  if (!kmsObject.encryption.bucketKey) return [encryptCheck, ...stateFindings];
  return [
    createCheck('RK1313', 'create the Bucket Key of the destination', 'kms:GenerateDataKey'),
    ...stateFindings,
    createCheck('RK1313', 'check the Bucket Key of the destination', 'kms:Decrypt'),
    encryptCheck,
  ];
}

const withBucketKey = ({ encryption }: KmsObject): string =>
  encryption.bucketKey ? ' (with a Bucket Key)' : '';

type KmsObject = Extract<ObjectCase, { type: 'object' }> & { encryption: KmsEncryption };

const isKmsObject = (objectCase: ObjectCase): objectCase is KmsObject =>
  objectCase.type === 'object' && objectCase.encryption.algorithm !== 'AES256';

const createBucketCheck = (
  context: RuleContext,
  code: FindingCode,
  purpose: string,
  action: string,
): AccessCheck => ({
  code,
  purpose,
  request: roleSessionRequest(context, action, context.source.arn, context.source, {
    's3:ResourceAccount': context.source.account,
  }),
  resourcePolicy: { kind: 'bucket', of: context.source.name },
  isTypical: true,
});

/** Names the objects of a case, which differ from others by their encryption. */
const concernsOf = ({ encryption }: Extract<ObjectCase, { type: 'object' }>): string => {
  if (encryption.algorithm === 'AES256') return 'objects under SSE-S3';
  if (encryption.algorithm === 'aws:kms:dsse') return 'objects under DSSE-KMS';
  return `objects under SSE-KMS ${encryption.bucketKey ? 'with' : 'without'} a Bucket Key`;
};

const locationOfKey = (arn: string) => ({ account: accountOfArn(arn), region: regionOfArn(arn) });

interface ObjectTarget {
  bucket: RuleBucket;
  key: string;
  isTypical: boolean;
  concerns?: string;
  /** Condition keys that S3 sends with the request. */
  conditionKeys?: Record<string, string>;
  /** Condition keys that S3 may send. */
  optionalContext?: Record<string, string>;
}

const createObjectCheck = (
  context: RuleContext,
  code: FindingCode,
  purpose: string,
  action: string,
  { bucket, key, isTypical, concerns, conditionKeys, optionalContext }: ObjectTarget,
): AccessCheck => ({
  code,
  purpose,
  request: {
    ...roleSessionRequest(context, action, `${bucket.arn}/${key}`, bucket, {
      's3:ResourceAccount': bucket.account,
      ...conditionKeys,
    }),
    ...(optionalContext && { optionalContext }),
  },
  resourcePolicy: { kind: 'bucket', of: bucket.name },
  isTypical,
  ...(concerns !== undefined && { concerns }),
});

/**
 * Returns a check on a key. The encryption context names the bucket with an S3 Bucket Key, and the object without one.
 */
const createKeyCheck = (
  context: RuleContext,
  code: FindingCode,
  purpose: string,
  action: string,
  bucket: RuleBucket,
  kmsObject: KmsObject,
  keyName: string,
): AccessCheck => {
  const { key, encryption, isTypical } = kmsObject;
  // KMS evaluates the key itself, even if the caller names it by an alias.
  const keyArn = factValue(context.facts.keys[keyName])?.arn ?? keyName;
  return {
    code,
    purpose,
    request: roleSessionRequest(context, action, keyArn, locationOfKey(keyArn), {
      'kms:ViaService': `s3.${bucket.region}.amazonaws.com`,
      'kms:CallerAccount': context.session.account,
      'kms:EncryptionContext:aws:s3:arn': encryption.bucketKey ? bucket.arn : `${bucket.arn}/${key}`,
      'kms:EncryptionContextKeys': ['aws:s3:arn'],
    }),
    resourcePolicy: { kind: 'key', of: keyArn },
    isTypical,
    concerns: concernsOf(kmsObject),
  };
};

/**
 * Returns a request of the role's session, with the condition keys that every request carries: those of the session, of
 * the role and its tags, and the Region of the bucket or key (IAM User Guide, "AWS global condition context keys").
 */
export function roleSessionRequest(
  { role, session, facts }: Pick<RuleContext, 'role' | 'session' | 'facts'>,
  action: string,
  resource: string,
  target: { account: string; region: string },
  context: Record<string, string | string[]>,
): UncertainRequest {
  const { id, tags } = factValue(facts.roles[role]) ?? {};
  const resourceAccount = target.account;
  const organizationKeys = organizationKeysOf(facts, {
    Principal: session.account,
    Resource: resourceAccount,
  });
  return {
    principal: session.principal,
    action,
    resource,
    resourceAccount,
    absentKeys: organizationKeys.absent,
    outsideOrganizations: organizationKeys.outside,
    ...(tags && { hasAllPrincipalTags: true }),
    context: {
      ...Object.fromEntries(
        Object.entries(tags ?? {}).map(([key, value]) => [`aws:PrincipalTag/${key}`, value]),
      ),
      // A session is named after the role's id and the session.
      ...(id && { 'aws:userId': `${id}:${session.name}` }),
      ...(target.region !== '' && { 'aws:RequestedRegion': target.region }),
      'aws:ViaAWSService': 'false',
      'aws:PrincipalArn': role,
      'aws:PrincipalAccount': session.account,
      'aws:PrincipalType': 'AssumedRole',
      'aws:PrincipalIsAWSService': 'false',
      'aws:ResourceAccount': resourceAccount,
      'aws:SecureTransport': 'true',
      ...organizationKeys.context,
      ...context,
    },
  };
}
