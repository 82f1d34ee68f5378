import { randomBytes } from 'node:crypto';
import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { Decision } from '../../iam/types.ts';
import { assumeRole, authorize, storedPolicy } from '../authorize.ts';
import { AwsError } from '../aws-error.ts';
import type { KeyAction, KeyService } from '../kms-service.ts';
import { seal, unseal } from '../sealed.ts';
import type { BucketState, ObjectEncryption, ReplicationState, VersionState } from '../state.ts';
import type { Store } from '../store.ts';
import { chooseEncryption, contextArn, decryptObject, encryptObject, viaService } from './encryption.ts';
import { addVersion, findVersion } from './versions.ts';

type Attempt = ReplicationState['attempts'][number];

interface Means {
  store: Store;
  keys: KeyService;
  clock: () => number;
}

/** S3's failure reason, and in words why. */
class Failure extends Error {
  readonly reason: string;

  constructor(reason: string, detail: string) {
    super(detail);
    this.reason = reason;
  }
}

/**
 * Replicate one version under one rule, as S3 does: every request is made as the role and authorised against trust,
 * role, bucket and key policies, with the encryption context that the object has.
 */
export const attempt = (
  source: BucketState,
  version: VersionState,
  rule: ReplicationRule,
  means: Means,
): Attempt => told(rule, () => replicateOne(source, version, rule, means));

/** Carry a change of tags over to the version that was replicated before, under one rule. */
export const attemptTags = (
  source: BucketState,
  version: VersionState,
  rule: ReplicationRule,
  means: Means,
): Attempt => told(rule, () => syncTags(source, version, rule, means));

/** What became of it; a failure may be returned, where it left something behind, or thrown. */
function told(rule: ReplicationRule, work: () => Failure | undefined): Attempt {
  const about = { ruleId: rule.ID ?? '', destination: rule.Destination?.Bucket ?? '' };
  const failed = ({ reason, message }: Failure): Attempt => ({
    ...about,
    status: 'FAILED',
    reason,
    detail: message,
  });
  try {
    const partly = work();
    return partly ? failed(partly) : { ...about, status: 'COMPLETED' };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return failed(error);
  }
}

type Ask = (action: string, bucket: BucketState, key?: string, context?: Record<string, string>) => Decision;

/** The role, assumed, and the destination, ready to take replicas. */
function begin(source: BucketState, rule: ReplicationRule, { store, clock }: Means) {
  const role = source.replication?.Role;
  if (role === undefined)
    throw new Failure('SrcBucketReplicationConfigMissing', 'the configuration was removed');
  const { decision, principal } = assumeRole(store, role, 's3.amazonaws.com', clock(), {
    'aws:SourceAccount': source.owner,
    'aws:SourceArn': `arn:aws:s3:::${source.name}`,
  });
  if (principal === undefined) throw new Failure('AssumeRoleNotPermitted', decision.reason);

  const destination = store.bucket((rule.Destination?.Bucket ?? '').split(':::')[1] ?? '');
  if (!destination) throw new Failure('DstBucketNotFound', `${rule.Destination?.Bucket} does not exist`);
  if (destination.versioning?.Status !== 'Enabled') {
    throw new Failure(
      'DstBucketUnversioned',
      `versioning is ${destination.versioning?.Status ?? 'off'} on ${destination.name}`,
    );
  }
  if (source.objectLock && !destination.objectLock) {
    throw new Failure('DstBucketObjectLockConfigMissing', `${destination.name} has no Object Lock`);
  }

  const ask: Ask = (action, bucket, key, context = {}) =>
    authorize(
      store,
      {
        principal,
        action,
        resource: key === undefined ? `arn:aws:s3:::${bucket.name}` : `arn:aws:s3:::${bucket.name}/${key}`,
        resourceAccount: bucket.owner,
        context: { 'aws:SecureTransport': 'true', 's3:ResourceAccount': bucket.owner, ...context },
        ...(bucket.policy === undefined
          ? {}
          : { resourcePolicy: storedPolicy(store, `bucket policy of ${bucket.name}`, bucket.policy) }),
      },
      clock(),
    );
  demand('SrcGetObjectNotPermitted', ask('s3:GetReplicationConfiguration', source));
  demand('SrcGetObjectNotPermitted', ask('s3:ListBucket', source));
  return { role, principal, destination, ask };
}

function demand(reason: string, answer: Decision): void {
  if (!answer.allowed) throw new Failure(reason, answer.reason);
}

function syncTags(
  source: BucketState,
  version: VersionState,
  rule: ReplicationRule,
  means: Means,
): undefined {
  const { destination, ask } = begin(source, rule, means);
  demand('SrcGetTaggingNotPermitted', ask('s3:GetObjectVersionTagging', source, version.key));
  demand('DstPutTaggingNotPermitted', ask('s3:ReplicateTags', destination, version.key));
  const other = findVersion(destination, version.key, version.versionId);
  if (!other)
    throw new Failure('DstVersionNotFound', `${destination.name} has no version ${version.versionId} of it`);
  other.tags = new Map(version.tags);
  means.store.changed(destination);
}

/** @returns a failure that leaves a replica all the same: one without its tags. */
function replicateOne(
  source: BucketState,
  version: VersionState,
  rule: ReplicationRule,
  means: Means,
): Failure | undefined {
  const { store } = means;
  const { role, principal, destination, ask } = begin(source, rule, means);
  if (version.deleteMarker) {
    demand('DstDelObjNotPermitted', ask('s3:ReplicateDelete', destination, version.key));
    addVersion(store, destination, replicaOf(version, {}));
    return undefined;
  }

  const plain = version.encryption.algorithm === 'AES256';
  const reading = ask('s3:GetObjectVersionForReplication', source, version.key);
  // GetObjectVersion is enough for everything but KMS-encrypted objects.
  if (!reading.allowed && !(plain && ask('s3:GetObjectVersion', source, version.key).allowed)) {
    throw new Failure('SrcGetObjectNotPermitted', reading.reason);
  }
  demand('SrcGetAclNotPermitted', ask('s3:GetObjectVersionAcl', source, version.key));
  const body = readSource(source, version, principal, means);

  const keyArn = plain ? undefined : replicaKey(rule, role, destination, means);
  const headers: Record<string, string> = { 's3:x-amz-server-side-encryption': version.encryption.algorithm };
  if (keyArn !== undefined) headers['s3:x-amz-server-side-encryption-aws-kms-key-id'] = keyArn;
  demand('DstPutObjectNotPermitted', ask('s3:ReplicateObject', destination, version.key, headers));
  if (
    rule.Destination?.AccessControlTranslation?.Owner === 'Destination' &&
    destination.owner !== source.owner
  ) {
    demand('DstPutObjectNotPermitted', ask('s3:ObjectOwnerOverrideToBucketOwner', destination, version.key));
  }
  const { blob, encryption } = writeReplica(destination, version, body, keyArn, principal, means);

  const tags = tagsFailure(version, ask, source, destination);
  addVersion(
    store,
    destination,
    replicaOf(version, {
      blob,
      encryption,
      tags: tags ? new Map() : version.tags,
      ...replicaOwner(source, destination, rule),
      ...(rule.Destination?.StorageClass === undefined
        ? {}
        : { storageClass: rule.Destination.StorageClass }),
    }),
  );
  return tags;
}

/** The replica keeps version id, time, metadata and ETag of its source. */
const replicaOf = (version: VersionState, given: Partial<VersionState>): VersionState => ({
  ...version,
  ...given,
  replication: { status: 'REPLICA', attempts: [] },
});

/** The source's account owns the replica, unless the rule hands it over or the destination's bucket takes all. */
function replicaOwner(
  source: BucketState,
  destination: BucketState,
  rule: ReplicationRule,
): { owner?: string } {
  if (source.owner === destination.owner) return {};
  if (rule.Destination?.AccessControlTranslation?.Owner === 'Destination') return {};
  const ownership = destination.ownership?.Rules?.[0]?.ObjectOwnership;
  return ownership === 'BucketOwnerEnforced' ? {} : { owner: source.owner };
}

/** fact: a missing tagging permission leaves a replica without tags, and the source FAILED. */
function tagsFailure(
  version: VersionState,
  ask: (action: string, bucket: BucketState, key: string) => Decision,
  source: BucketState,
  destination: BucketState,
): Failure | undefined {
  if (version.tags.size === 0) return undefined;
  const reading = ask('s3:GetObjectVersionTagging', source, version.key);
  if (!reading.allowed) return new Failure('SrcGetTaggingNotPermitted', reading.reason);
  const writing = ask('s3:ReplicateTags', destination, version.key);
  return writing.allowed ? undefined : new Failure('DstPutTaggingNotPermitted', writing.reason);
}

function readSource(
  source: BucketState,
  version: VersionState,
  principal: string,
  { store, keys }: Means,
): Buffer {
  const { encryption } = version;
  const { keyArn } = encryption;
  const data = version.blob === undefined ? Buffer.alloc(0) : store.getBlob(version.blob);
  if (keyArn === undefined) return decryptObject(store, keys, source, version, principal);
  const dataKey = asFailure(
    { DisabledException: 'SrcKmsKeyInvalidState', KMSInvalidStateException: 'SrcKmsKeyInvalidState' },
    'SrcGetObjectNotPermitted',
    () =>
      keys.decrypt(
        { keyArn, principal, viaService: viaService(source), context: encryption.context },
        encryption.wrapped,
      ),
  );
  return unseal(dataKey, { iv: encryption.iv, tag: encryption.tag, data });
}

/** The ARN of the replica's key. An alias is resolved in the account of the role, which is the source's. */
function replicaKey(rule: ReplicationRule, role: string, destination: BucketState, { keys }: Means): string {
  const name = rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID ?? '';
  const account = role.split(':')[4] ?? '';
  return asFailure({}, 'DstKmsKeyNotFound', () =>
    keys.resolve(name, { account, region: destination.region }),
  );
}

/**
 * Encrypt the replica: a KMS object under the replica key with the Bucket Key setting of its source. Writing an object
 * asks for kms:Encrypt; S3 makes and checks a bucket's key with kms:GenerateDataKey and kms:Decrypt.
 */
function writeReplica(
  destination: BucketState,
  version: VersionState,
  body: Buffer,
  keyArn: string | undefined,
  principal: string,
  { store, keys }: Means,
): { blob: string; encryption: ObjectEncryption } {
  if (keyArn === undefined) {
    const choice = chooseEncryption({ ServerSideEncryption: 'AES256' }, destination, keys, destination.owner);
    return encryptObject(store, keys, destination, version.key, body, choice, principal);
  }
  const { bucketKey, algorithm } = version.encryption;
  const context = { 'aws:s3:arn': contextArn(destination.name, version.key, bucketKey) };
  const use = { keyArn, principal, viaService: viaService(destination), context };
  const states = {
    DisabledException: 'DstKmsKeyInvalidState',
    KMSInvalidStateException: 'DstKmsKeyInvalidState',
    InvalidKeyUsageException: 'DstKmsKeyInvalidState',
    NotFoundException: 'DstKmsKeyNotFound',
  };
  const actions: KeyAction[] = bucketKey ? ['kms:GenerateDataKey', 'kms:Decrypt'] : [];
  const plaintext = randomBytes(32);
  const wrapped = asFailure(states, 'DstPutObjectNotPermitted', () => {
    for (const action of actions) keys.check(use, action);
    return keys.encrypt(use, plaintext);
  });
  const sealed = seal(plaintext, body);
  return {
    blob: store.putBlob(sealed.data),
    encryption: { algorithm, keyArn, bucketKey, wrapped, context, iv: sealed.iv, tag: sealed.tag },
  };
}

/** What KMS refuses, in the words of S3's failure reasons: a denial hides behind the object operation. */
function asFailure<T>(reasons: Record<string, string>, otherwise: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    throw new Failure(reasons[error.code] ?? otherwise, `${error.code}: ${error.message}`);
  }
}
