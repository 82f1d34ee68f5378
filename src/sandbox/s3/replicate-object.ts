import { randomBytes } from 'node:crypto';
import type { ReplicationRule } from '@aws-sdk/client-s3';
import { accountOfArn } from '../../iam/context.ts';
import type { Decision, OneOrMany } from '../../iam/types.ts';
import { bucketArn } from '../../util/arn.ts';
import { decryptAead, encryptAead } from '../aead.ts';
import { assumeRole, authorize, bucketPolicyOf, isRestrictedFor } from '../authorize.ts';
import { AwsError } from '../aws-error.ts';
import type { KeyAction, KeyService } from '../kms/keys.ts';
import type { BucketState, ObjectEncryption, ReplicationState, VersionState } from '../state.ts';
import type { Store } from '../store.ts';
import { versionConditionKeysOf } from './condition-keys.ts';
import {
  blocksCustomerKeys,
  chooseEncryption,
  decryptObject,
  encryptionContextArnOf,
  encryptObject,
  viaServiceOf,
} from './encryption.ts';
import { addReplica, findVersion, type ObjectLock, withDefaultRetention } from './versions.ts';

type ReplicationAttempt = ReplicationState['attempts'][number];

interface ReplicationDeps {
  store: Store;
  keyService: KeyService;
  clock: () => number;
}

/** A failed replication: S3's failure reason, and an explanation as the message. */
class ReplicationFailure extends Error {
  readonly reason: string;

  constructor(reason: string, detail: string) {
    super(detail);
    this.reason = reason;
  }
}

/**
 * Replicates one version by one rule, as S3 does. S3 makes every request as the replication role. The trust, role,
 * bucket and key policies authorize each request, with the encryption context of the object.
 */
export const attemptReplication = (
  source: BucketState,
  version: VersionState,
  rule: ReplicationRule,
  deps: ReplicationDeps,
): ReplicationAttempt => toAttempt(rule, () => replicateVersion(source, version, rule, deps));

/** Replicates changed tags by one rule to the existing replica of a version. */
export const attemptTagReplication = (
  source: BucketState,
  version: VersionState,
  rule: ReplicationRule,
  deps: ReplicationDeps,
): ReplicationAttempt => toAttempt(rule, () => replicateTags(source, version, rule, deps));

/**
 * Runs a replication and returns its result as an attempt. `replicate` returns a failure if it still wrote a replica,
 * and throws any other failure.
 */
function toAttempt(
  rule: ReplicationRule,
  replicate: () => ReplicationFailure | undefined,
): ReplicationAttempt {
  const ruleFields = { ruleId: rule.ID ?? '', destination: rule.Destination?.Bucket ?? '' };
  const toFailedAttempt = ({ reason, message }: ReplicationFailure): ReplicationAttempt => ({
    ...ruleFields,
    status: 'FAILED',
    reason,
    detail: message,
  });
  try {
    const partialFailure = replicate();
    return partialFailure ? toFailedAttempt(partialFailure) : { ...ruleFields, status: 'COMPLETED' };
  } catch (error) {
    if (!(error instanceof ReplicationFailure)) throw error;
    return toFailedAttempt(error);
  }
}

type RoleAuthorizer = (
  action: string,
  bucket: BucketState,
  key?: string,
  context?: Record<string, string>,
) => Decision;

/**
 * Assumes the replication role and checks the destination: it exists, and has versioning and Object Lock as required.
 *
 * @throws ReplicationFailure when a check fails, or when the role lacks permission to read the source's replication
 * configuration or to list the source.
 */
function prepareReplication(
  source: BucketState,
  version: VersionState,
  rule: ReplicationRule,
  { store, clock }: ReplicationDeps,
) {
  const role = source.replication?.Role;
  if (role === undefined)
    throw new ReplicationFailure('SrcBucketReplicationConfigMissing', 'the configuration was removed');
  const { decision, principal } = assumeRole(store, role, 's3.amazonaws.com', clock(), {
    'aws:SourceAccount': source.owner,
    'aws:SourceArn': bucketArn(source.name, source.region),
  });
  if (principal === undefined) throw new ReplicationFailure('AssumeRoleNotPermitted', decision.reason);

  const destination = store.bucket((rule.Destination?.Bucket ?? '').split(':::')[1] ?? '');
  if (!destination)
    throw new ReplicationFailure('DstBucketNotFound', `${rule.Destination?.Bucket} does not exist`);
  const declaredAccount = rule.Destination?.Account;
  // S3 API Reference, Destination: the account must be that of the destination's owner. S3 names no reason of its own.
  if (declaredAccount !== undefined && declaredAccount !== destination.owner) {
    throw new ReplicationFailure(
      'DstPutObjectNotPermitted',
      `${destination.name} belongs to account ${destination.owner}, and the rule names ${declaredAccount}`,
    );
  }
  if (destination.versioning?.Status !== 'Enabled') {
    throw new ReplicationFailure(
      'DstBucketUnversioned',
      `versioning is ${destination.versioning?.Status ?? 'off'} on ${destination.name}`,
    );
  }
  if (source.objectLock && !destination.objectLock) {
    throw new ReplicationFailure(
      'DstBucketObjectLockConfigMissing',
      `${destination.name} has no Object Lock`,
    );
  }

  const authorizeRole: RoleAuthorizer = (action, bucket, key, context = {}) =>
    authorizeServiceRole(store, clock(), principal, action, bucket, key, {
      ...(bucket === source && key !== undefined
        ? versionConditionKeysOf(action, version.versionId, version)
        : {}),
      ...context,
    });
  requireAllowed('SrcGetObjectNotPermitted', authorizeRole('s3:GetReplicationConfiguration', source));
  requireAllowed('SrcGetObjectNotPermitted', authorizeRole('s3:ListBucket', source));
  return { role, principal, destination, authorizeRole };
}

/** Evaluates a request that S3 makes with the session of a role, on a bucket or an object. */
export function authorizeServiceRole(
  store: Store,
  now: number,
  principal: string,
  action: string,
  bucket: BucketState,
  key?: string,
  context: Record<string, OneOrMany<string>> = {},
): Decision {
  if (isRestrictedFor(bucket, accountOfArn(principal))) return restrictedDecision(bucket);
  return authorize(
    store,
    {
      principal,
      action,
      resource: [bucketArn(bucket.name, bucket.region), ...(key === undefined ? [] : [key])].join('/'),
      resourceAccount: bucket.owner,
      context: {
        'aws:SecureTransport': 'true',
        'aws:RequestedRegion': bucket.region,
        's3:ResourceAccount': bucket.owner,
        ...context,
      },
      ...bucketPolicyOf(store, bucket, now),
    },
    now,
  );
}

const restrictedDecision = ({ name }: BucketState): Decision => ({
  allowed: false,
  kind: 'explicitDeny',
  statements: [],
  reason: `the policy of ${name} is public and RestrictPublicBuckets is on`,
});

function requireAllowed(reason: string, decision: Decision): void {
  if (!decision.allowed) throw new ReplicationFailure(reason, decision.reason);
}

function replicateTags(
  source: BucketState,
  version: VersionState,
  rule: ReplicationRule,
  deps: ReplicationDeps,
): undefined {
  const { destination, authorizeRole } = prepareReplication(source, version, rule, deps);
  requireAllowed(
    'SrcGetTaggingNotPermitted',
    authorizeRole('s3:GetObjectVersionTagging', source, version.key),
  );
  requireAllowed('DstPutTaggingNotPermitted', decideTagWrite(authorizeRole, destination, version.key));
  const replica = findVersion(destination, version.key, version.versionId);
  if (!replica)
    throw new ReplicationFailure(
      'DstVersionNotFound',
      `${destination.name} has no version ${version.versionId} of it`,
    );
  replica.tags = new Map(version.tags);
  deps.store.markObjectChanged(destination, replica.key);
}

/**
 * Replicates a delete marker or an object.
 *
 * @returns a failure that still leaves a replica, without its tags; otherwise undefined.
 * @throws ReplicationFailure when S3 writes no replica.
 */
function replicateVersion(
  source: BucketState,
  version: VersionState,
  rule: ReplicationRule,
  deps: ReplicationDeps,
): ReplicationFailure | undefined {
  const { store } = deps;
  const { role, principal, destination, authorizeRole } = prepareReplication(source, version, rule, deps);
  if (version.deleteMarker) {
    requireAllowed('DstDelObjNotPermitted', authorizeRole('s3:ReplicateDelete', destination, version.key));
    addReplica(store, destination, toReplica(version, {}));
    return undefined;
  }

  const isSseS3 = version.encryption.algorithm === 'AES256';
  const readDecision = authorizeRole('s3:GetObjectVersionForReplication', source, version.key);
  // GetObjectVersion is sufficient for objects without KMS encryption.
  if (
    !readDecision.allowed &&
    !(isSseS3 && authorizeRole('s3:GetObjectVersion', source, version.key).allowed)
  ) {
    throw new ReplicationFailure('SrcGetObjectNotPermitted', readDecision.reason);
  }
  requireAllowed('SrcGetAclNotPermitted', authorizeRole('s3:GetObjectVersionAcl', source, version.key));
  if (version.owner !== undefined && version.owner !== source.owner) {
    // S3 User Guide, "Requirements for replication": the owner of the bucket needs READ and READ_ACP on the object.
    throw new ReplicationFailure(
      'SrcGetAclNotPermitted',
      `account ${version.owner} owns the object, and its ACL does not grant access to the owner of ${source.name}`,
    );
  }
  if (source.objectLock) {
    // S3 requires both for every object of a locked bucket: with a default retention, every new object has one.
    requireAllowed(
      'SrcGetRetentionNotPermitted',
      authorizeRole('s3:GetObjectRetention', source, version.key),
    );
    requireAllowed(
      'SrcGetLegalHoldNotPermitted',
      authorizeRole('s3:GetObjectLegalHold', source, version.key),
    );
  }
  const hasCustomerKey = version.encryption.customerKey === true;
  const body = hasCustomerKey ? Buffer.alloc(0) : readSourceBody(source, version, principal, deps);

  const keyArn = isSseS3 ? undefined : resolveReplicaKey(version, rule, role, destination, deps);
  const conditionKeys: Record<string, string> = hasCustomerKey
    ? { 's3:x-amz-server-side-encryption-customer-algorithm': version.encryption.algorithm }
    : { 's3:x-amz-server-side-encryption': version.encryption.algorithm };
  if (keyArn !== undefined) conditionKeys['s3:x-amz-server-side-encryption-aws-kms-key-id'] = keyArn;
  requireAllowed(
    'DstPutObjectNotPermitted',
    authorizeRole('s3:ReplicateObject', destination, version.key, conditionKeys),
  );
  if (
    rule.Destination?.AccessControlTranslation?.Owner === 'Destination' &&
    destination.owner !== source.owner
  ) {
    requireAllowed(
      'DstPutObjectNotPermitted',
      authorizeRole('s3:ObjectOwnerOverrideToBucketOwner', destination, version.key),
    );
  }
  // S3 User Guide, "Blocking or unblocking SSE-C": "the replication will fail with an HTTP 403 AccessDenied error".
  if (hasCustomerKey && blocksCustomerKeys(destination))
    throw new ReplicationFailure('DstPutObjectNotPermitted', `${destination.name} blocks SSE-C`);
  const { blob, encryption } = hasCustomerKey
    ? copyCiphertext(version, deps)
    : storeReplica(destination, version, body, keyArn, principal, deps);

  const tagFailure = checkTagPermissions(version, authorizeRole, source, destination);
  addReplica(
    store,
    destination,
    toReplica(version, {
      blob,
      encryption,
      tags: tagFailure ? new Map() : version.tags,
      ...withDefaultRetention(destination, version, version.modified),
      // A batch job can replace a replica; the lock of a version can only become longer.
      ...lockOf(findReplica(destination, version)),
      ...replicaOwnerOf(source, destination, rule),
      ...(rule.Destination?.StorageClass === undefined
        ? {}
        : { storageClass: rule.Destination.StorageClass }),
    }),
  );
  return tagFailure;
}

/** Returns the replica of a version in a bucket; undefined if there is none. */
export const findReplica = ({ objects }: BucketState, { key, versionId }: VersionState) =>
  objects.get(key)?.find((candidate) => candidate.versionId === versionId);

/** Returns the Object Lock of a version. */
const lockOf = (version: VersionState | undefined): ObjectLock => ({
  ...(version?.retention && { retention: version.retention }),
  ...(version?.legalHold === undefined ? {} : { legalHold: version.legalHold }),
});

/** Returns the replica of a version. It keeps the version id, time, metadata and ETag of its source. */
const toReplica = (version: VersionState, overrides: Partial<VersionState>): VersionState => ({
  ...version,
  ...overrides,
  replication: { status: 'REPLICA', attempts: [] },
});

/**
 * Returns the owner of a replica: the account of the source. The bucket owner of the destination owns it instead if the
 * rule translates the owner, or if the destination has BucketOwnerEnforced.
 */
function replicaOwnerOf(
  source: BucketState,
  destination: BucketState,
  rule: ReplicationRule,
): { owner?: string } {
  if (source.owner === destination.owner) return {};
  if (rule.Destination?.AccessControlTranslation?.Owner === 'Destination') return {};
  const ownership = destination.ownership?.Rules?.[0]?.ObjectOwnership;
  return ownership === 'BucketOwnerEnforced' ? {} : { owner: source.owner };
}

/**
 * Returns a failure when the version has tags, and the role lacks permission to read or replicate them.
 * fact: a missing tagging permission leaves a replica without tags, and the source FAILED.
 */
function checkTagPermissions(
  version: VersionState,
  authorizeRole: (action: string, bucket: BucketState, key: string) => Decision,
  source: BucketState,
  destination: BucketState,
): ReplicationFailure | undefined {
  if (version.tags.size === 0) return undefined;
  const readDecision = authorizeRole('s3:GetObjectVersionTagging', source, version.key);
  if (!readDecision.allowed) return new ReplicationFailure('SrcGetTaggingNotPermitted', readDecision.reason);
  const writeDecision = decideTagWrite(authorizeRole, destination, version.key);
  return writeDecision.allowed
    ? undefined
    : new ReplicationFailure('DstPutTaggingNotPermitted', writeDecision.reason);
}

/** Decides about the tags of a replica: ReplicateObject covers them, unless a policy denies ReplicateTags explicitly. */
function decideTagWrite(
  authorizeRole: (action: string, bucket: BucketState, key: string) => Decision,
  destination: BucketState,
  key: string,
): Decision {
  const decision = authorizeRole('s3:ReplicateTags', destination, key);
  if (decision.allowed || decision.kind === 'explicitDeny') return decision;
  const byObject = authorizeRole('s3:ReplicateObject', destination, key);
  return byObject.allowed ? byObject : decision;
}

function readSourceBody(
  source: BucketState,
  version: VersionState,
  principal: string,
  { store, keyService }: ReplicationDeps,
): Buffer {
  const { encryption } = version;
  const { keyArn } = encryption;
  const data = version.blob === undefined ? Buffer.alloc(0) : store.getBlob(version.blob);
  if (keyArn === undefined) return decryptObject(store, keyService, source, version, principal);
  const dataKey = mapKmsErrorsToFailures(
    { DisabledException: 'SrcKmsKeyInvalidState', KMSInvalidStateException: 'SrcKmsKeyInvalidState' },
    'SrcGetObjectNotPermitted',
    () =>
      keyService.decrypt(
        { keyArn, principal, viaService: viaServiceOf(source), context: encryption.context },
        encryption.wrapped,
      ),
  );
  return decryptAead(dataKey, { iv: encryption.iv, tag: encryption.tag, data });
}

/** Returns the ARN of the replica's key: the related key, or the one that the rule names. S3 resolves an alias in the account of the role, the source's account. */
function resolveReplicaKey(
  version: VersionState,
  rule: ReplicationRule,
  role: string,
  destination: BucketState,
  { keyService }: ReplicationDeps,
): string {
  const { ReplicaKmsKeyID = '', UseSourceMultiRegionKey: related } =
    rule.Destination?.EncryptionConfiguration ?? {};
  const { keyArn = '' } = version.encryption;
  // The related key has the same id. AWS does not document what S3 does with other keys; the sandbox uses the key of the rule.
  const isRelated = related?.Status === 'Enabled' && keyArn.includes(':key/mrk-');
  const keyId = isRelated ? keyArn.split(':').with(3, destination.region).join(':') : ReplicaKmsKeyID;
  const account = role.split(':')[4] ?? '';
  return mapKmsErrorsToFailures({}, 'DstKmsKeyNotFound', () =>
    keyService.resolve(keyId, { account, region: destination.region }),
  );
}

/**
 * Encrypts and stores the bytes of a replica. A KMS object uses the replica key, with the Bucket Key setting of its
 * source. Each write needs kms:Encrypt. With a Bucket Key, S3 also needs kms:GenerateDataKey and kms:Decrypt, to create
 * and verify that key.
 */
function storeReplica(
  destination: BucketState,
  version: VersionState,
  body: Buffer,
  keyArn: string | undefined,
  principal: string,
  { store, keyService }: ReplicationDeps,
): { blob: string; encryption: ObjectEncryption } {
  if (keyArn === undefined) {
    const encryptionChoice = chooseEncryption(
      { ServerSideEncryption: 'AES256' },
      destination,
      keyService,
      destination.owner,
    );
    return encryptObject(store, keyService, destination, version.key, body, encryptionChoice, principal);
  }
  const { bucketKey, algorithm } = version.encryption;
  const context = { 'aws:s3:arn': encryptionContextArnOf(destination, version.key, bucketKey) };
  const keyRequest = { keyArn, principal, viaService: viaServiceOf(destination), context };
  const failureReasons = {
    DisabledException: 'DstKmsKeyInvalidState',
    KMSInvalidStateException: 'DstKmsKeyInvalidState',
    InvalidKeyUsageException: 'DstKmsKeyInvalidState',
    NotFoundException: 'DstKmsKeyNotFound',
  };
  const actions: KeyAction[] = bucketKey ? ['kms:GenerateDataKey', 'kms:Decrypt'] : [];
  const plaintext = randomBytes(32);
  const wrapped = mapKmsErrorsToFailures(failureReasons, 'DstPutObjectNotPermitted', () => {
    for (const action of actions) keyService.check(keyRequest, action);
    return keyService.encrypt(keyRequest, plaintext);
  });
  const ciphertext = encryptAead(plaintext, body);
  return {
    blob: store.putBlob(ciphertext.data),
    encryption: { algorithm, keyArn, bucketKey, wrapped, context, iv: ciphertext.iv, tag: ciphertext.tag },
  };
}

/** Copies an object under SSE-C as it is. S3 does not have the key of the caller, and the replica needs the same key. */
function copyCiphertext(
  { blob, encryption }: VersionState,
  { store }: ReplicationDeps,
): { blob: string; encryption: ObjectEncryption } {
  const data = blob === undefined ? Buffer.alloc(0) : store.getBlob(blob);
  return { blob: store.putBlob(data), encryption };
}

/**
 * Runs an action and maps errors of KMS to S3's failure reasons. A code without an entry in `reasons` maps to
 * `defaultReason`; for an access denial that is the failure reason of the object operation.
 */
function mapKmsErrorsToFailures<T>(
  reasons: Record<string, string>,
  defaultReason: string,
  action: () => T,
): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    throw new ReplicationFailure(reasons[error.code] ?? defaultReason, `${error.code}: ${error.message}`);
  }
}
