/** What a finding can be about: `docs/findings` has a page for each. Codes are stable: they are never given anew. */
export interface FindingKind {
  title: string;
  /**
   * `error`: objects fail, or are passed over in silence; `warning`: some may, or nobody would notice; `unknown`: it
   * could not be decided; `info`: worth knowing.
   */
  severity: 'error' | 'warning' | 'unknown' | 'info';
  /** What S3 calls it in its events of failed replication; absent where S3 says nothing. */
  failureReason?: string;
  /** The part of a spec that speaks of it. */
  place: 'rule' | 'source.bucket' | 'source.key' | 'destination.bucket' | 'destination.key' | 'role';
}

const error = (title: string, place: FindingKind['place'], failureReason?: string): FindingKind => ({
  title,
  severity: 'error',
  place,
  ...(failureReason === undefined ? {} : { failureReason }),
});
const warning = (title: string, place: FindingKind['place']): FindingKind => ({
  title,
  severity: 'warning',
  place,
});

export const CODES = {
  RK1001: error(
    'there is no replication configuration',
    'source.bucket',
    'SrcBucketReplicationConfigMissing',
  ),
  RK1002: { title: 'the rule is off', severity: 'info', place: 'rule' },
  RK1003: error('objects that are encrypted with KMS are not selected', 'rule'),
  RK1004: warning('another rule takes all its objects', 'rule'),
  RK1005: { title: 'another rule takes some of its objects', severity: 'info', place: 'rule' },
  RK1006: warning('the prefix begins with a slash', 'rule'),
  RK1007: { title: 'the prefix does not end in a slash', severity: 'info', place: 'rule' },
  RK1008: warning('failures are not told', 'rule'),
  RK1009: warning('the rule is of the old form (V1)', 'rule'),
  RK1010: error('the declared rule is not there', 'rule'),
  RK1101: error('the source bucket does not exist', 'source.bucket', 'SrcBucketNotFound'),
  RK1102: error('the source bucket has no versioning', 'source.bucket'),
  RK1103: error('the destination bucket does not exist', 'destination.bucket', 'DstBucketNotFound'),
  RK1104: error('the destination bucket has no versioning', 'destination.bucket', 'DstBucketUnversioned'),
  RK1105: error('the destination bucket is not where it is said to be', 'destination.bucket'),
  RK1106: error(
    'the destination bucket has no Object Lock',
    'destination.bucket',
    'DstBucketObjectLockConfigMissing',
  ),
  RK1107: warning('the destination keeps other accounts out', 'destination.bucket'),
  RK1108: warning('objects may belong to other accounts', 'source.bucket'),
  RK1201: error('the source key cannot be used', 'source.key', 'SrcKmsKeyInvalidState'),
  RK1202: error('the source key does not exist', 'source.key', 'SrcGetObjectNotPermitted'),
  RK1203: error('the replica key cannot be used', 'destination.key', 'DstKmsKeyInvalidState'),
  RK1204: error('the replica key does not exist', 'destination.key', 'DstKmsKeyNotFound'),
  RK1205: error('the replica key lies in another Region', 'destination.key', 'DstKmsKeyNotFound'),
  RK1206: warning('the replica key is named by an alias', 'destination.key'),
  RK1207: warning('the replica key is managed by AWS', 'destination.key'),
  RK1301: error('S3 may not assume the role', 'role', 'AssumeRoleNotPermitted'),
  RK1302: error('the role does not exist', 'role', 'AssumeRoleNotPermitted'),
  RK1303: error('the source bucket may not be read', 'role', 'SrcGetObjectNotPermitted'),
  RK1304: error('source objects may not be read', 'role', 'SrcGetObjectNotPermitted'),
  RK1305: error('ACLs of source objects may not be read', 'role', 'SrcGetAclNotPermitted'),
  RK1306: error('tags of source objects may not be read', 'role', 'SrcGetTaggingNotPermitted'),
  RK1307: error('source objects may not be decrypted', 'source.key', 'SrcGetObjectNotPermitted'),
  RK1308: error('replicas may not be written', 'destination.bucket', 'DstPutObjectNotPermitted'),
  RK1309: error('tags of replicas may not be written', 'destination.bucket', 'DstPutTaggingNotPermitted'),
  RK1310: error('delete markers may not be replicated', 'destination.bucket', 'DstDelObjNotPermitted'),
  RK1311: error('replicas may not change their owner', 'destination.bucket', 'DstPutObjectNotPermitted'),
  RK1312: error('replicas may not be encrypted', 'destination.key', 'DstPutObjectNotPermitted'),
  RK1313: error(
    'replicas may not be encrypted with a Bucket Key',
    'destination.key',
    'DstPutObjectNotPermitted',
  ),
  RK1314: warning('retention of source objects may not be read', 'role'),
  RK1401: warning('objects have failed, and are never tried again', 'source.bucket'),
  RK1402: warning('objects are pending for long', 'source.bucket'),
  RK1403: error('no rule takes the object', 'source.bucket'),
  RK1404: warning('the object was there before the rule', 'source.bucket'),
  RK1901: { title: 'it could not be read', severity: 'unknown', place: 'rule' },
  RK1902: { title: 'it depends on what cannot be known', severity: 'unknown', place: 'rule' },
} as const satisfies Record<string, FindingKind>;

export type Code = keyof typeof CODES;
