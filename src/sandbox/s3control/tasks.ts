import type { Decision, OneOrMany } from '../../iam/types.ts';
import { assumeRole } from '../authorize.ts';
import { AwsError } from '../aws-error.ts';
import type { KeyService } from '../kms/keys.ts';
import { versionConditionKeysOf } from '../s3/condition-keys.ts';
import {
  type EncryptionUpdate,
  UPDATE_ENCRYPTION_ACTIONS,
  updateObjectEncryption,
} from '../s3/object-encryption.ts';
import { authorizeServiceRole } from '../s3/replicate-object.ts';
import type { Replicator } from '../s3/replicator.ts';
import type { BucketState, JobState, VersionState } from '../state.ts';
import type { Store } from '../store.ts';
import type { TaskTarget } from './manifest.ts';

/** Result of a task, as a row of the report has it. */
export interface TaskResult {
  succeeded: boolean;
  httpStatus: number;
  errorCode: string;
  message: string;
}

export interface TaskDeps {
  store: Store;
  keyService: KeyService;
  replicator: Replicator;
  clock: () => number;
}

const SUCCESS: TaskResult = { succeeded: true, httpStatus: 200, errorCode: '', message: 'Successful' };

/**
 * Returns a failed task of a replication. AWS documents no HTTP status for them; the only public row of a report has 500:
 * `failed,500,SrcObjectNotEligible,Object is not eligible for replication`.
 */
const replicationFailure = (errorCode: string, message: string): TaskResult => ({
  succeeded: false,
  httpStatus: 500,
  errorCode,
  message,
});

/**
 * Returns the session of a job's role.
 *
 * S3 User Guide, "Configuring an IAM role for S3 Batch Replication": the trust policy of that page has no condition. AWS does
 * not document condition keys for this request, so that it has none here.
 */
export function assumeJobRole({ store, clock }: TaskDeps, { roleArn }: JobState) {
  return assumeRole(store, roleArn, 'batchoperations.s3.amazonaws.com', clock(), {}, 's3-batch-operations');
}

export const authorizeJobRole = (
  { store, clock }: TaskDeps,
  principal: string,
  action: string,
  bucket: BucketState,
  key?: string,
  context: Record<string, OneOrMany<string>> = {},
): Decision => authorizeServiceRole(store, clock(), principal, action, bucket, key, context);

/** Runs one task of a job. Synchronous, so that one commit contains its effect and the progress of the job. */
export function runTask(deps: TaskDeps, job: JobState, [key, versionId]: TaskTarget): TaskResult {
  const { decision, principal } = assumeJobRole(deps, job);
  if (principal === undefined) return replicationFailure('AssumeRoleNotPermitted', decision.reason);
  const bucket = deps.store.bucket(sourceBucketNameOf(job));
  if (!bucket) return replicationFailure('SrcBucketNotFound', 'The source bucket does not exist');
  const version = bucket.objects.get(key)?.find((candidate) => candidate.versionId === versionId);
  const update = job.operation.S3UpdateObjectEncryption?.ObjectEncryption?.SSEKMS;
  return job.operation.S3ReplicateObject
    ? replicate(deps, bucket, version, principal)
    : changeEncryption(deps, bucket, version, update ?? {}, principal);
}

/** Returns the name of the bucket that a job concerns. */
export const sourceBucketNameOf = ({ generator }: JobState): string =>
  generator.S3JobManifestGenerator?.SourceBucket?.split(':::')[1] ?? '';

/** The error codes are those of the S3 User Guide, "Amazon S3 replication failure reasons". */
function replicate(
  deps: TaskDeps,
  bucket: BucketState,
  version: VersionState | undefined,
  principal: string,
): TaskResult {
  if (!version) return replicationFailure('SrcVersionNotFound', 'The source object version does not exist');
  const { key, versionId } = version;
  const decision = authorizeJobRole(
    deps,
    principal,
    's3:InitiateReplication',
    bucket,
    key,
    versionConditionKeysOf('s3:InitiateReplication', versionId, version),
  );
  if (!decision.allowed) return replicationFailure('InitiateReplicationNotPermitted', decision.reason);
  if (!bucket.replication)
    return replicationFailure(
      'SrcBucketReplicationConfigMissing',
      'The source bucket has no replication configuration',
    );
  const attempts = deps.replicator.replicateExisting(bucket, version);
  if (attempts.length === 0)
    return replicationFailure('SrcObjectNotEligible', 'Object is not eligible for replication');
  const failure = attempts.find(({ status }) => status === 'FAILED');
  return failure ? replicationFailure(failure.reason ?? '', failure.detail ?? '') : SUCCESS;
}

function changeEncryption(
  deps: TaskDeps,
  bucket: BucketState,
  version: VersionState | undefined,
  update: EncryptionUpdate,
  principal: string,
): TaskResult {
  try {
    if (!version) throw new AwsError(404, 'NoSuchKey', 'The specified key does not exist.');
    for (const action of UPDATE_ENCRYPTION_ACTIONS) {
      const { allowed, reason } = authorizeJobRole(deps, principal, action, bucket, version.key, {
        ...versionConditionKeysOf(action, version.versionId, version),
        's3:x-amz-server-side-encryption': 'aws:kms',
        's3:x-amz-server-side-encryption-aws-kms-key-id': update.KMSKeyArn ?? '',
      });
      if (!allowed) throw new AwsError(403, 'AccessDenied', reason);
    }
    updateObjectEncryption(deps, bucket, version, update, principal, deps.clock());
    return SUCCESS;
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    return { succeeded: false, httpStatus: error.status, errorCode: error.code, message: error.message };
  }
}
