import type { Rule } from './rule-fields.ts';

export type { Rule };

/** A position in YAML; line and column count from 1. */
export interface Position {
  file: string;
  line: number;
  column: number;
}

/** A problem of a spec, for its author: the position, the actual value and the fix. */
export interface Problem {
  position: Position;
  /** Path in the document, `spec.rules[0].prefix`; absent when the YAML cannot be parsed. */
  path?: string;
  message: string;
  /** The correct value, or the fix. */
  hint?: string;
  /** The line with a caret under the position, ready to print. */
  excerpt?: string;
  /** The spec that inherits the value, if the position is in a Defaults document. */
  takenBy?: { name: string; position: Position };
}

/** All declared specs, validated, with every default filled in. */
export interface Specs {
  pairs: BucketReplication[];
  accounts: Account[];
  limits: ChangeLimits;
  /** The variables that at least one document uses, sorted by name. */
  variables: Variable[];
}

/** A variable with its value and the source of the value. */
export interface Variable {
  name: string;
  value: VariableValue;
  from: '--var' | `environment ${string}` | 'default';
}

export type VariableValue = string | number | boolean;

/** Limits for the changes of one run: the strictest of all Guardrails. */
export interface ChangeLimits {
  /** Maximum number of resources to create or update; absent: unlimited. */
  maxChanges?: number;
  /** Maximum number of rules, statements and roles to remove. */
  maxRemovals?: number;
  /** Maximum number of objects of a batch job; absent: unlimited. */
  maxBackfillObjects?: number;
}

/**
 * A resolved `kind: BucketReplication`, in which every field with a default is set. Later code does not check for
 * omitted fields.
 */
export interface BucketReplication {
  name: string;
  labels: Record<string, string>;
  source: Side;
  destination: Side & {
    storageClass?: string;
    /** The side that owns the replicas. Within one account, `source` unless the spec declares another. */
    objectOwner: 'source' | 'destination';
    /**
     * Present if S3 encrypts each replica under the multi-Region key that is related to the key of its object: `key` is
     * related to the key of the source, and these to its further keys.
     */
    relatedKeys?: { arn: string }[];
  };
  /** Further keys that encrypt objects of the source. */
  sourceKeys: KeyChoice[];
  role: RoleChoice;
  rules: Rule[];
  /** How changed rules of an existing bucket take effect. */
  rollout: 'wait' | 'canary';
  policy: {
    deletion: 'Retain' | 'Remove';
    foreignRules: 'Preserve' | 'Replace' | 'Refuse';
    adopt: 'IfCompatible' | 'Always' | 'Never';
    /** Time for which permissions that a change replaces stay for objects in flight, in milliseconds. */
    drainMs: number;
  };
  /** Events of the source bucket about objects that are not replicated; absent: none. */
  failures?: FailureEvents;
  /** Alarms on the replication metrics of the rules; absent: none. */
  alarms?: AlarmSettings;
  /** A batch job that replicates existing objects; absent: none. */
  backfill?: Backfill;
  /** Batch jobs that re-encrypt the objects under replaced keys; absent: none. */
  reencrypt?: ReencryptSettings;
  /** Positions by path, for errors and plans: `''` is the document; `spec.source.key`, `spec.rules[0]`, … */
  positions: Record<string, Position>;
}

/** Existing objects to replicate. Every object that is selected and was written before an instant is to have a replica. */
export interface Backfill {
  /** Sorted. */
  objects: BackfillObjects[];
  /** In UTC, ISO 8601 with seconds. */
  before: string;
  /** In UTC, ISO 8601 with seconds; absent: objects of any age. */
  after?: string;
  start: 'Confirmed' | 'Automatic';
  /** Absent: no limit. */
  maxObjects?: number;
  priority: number;
  report?: { bucket: string; prefix: string };
  role: { name: string } | { arn: string };
  /** The prefixes of the enabled rules, none of which begins with another; `''` alone for all objects. Sorted. */
  prefixes: string[];
}

export interface ReencryptSettings {
  start: 'Confirmed' | 'Automatic';
  /** Absent: no limit. */
  maxObjects?: number;
  priority: number;
  /** In UTC, ISO 8601 with seconds; absent: objects are counted once. */
  countedAfter?: string;
  /** Absent: a role for each bucket. */
  role?: { name: string };
}

/** Objects by their replication status: none, FAILED, COMPLETED and REPLICA. */
export type BackfillObjects = 'existing' | 'failed' | 'elsewhere' | 'replicas';

export interface AlarmSettings {
  /** Whether failed operations raise an alarm. */
  failed: boolean;
  /** Latency that raises an alarm; absent: none does. */
  lateAfterMinutes?: number;
  /** ARNs of SNS topics. Each alarm uses those of its Region. */
  notify: string[];
  /** An alarm for each rule, or for all rules of an account in a Region. */
  scope: 'rule' | 'account';
}

export interface Side {
  bucket: string;
  region: string;
  /** Name of an Account document; absent for the ambient credentials. */
  account?: string;
  /** Twelve digits; absent for the ambient credentials. */
  accountId?: string;
  /** Whether replikey has credentials for the account. */
  managed: boolean;
  key: KeyChoice;
  /** Keys that `key` replaces: objects of the bucket may still be encrypted under them. They must exist. */
  replacedKeys: KeyChoice[];
  /** Whether new objects in this bucket use an S3 Bucket Key by default. */
  bucketKey: boolean;
  /** Encryption of new objects when a request does not specify it. */
  defaultEncryption: 'SSE-KMS' | 'DSSE-KMS' | 'SSE-S3';
  /** All four settings of the public access block; absent: left unchanged. */
  blockPublicAccess?: boolean;
  /** Absent: left unchanged. */
  objectOwnership?: 'BucketOwnerEnforced' | 'BucketOwnerPreferred' | 'ObjectWriter';
  /** Object Lock; absent: left unchanged. */
  objectLock?: ObjectLockSettings;
}

/** Object Lock of a bucket: without fields, it is enabled without a default retention. */
export interface ObjectLockSettings {
  /** Mode of the default retention. */
  mode?: 'Governance' | 'Compliance';
  /** Period of the default retention: either days or years. */
  days?: number;
  years?: number;
}

/** The events of a source bucket that S3 sends to a queue or topic. */
export interface FailureEvents {
  /** ARN of the SQS queue or SNS topic, in the Region of the source bucket. */
  to: string;
  /** Where the spec declares it: `spec.failures.to`, or `spec.failures.reverseTo`. */
  path: string;
  /** Name of the Account document of the queue or topic; absent for the ambient credentials. */
  account?: string;
  /** Twelve digits. */
  accountId: string;
  /** Whether replikey has credentials for the account. */
  managed: boolean;
  /** Sorted. */
  events: FailureEventName[];
}

export type FailureEventName = 'failed' | 'missedThreshold' | 'replicatedLate' | 'notTracked';

/** A key by alias is looked up, and created when absent. A key by ARN must exist and is never changed. */
export type KeyChoice = ({ alias: string } & KeySettings) | { arn: string };

/** Declared settings of a key; absent settings are left unchanged. */
export interface KeySettings {
  description?: string;
  rotation?: boolean;
  rotationPeriodInDays?: number;
}

/** A role by name is created when absent. A role by ARN must exist and is never changed. */
export type RoleChoice = ({ name: string } & RoleSettings) | { arn: string };

/** Declared settings of a role; absent settings are left unchanged. */
export interface RoleSettings {
  path?: string;
  permissionsBoundary?: string;
  tags?: Record<string, string>;
  /** `foreignRules`: the role also gets the permissions of the foreign rules of its source buckets. */
  also?: 'foreignRules';
}

/** A resolved `kind: Account`. */
export interface Account {
  name: string;
  /** Twelve digits. */
  id: string;
  /** Whether replikey has credentials for the account. */
  managed: boolean;
  profile?: string;
  assumeRole?: { arn: string; externalId?: string; sessionName?: string };
  positions: Record<string, Position>;
}
