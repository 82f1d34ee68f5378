/**
 * Outputs by fact id, which replace recorded outputs that are prose or lack placeholders for varying values. The
 * scenario of the fact returns a value in the same form.
 */
export const OUTPUTS_AS_DATA: Record<string, Record<string, unknown>> = {
  'moto/iam-role-optional-attrs': {
    bare: ['RoleLastUsed'],
    full: ['PermissionsBoundary', 'RoleLastUsed', 'Tags'],
    listed: [],
  },
  'c7n/test_cross_account_kms_condition_keys_1/kms.ScheduleKeyDeletion_1': {
    KeyId: 'arn:aws:kms:af-south-1:644160558196:key/<key-id>',
    DeletionDate: '<datetime>',
    KeyState: 'PendingDeletion',
    PendingWindowInDays: 7,
  },
  'localstack/s3.get_bucket_encryption/test_s3_bucket_encryption_sse_kms#get-bucket-enc': {
    ServerSideEncryptionConfiguration: {
      Rules: [
        {
          ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: '<uuid:1>' },
          BucketKeyEnabled: true,
        },
      ],
    },
    asSpelled: true,
  },
  'stackd/valid-v2-get': { kept: true },
  'stackd/failed-put-keeps-old': { refused: true, kept: true },
  'stackd/filter-tag': { kept: true },
  'stackd/filter-and': { kept: true },
  'stackd/repmod': { kept: true },
  'stackd/v2-noid': { kept: true },
  'stackd/deny-tags': { source: 'FAILED', destination: { ReplicationStatus: 'REPLICA', tags: [] } },
  'stackd/replica-identity': {
    ReplicationStatus: 'REPLICA',
    VersionId: '= source',
    LastModified: '= source',
    ETag: '= source',
    StorageClass: 'STANDARD',
  },
  'c7n/test_s3_replication_policy_disable/s3.GetBucketReplication_1': replicator('Enabled'),
  'c7n/test_s3_replication_policy_disable/s3.GetBucketReplication_3': replicator('Disabled'),
};

/** Returns the recorded configuration with a placeholder for the account, which was recorded with 13 digits. */
function replicator(Status: string) {
  const rule = {
    ID: '1',
    Priority: 1,
    Filter: {},
    Status,
    Destination: { Bucket: 'arn:aws:s3:::repela3' },
    DeleteMarkerReplication: { Status: 'Disabled' },
  };
  return {
    ReplicationConfiguration: { Role: 'arn:aws:iam::<account>:role/s3_replicator', Rules: [rule] },
  };
}
