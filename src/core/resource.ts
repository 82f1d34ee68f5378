import type { Position } from '../spec/types.ts';

/** The data types of the pipeline. All are plain data that can be printed as JSON; only `Kind` contains functions. */

/**
 * Id of a resource: the kind, and a name, with account and Region if the name alone is not unique. Example:
 * `s3.versioning/acme-tax`.
 */
export type Id = `${string}/${string}`;

/** "The ARN of that key", also before the key exists. */
export interface Ref {
  $ref: Id;
  attr: string;
}

/**
 * The account and Region of a resource: the name of an Account document (absent: the ambient credentials) and a Region.
 */
export interface Location {
  account?: string;
  region: string;
}

/** One resource that the specs declare, in the normal form of its kind. Its spec may hold references. */
export interface Resource<S = unknown> {
  id: Id;
  kind: string;
  /** Name of the bucket or role, alias or ARN of the key: the name that AWS calls use. */
  name: string;
  /** Parts of the document that only some specs declare and that cost another call. */
  details?: string[];
  location: Location;
  spec: S;
  /** More input for `check` and `render`. replikey never compares or writes it. It may hold references. */
  context?: unknown;
  /** Resources that must exist before this one, though it uses no value of them. */
  after: Id[];
  /** Names of the specs that declare it. */
  declaredBy: string[];
  /** Where the YAML declares it. */
  position: Position;
  /**
   * Specs, by their names in Sids, whose undeclared entries are removed from the document; for the policy of a queue or
   * topic, source buckets. Absent: all entries stay.
   */
  pruneOwners?: string[];
  /** Specs, by their names in Sids, whose undeclared rules prune only disables: objects of them may be in flight. */
  disableOwners?: string[];
  /** No spec declares it: prune removes entries from it, and deletes it if it would be empty. */
  orphaned?: true;
  /** No object in flight uses its permissions, only batch jobs do, and none runs. So prune removes them without a drain. */
  isIdle?: true;
  /**
   * Housekeeping removes its entries: the drain of the permissions that use them has ended, so removal is no change of a
   * plan. `retain`: they first get an expiry, because nothing shows that the drain has ended.
   */
  narrowed?: true | 'retain';
  /**
   * Time for which permissions that a change replaces stay for objects in flight, in milliseconds. Absent: 15 minutes,
   * which S3 needs for most objects.
   */
  drainMs?: number;
}

/** The drain of a resource that declares none, in milliseconds: S3 replicates most objects within 15 minutes. */
export const DEFAULT_DRAIN_MS = 15 * 60_000;

/** The parsed state of a resource that is present in AWS. */
export interface Current<S = unknown, F = unknown> {
  /** In the same normal form as the desired spec. */
  spec: S;
  /** Values that only AWS knows, for references: ARNs and ids. */
  attrs: Record<string, string>;
  /** Entries of the same document that replikey does not manage: carried through a write, never compared. */
  foreign?: F;
  /** Permissions that earlier changes replaced, and that stay for objects in flight; temporary rules of canaries. */
  retained?: readonly Retained[];
}

/**
 * An entry that stays in its document until it expires: a permission that a change replaced, or a temporary rule of a
 * canary.
 */
export interface Retained {
  /** Sid of the retained statement, or id of the temporary rule. It contains the expiry. */
  id: string;
  /** In milliseconds since 1970. */
  expiresAtMs: number;
  /** Sid of the statement that it was a part of; the id of the rule that it tests. */
  replaces: string;
  /** Name of the spec, as it appears in Sids. */
  owner: string;
  /** The replaced permission, as it was. */
  original: object;
  /** The entry of the document. */
  entry: object;
}

/** The observation of one resource. Unreadable is unknown: never absent, and never equal. */
export type Observation<S = unknown> =
  | { state: 'absent' }
  | { state: 'present'; current: Current<S> }
  | { state: 'unknown'; reason: string; error?: unknown };

/** All observations, by resource id. */
export type ActualState = ReadonlyMap<Id, Observation>;

/** Returns the parsed state of a resource; undefined when it is absent or unknown. */
export function currentOf(actual: ActualState, id: Id): Current | undefined {
  const observation = actual.get(id);
  return observation?.state === 'present' ? observation.current : undefined;
}

export type Action = 'create' | 'update' | 'delete';

/** One change of a value: a JSON Patch operation (RFC 6902) of the three types that a comparison returns. */
export type PatchOperation =
  | { op: 'add' | 'replace'; path: string; value: unknown }
  | { op: 'remove'; path: string };

/** One resource to create, update or delete. */
export interface Step {
  id: Id;
  kind: string;
  action: Action;
  at: Location;
  /**
   * From current to desired, sets as objects keyed by the text of their elements; for a create, an `add` of each field.
   */
  patch: PatchOperation[];
  /** The previous values by the paths of the patch, in the same form, so that a plan can show old and new values. */
  before: Record<string, unknown>;
  /** The managed part of the document that the step leaves, in normal form. It may hold references. */
  desired: unknown;
  /** Reasons, as text for a person. */
  why: string[];
  /** The API operations of the change, for example `s3:PutBucketVersioning`. */
  calls: string[];
  /** Steps of the same plan that must succeed first. */
  needs: Id[];
  /** Risks, each with the id that allows it. Empty for a safe step. */
  risks: Risk[];
  /** Permissions that the step replaces, and that stay for objects in flight. */
  retains?: RetainedBy;
  pairs: string[];
  from: Position;
}

/** The permissions that a step replaces. */
export interface RetainedBy {
  /** Time from the write to their removal, in seconds. */
  drainSeconds: number;
  /** The replaced permissions, by the Sid of their statement. */
  statements: Record<string, object>;
}

/**
 * A write that changes only retained permissions. It is not a change of what the specs declare: it counts neither for
 * the checksum of a plan nor for its limits.
 */
export interface Housekeeping {
  id: Id;
  /**
   * `renew`: rules still change, so the permissions must last longer. `retain`: permissions without an expiry, those of a
   * former role, get one. `expire`: the permissions are removed.
   */
  action: 'renew' | 'retain' | 'expire';
  at: Location;
  /** Sids of the retained statements. */
  sids: string[];
  /** Writes of the same plan that come first. */
  needs: Id[];
  pairs: string[];
  from: Position;
}

/** A retained permission that has not expired. */
export interface RetainedNote {
  id: Id;
  sid: string;
  /** In UTC, ISO 8601. */
  expiresAt: string;
  /** The permission, as it was before its replacement. */
  statement: object;
  pairs: string[];
}

export type Risk = RiskText &
  (
    | {
        id: RiskIdWithSubject;
        /** What alone can be allowed: `--allow stop-foreign-rules=SUBJECT`. Absent: only the whole risk can be allowed. */
        subject?: string;
      }
    | { id: Exclude<RiskId, RiskIdWithSubject>; subject?: never }
  );

interface RiskText {
  message: string;
  /**
   * The setting is still that of a new resource. This is no risk if an unfinished first run of the same specs created the
   * resource. Absent in a sealed plan.
   */
  isInitial?: true;
}

/**
 * A resource that replikey cannot change before a person acts: unreadable, missing although only referred to, or
 * unusable.
 */
export interface Blocked {
  id: Id;
  why: string;
  pairs: string[];
  from: Position;
}

/**
 * The state of a batch job that a spec declares. A pass derives it once. Plans, conditions, metrics and pages show the same
 * value. No checksum covers it, because a job proceeds by itself.
 */
export interface JobStatus {
  /** Id of the resource that declares the job. */
  id: Id;
  /**
   * - `notStarted`: no job exists yet.
   * - `preparing`: S3 lists the objects.
   * - `awaitingApproval`: a person must approve the job.
   * - `inProgress`: S3 runs the job.
   * - `succeeded`: the job has ended, and none of its objects failed; it may have had none.
   * - `tasksFailed`: S3 tried all objects, and some failed.
   * - `failed`: the last job ended before it had tried all objects; another one follows, but none after the third.
   * - `blocked`: a person must remove the cause.
   */
  state: (typeof JOB_STATES)[number];
  /** Absent: no job exists, or S3 has forgotten it 90 days after its end. */
  jobId?: string;
  /** Number of objects. Absent while it is not known. */
  total?: number;
  succeeded: number;
  failed: number;
  /** In UTC, ISO 8601: the creation of the job, or its end. */
  since?: string;
  /** The options that approve it: `--allow start-backfill=JOB`. */
  approval?: string;
  /** Why the job does not proceed. */
  reason?: string;
  /** Where S3 wrote the list of failed objects: `s3://acme-reports/replikey/`. */
  report?: string;
  pairs: string[];
}

/** All states, the one that a person must know first. */
export const JOB_STATES = [
  'blocked',
  'failed',
  'tasksFailed',
  'awaitingApproval',
  'inProgress',
  'preparing',
  'notStarted',
  'succeeded',
] as const;

/** A change that replikey does not make, because another resource of all its pairs is blocked. */
export interface Withheld {
  id: Id;
  action: Action;
  /** Ids of the blocked resources. */
  because: Id[];
  pairs: string[];
}

/** The unsealed content of a plan, with its steps in waves: plain data. */
export interface PlanContent {
  waves: Step[][];
  blocked: Blocked[];
  /** Changes of blocked pairs. */
  withheld: Withheld[];
  /** Remarks that need attention but change nothing. */
  notes: Note[];
  /** Manual steps for the owners of accounts without credentials. replikey could check none of them. */
  handover: Handover[];
  /** Writes that renew or remove retained permissions. */
  housekeeping: Housekeeping[];
  /** Retained permissions that have not expired. */
  retained: RetainedNote[];
  /** The batch jobs that specs declare, by id; absent: none. */
  jobs?: JobStatus[];
  /** Number of resources that are as declared. */
  unchanged: number;
}

/** Increases when a field of a plan changes its meaning or is removed. Its digest covers it. */
export const PLAN_FORMAT = 3;

/** The only place where a plan applies. Its digest covers it. */
export interface PlanTarget {
  /** Account ids, twelve digits, by the names of their Account documents; `''` for the ambient credentials. */
  accounts: Readonly<Record<string, string>>;
  /** AWS partitions of the Regions, sorted. */
  partitions: readonly string[];
  /** What the calls go to: an `Endpoint`. */
  endpoint: Endpoint;
}

/**
 * `aws`, `sandbox` (the sandbox of `--sandbox`), `snapshot` (`--observed`), or the URL of another endpoint:
 * `http://127.0.0.1:4566`. By service if services differ: `iam=aws, s3=http://127.0.0.1:4566`.
 */
export type Endpoint = string;

/** A sealed plan, which a person reads, approves and saves. It is immutable. */
export interface Plan extends Readonly<PlanContent> {
  readonly format: typeof PLAN_FORMAT;
  readonly target: PlanTarget;
  /** SHA-256 over everything that a person approves. */
  readonly digest: string;
}

export interface Note {
  id: Id;
  message: string;
  pairs: string[];
}

/** A manual step in an account for which replikey has no credentials. */
export interface Handover extends ManualStep {
  id: Id;
  /** Twelve digits. */
  account: string;
  pairs: string[];
}

/** How a person makes a change by hand. */
export interface ManualStep {
  /** The action, as text for a person: `enable versioning on acme-tax-replica`. */
  what: string;
  /** A policy, its statements, or a configuration, in the form that AWS accepts. */
  document?: unknown;
  /**
   * Commands for a POSIX shell with the AWS CLI. They add entries to a document that may have others with jq. Absent
   * while the document contains a value that is known only after apply.
   */
  command?: string;
}

/** The part of the AWS client that kinds use. */
export interface Aws {
  /** Sends one command of an AWS SDK client. */
  send<O>(location: Location, command: Command<O>): Promise<O>;
  /** Returns the id of an account, twelve digits: the expected bucket owner of every S3 call. */
  accountId(account: string | undefined): Promise<string>;
  /** Returns the time of AWS, in milliseconds since 1970. */
  now(): number;
}

/** The part of an SDK command that identifies its output, so that `send` can type its result. */
export interface Command<O> {
  // biome-ignore lint/suspicious/noExplicitAny: what is declared differs from client to client
  resolveMiddleware(...args: any[]): (...args: any[]) => Promise<{ output: O }>;
}

/** Descriptions of the risks that a person can allow, by id. */
export const RISKS = {
  adopt: 'changes an existing resource although the spec sets adopt: Never',
  'backfill-foreign-rules': 'runs a batch job on a bucket with enabled foreign rules, which the job runs too',
  'canary-retained': 'writes canaries that replikey cannot remove before their retention ends, or at all',
  'change-boundary': 'replaces the permissions boundary of a role',
  'change-default-encryption':
    'changes the default encryption of an existing bucket, so that readers or writers without KMS permissions fail',
  'change-default-key': 'replaces the default KMS key by another while the role may not use the old one',
  'change-ownership': 'disables the ACLs of a bucket, or enables them again',
  'change-role': 'makes foreign rules replicate as another role',
  'foreign-rules': 'changes a configuration with foreign rules although the spec sets foreignRules: Refuse',
  'lock-bucket': 'enables Object Lock on an existing bucket, which no one can disable again',
  'lock-compliance': 'retains new objects in Compliance mode, in which no one can delete them',
  'lose-in-flight': 'removes permissions before the objects in flight are replicated',
  'open-public-access': 'turns off Block Public Access of a bucket',
  'other-manager': 'changes a resource that another tool appears to manage',
  'remove-key-in-use':
    'removes the permission of a role to decrypt with a key under which objects may still be encrypted',
  'remove-pair':
    'stops or removes a pair that no spec declares any more, or a whole replication configuration',
  'remove-rules': 'removes foreign rules',
  'start-backfill': 'starts a batch job, which replicates existing objects and costs money',
  'start-reencryption': 'starts a batch job, which encrypts objects under another key and costs money',
  'stop-foreign-rules': 'stops the replication of foreign rules, for good or between two steps',
} as const;

export type RiskId = keyof typeof RISKS;

/**
 * Risks that can be allowed for one subject: `remove-key-in-use=BUCKET/KEY`, `remove-pair=SPEC`, `start-backfill=JOB`,
 * `start-reencryption=JOB`, `stop-foreign-rules=BUCKET/RULE`. A job that starts without a confirmation has no id yet, so its
 * subject is the spec of a backfill, or the bucket of a re-encryption.
 */
export const RISKS_WITH_SUBJECT = [
  'remove-key-in-use',
  'remove-pair',
  'start-backfill',
  'start-reencryption',
  'stop-foreign-rules',
] as const satisfies RiskId[];

type RiskIdWithSubject = (typeof RISKS_WITH_SUBJECT)[number];

/** Returns the value of `--allow` that allows a risk, and no more. */
export const allowanceOf = ({ id, subject }: Pick<Risk, 'subject'> & { id: string }): string =>
  subject === undefined ? id : `${id}=${subject}`;
