import type { Statement } from '../iam/types.ts';
import type { Position } from '../spec/types.ts';

/**
 * The definition of a finding code. `docs/reference/findings` has a page for each code. Codes are stable and are never reused.
 */
export interface FindingDefinition {
  title: string;
  /**
   * `error`: objects fail, or S3 skips them silently; `warning`: some objects may fail, or a failure goes unnoticed;
   * `unknown`: replikey could not decide; `info`: worth knowing.
   */
  severity: 'error' | 'warning' | 'unknown' | 'info';
  /** The failure reason in S3's events of failed replication; absent if S3 sends none. */
  failureReason?: string;
  /** The part of a spec that declares the subject of the finding. */
  specField:
    | 'rule'
    | 'source.bucket'
    | 'source.key'
    | 'destination.bucket'
    | 'destination.key'
    | 'role'
    | 'backfill';
}

const defineError = (
  title: string,
  specField: FindingDefinition['specField'],
  failureReason?: string,
): FindingDefinition => ({
  title,
  severity: 'error',
  specField,
  ...(failureReason === undefined ? {} : { failureReason }),
});
const defineWarning = (title: string, specField: FindingDefinition['specField']): FindingDefinition => ({
  title,
  severity: 'warning',
  specField,
});

export const FINDING_CODES = {
  RK1001: defineError(
    'the bucket has no replication configuration',
    'source.bucket',
    'SrcBucketReplicationConfigMissing',
  ),
  RK1002: { title: 'the rule is disabled', severity: 'info', specField: 'rule' },
  RK1003: defineError('the rule does not select KMS-encrypted objects', 'rule'),
  RK1004: defineWarning('a rule with a higher priority selects all its objects', 'rule'),
  RK1005: {
    title: 'a rule with a higher priority selects some of its objects',
    severity: 'info',
    specField: 'rule',
  },
  RK1006: defineWarning('the prefix begins with a slash', 'rule'),
  RK1007: { title: 'the prefix does not end in a slash', severity: 'info', specField: 'rule' },
  RK1008: defineWarning('S3 does not report failures', 'rule'),
  RK1009: defineWarning('the rule uses configuration version V1', 'rule'),
  RK1010: defineError('the declared rule does not exist', 'rule'),
  RK1011: defineError('the prefix contains an asterisk', 'rule'),
  RK1012: defineWarning('replica modifications are synced in one direction only', 'rule'),
  RK1013: defineWarning('an excluded prefix excludes nothing', 'rule'),
  RK1014: defineError('the rule excludes every object that it selects', 'rule'),
  RK1101: defineError('the source bucket does not exist', 'source.bucket', 'SrcBucketNotFound'),
  RK1102: defineError('the source bucket has no versioning', 'source.bucket'),
  RK1103: defineError('the destination bucket does not exist', 'destination.bucket', 'DstBucketNotFound'),
  RK1104: defineError(
    'the destination bucket has no versioning',
    'destination.bucket',
    'DstBucketUnversioned',
  ),
  RK1105: defineError('the destination bucket is in another account', 'destination.bucket'),
  RK1106: defineError(
    'the destination bucket has no Object Lock',
    'destination.bucket',
    'DstBucketObjectLockConfigMissing',
  ),
  RK1107: defineError(
    'the destination bucket blocks other accounts',
    'destination.bucket',
    'DstPutObjectNotPermitted',
  ),
  RK1108: defineWarning('objects may belong to other accounts', 'source.bucket'),
  RK1201: defineError('S3 cannot use the source key', 'source.key', 'SrcKmsKeyInvalidState'),
  RK1202: defineError('the source key does not exist', 'source.key', 'SrcGetObjectNotPermitted'),
  RK1203: defineError('S3 cannot use the replica key', 'destination.key', 'DstKmsKeyInvalidState'),
  RK1204: defineError('the replica key does not exist', 'destination.key', 'DstKmsKeyNotFound'),
  RK1205: defineError('the replica key is in another Region', 'destination.key', 'DstKmsKeyNotFound'),
  RK1206: defineWarning('the rule names the replica key by an alias', 'destination.key'),
  RK1207: defineWarning('AWS manages the replica key', 'destination.key'),
  RK1208: defineWarning('the permissions for related multi-Region keys are undocumented', 'destination.key'),
  RK1209: {
    title: 'the source key has no related multi-Region key',
    severity: 'unknown',
    specField: 'destination.key',
  },
  RK1301: defineError('S3 cannot assume the role', 'role', 'AssumeRoleNotPermitted'),
  RK1302: defineError('the role does not exist', 'role', 'AssumeRoleNotPermitted'),
  RK1303: defineError('the role cannot read the source bucket', 'role', 'SrcGetObjectNotPermitted'),
  RK1304: defineError('the role cannot read source objects', 'role', 'SrcGetObjectNotPermitted'),
  RK1305: defineError('the role cannot read ACLs of source objects', 'role', 'SrcGetAclNotPermitted'),
  RK1306: defineError('the role cannot read tags of source objects', 'role', 'SrcGetTaggingNotPermitted'),
  RK1307: defineError('the role cannot decrypt source objects', 'source.key', 'SrcGetObjectNotPermitted'),
  RK1308: defineError('the role cannot write replicas', 'destination.bucket', 'DstPutObjectNotPermitted'),
  RK1309: defineError(
    'the role cannot write tags of replicas',
    'destination.bucket',
    'DstPutTaggingNotPermitted',
  ),
  RK1310: defineError(
    'the role cannot replicate delete markers',
    'destination.bucket',
    'DstDelObjNotPermitted',
  ),
  RK1311: defineError(
    'the role cannot change the owner of replicas',
    'destination.bucket',
    'DstPutObjectNotPermitted',
  ),
  RK1312: defineError('the role cannot encrypt replicas', 'destination.key', 'DstPutObjectNotPermitted'),
  RK1313: defineError(
    'the role cannot encrypt replicas with a Bucket Key',
    'destination.key',
    'DstPutObjectNotPermitted',
  ),
  RK1314: defineError(
    'the role cannot read the retention of source objects',
    'role',
    'SrcGetRetentionNotPermitted',
  ),
  RK1315: { title: 'a replaced permission has expired', severity: 'info', specField: 'role' },
  RK1316: defineWarning('replikey does not recognise a replaced permission', 'role'),
  RK1317: defineError(
    'the role cannot read legal holds of source objects',
    'role',
    'SrcGetLegalHoldNotPermitted',
  ),
  RK1401: defineWarning('replication failed, and S3 does not retry it', 'source.bucket'),
  RK1402: defineWarning('objects have been pending for a long time', 'source.bucket'),
  RK1403: defineError('no rule selects the object', 'source.bucket'),
  RK1404: defineWarning('the object is older than the rule', 'source.bucket'),
  RK1405: defineWarning('replication operations failed', 'rule'),
  RK1501: defineWarning('an alarm on replication metrics can never fire', 'rule'),
  RK1502: defineWarning('an alarm on replication metrics notifies no topic', 'rule'),
  RK1503: defineWarning('replikey cannot read the alarms', 'rule'),
  RK1601: defineWarning('a backfill left objects without a replica', 'backfill'),
  RK1602: defineWarning('a backfill failed, or is blocked', 'backfill'),
  RK1603: defineWarning('a backfill waits for an approval', 'backfill'),
  RK1701: defineError('another account owns the destination bucket', 'destination.bucket'),
  RK1702: defineWarning('the destination is in an account that replikey does not know', 'destination.bucket'),
  RK1703: {
    title: 'nothing manages the replication configuration',
    severity: 'info',
    specField: 'source.bucket',
  },
  RK1704: defineWarning('no alarm watches the failures of the rule', 'rule'),
  RK1901: { title: 'replikey cannot read a resource', severity: 'unknown', specField: 'rule' },
  RK1902: {
    title: 'the result depends on a condition key with an unknown value',
    severity: 'unknown',
    specField: 'rule',
  },
  RK1903: {
    title: 'the rule has elements that this version does not know',
    severity: 'unknown',
    specField: 'rule',
  },
} as const satisfies Record<string, FindingDefinition>;

export type FindingCode = keyof typeof FINDING_CODES;

/** A policy that applies to a request. */
export interface PolicyRef {
  kind: 'trust' | 'role' | 'boundary' | 'bucket' | 'key';
  /** ARN of the role or the key, or name of the bucket. */
  of: string;
  /** Name of a policy of a role. */
  policy?: string;
}

/**
 * The change that corrects a finding: a statement to add to a policy, a statement to replace or to remove (as it is in
 * the policy), or an API call.
 */
export type Fix = { what: string } & (
  | { policy: PolicyRef; add: Statement }
  | { policy: PolicyRef; replace: Statement; by: Statement }
  | { policy: PolicyRef; remove: Statement }
  | { call: { service: 's3' | 'kms'; operation: string; region: string; input: Record<string, unknown> } }
);

export interface Finding {
  code: FindingCode;
  severity: FindingDefinition['severity'];
  title: string;
  /** The cause, as a sentence for the user. */
  message: string;
  /** The failure reason that S3 reports. */
  failureReason?: string;
  /** In order; each fix is required. */
  fixes: Fix[];
  /** The position in the YAML, for a rule that a spec declares. */
  at?: Position;
  /** Addresses of the resources in a plan or template that cause it, most specific first. */
  resources?: string[];
  /** The request that is denied or undecided. */
  request?: { action: string; resource: string; context: Record<string, string | string[]> };
}

/**
 * `proven`: every request is allowed; `broken`: objects fail; `unknown`: replikey could not decide something; `off`:
 * the rule is disabled; `blocked`: the plan leaves its pair as it is.
 */
export type Verdict = 'proven' | 'broken' | 'unknown' | 'off' | 'blocked';

/** Returns a finding with the properties of its code. */
export const createFinding = (code: FindingCode, message: string, fixes: readonly Fix[] = []): Finding => {
  const { title, severity, ...optional } = FINDING_CODES[code] as (typeof FINDING_CODES)[FindingCode] & {
    failureReason?: string;
  };
  return {
    code,
    severity,
    title,
    message,
    ...(optional.failureReason === undefined ? {} : { failureReason: optional.failureReason }),
    fixes: [...fixes],
  };
};

export const SEVERITY_ORDER: Finding['severity'][] = ['error', 'unknown', 'warning', 'info'];

/**
 * Returns the verdict and the sorted findings: the most severe first, and otherwise in the order in which S3
 * encounters them.
 */
export function summarizeFindings(findings: readonly Finding[]): { verdict: Verdict; findings: Finding[] } {
  const sorted = [...findings].sort(
    (a, b) => SEVERITY_ORDER.indexOf(a.severity) - SEVERITY_ORDER.indexOf(b.severity),
  );
  const [worst] = sorted;
  const verdict =
    worst?.severity === 'error' ? 'broken' : worst?.severity === 'unknown' ? 'unknown' : 'proven';
  return { verdict, findings: sorted };
}
