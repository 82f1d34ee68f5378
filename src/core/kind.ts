import type { Policy } from '../iam/types.ts';
import type { BucketReplication } from '../spec/types.ts';
import type { BucketFacts, Fact, KeyFacts, RoleFacts } from './facts.ts';
import type { Orphan } from './orphan.ts';
import type {
  Aws,
  Current,
  Id,
  JobStatus,
  Location,
  ManualStep,
  Resource,
  Retained,
  Risk,
  Step,
} from './resource.ts';

/**
 * One AWS document: the smallest unit that AWS reads and writes on its own. Everything in the program that needs the
 * document uses its kind: reconcile, doctor, import, prune and snapshot.
 *
 * `Spec` is the part that replikey manages, `Doc` the document in AWS's own form, `Foreign` the entries in it that
 * replikey does not manage.
 *
 * All members but `fetch`, `fetchTags`, `send` and `remove` are pure. `send` is idempotent. Only `remove` deletes, and
 * only an orphaned document that would be empty. No member knows whether this is a dry run. Buckets, objects and keys
 * have no `remove`.
 */
export interface Kind<Spec = unknown, Doc = unknown, Foreign = unknown> {
  name: string;
  scope: Scope<Doc>;
  /** IAM actions that the kind uses, and the service that gets the role with `iam:PassRole`. */
  permissions: { read: string[]; write: string[]; passesRoleTo?: string };
  /** Resources that a spec declares. If several specs share one, their declarations contradict each other in nothing. */
  desired(context: DesiredContext): Resource<Spec>[];
  /** Resources of this kind that a removed spec may have left behind, with nothing desired in them. */
  orphans?(orphan: Orphan): Resource<Spec>[];
  /**
   * Reads the document of a bucket, role or key by its name; undefined when AWS reports that there is none.
   *
   * @param details parts that cost another call and that only some specs declare
   */
  fetch(aws: Aws, location: Location, name: string, details?: readonly string[]): Promise<Doc | undefined>;
  /**
   * Splits a document into the part that the resource's specs manage, values that only AWS knows, and foreign entries.
   */
  parse(doc: Doc, resource: Resource<Spec>): Current<Spec, Foreign>;
  /** Returns the normal form of a spec, the same for the desired and the current one. */
  normalize(spec: Spec): Spec;
  /**
   * Returns the whole document that a write leaves: the desired entries beside the foreign ones. References may replace
   * values that are not known yet. Undefined for an orphaned resource that would be empty.
   *
   * @param retention the treatment of replaced permissions; default: `KEEP_RETAINED`
   */
  render(
    resource: Resource<Spec>,
    current: Current<Spec, Foreign> | undefined,
    retention?: Retention,
  ): Doc | undefined;
  /** Returns the calls that a change needs. */
  operations(change: Change<Spec, Doc, Foreign>): Operation[];
  /**
   * Sends these calls.
   *
   * @throws AlreadyExistsError when a resource to create exists already
   */
  send(aws: Aws, change: Change<Spec, Doc, Foreign>): Promise<void>;
  /** Deletes the document. A document that does not exist counts as deleted. */
  remove?(aws: Aws, resource: Resource<Spec>): Promise<void>;
  response: ResponseRules;
  /** Returns reasons not to make a change, risks and notes. */
  check?(change: Change<Spec, Doc, Foreign>): Check;
  /** Explains why a field matters, by its path in the patch (`/rules/…/priority`); `''` is the whole document. */
  explain?(path: string, spec: Spec): string | undefined;
  /** Reads the tags of the bucket, key or role itself, which show the tool that manages it. */
  fetchTags?(
    aws: Aws,
    resource: Resource<Spec>,
    current: Current<Spec, Foreign>,
  ): Promise<Record<string, string>>;
  /** Errors that disappear soon after replikey's own writes: propagation, not failure. */
  transientErrors?: TransientError[];
  /** CloudTrail events of changes of the document. */
  auditEvents: AuditEvents;
}

/** The treatment of permissions that a write replaces, or that an earlier write has replaced. */
export interface Retention {
  /**
   * `keep`: all of them stay. `renew`: they also last for the whole drain from now, because rules change afterwards.
   * `narrow`: those that have expired are removed.
   */
  mode: 'keep' | 'renew' | 'narrow';
  /** The time of AWS, in milliseconds since 1970. */
  nowMs: number;
  /** Ids of retained entries that are removed although they have not expired. */
  ended?: readonly string[];
}

/** The retention of a plan, which depends on no time. */
export const KEEP_RETAINED: Retention = { mode: 'keep', nowMs: 0 };

/** One document before and after a change. */
export interface Change<Spec = unknown, Doc = unknown, Foreign = unknown> {
  /** The resource, with every reference resolved whose target is known. */
  resource: Resource<Spec>;
  /** Absent: the document does not exist. */
  current: Current<Spec, Foreign> | undefined;
  /** The rendered document; absent: it is deleted. */
  doc: Doc | undefined;
  /** The managed part of the rendered document, in normal form. */
  desired: Spec;
  /** The retained permissions in the rendered document. */
  retained: readonly Retained[];
}

/**
 * The bucket, key or role that `send` creates exists already: another caller created it after it was read, or AWS did so
 * for an attempt whose response was lost.
 */
export class AlreadyExistsError extends Error {
  override name = 'AlreadyExistsError';
  /** Returns what `send` created beside the existing resource, and how a person deletes it. Marks it as unused. */
  readonly leftBehind: (aws: Aws, current: Current) => Promise<ManualStep[]>;

  constructor(leftBehind: AlreadyExistsError['leftBehind'] = async () => []) {
    super('it exists already');
    this.leftBehind = leftBehind;
  }
}

/** One API call of a change. */
export interface Operation {
  /** `s3:PutBucketVersioning` */
  call: string;
  /** The manual step for a person; absent for a change that replication does not need. */
  manual?: ManualStep;
}

/** The findings of a kind about a change. */
export interface Check {
  /** Why replikey cannot make the change before a person acts. */
  blocked?: string | undefined;
  /** Risks of a change of an existing document. */
  risks?: Risk[];
  /** Risks of a document that does not exist yet. */
  creationRisks?: Risk[];
  /** Notes on the existing document, also when nothing changes. */
  notes?: string[];
  /** The batch job of the resource. */
  job?: Omit<JobStatus, 'id' | 'pairs'>;
  /** Notes on the change itself. */
  changeNotes?: string[];
  /** An enabled rule will depend on permissions that it did not use before. */
  widensUse?: boolean;
  /**
   * Resources whose steps must come first if they exist, although they declare that they need this one. No resource waits
   * for the change then.
   */
  follows?: Id[] | undefined;
}

/** The bucket, role, key, queue, topic or alarm that a document belongs to. */
export interface Scope<Doc = unknown> {
  type: 'bucket' | 'role' | 'key' | 'queue' | 'topic' | 'alarm';
  /**
   * `rules` use `permissions`: prune removes orphaned rules first. `monitoring` observes rules: replication does not
   * depend on it. `jobs` act on existing objects, under the rules.
   */
  stage: 'permissions' | 'rules' | 'monitoring' | 'jobs';
  /** Whether a job runs the rules of its bucket; absent: it does. */
  runsRules?: boolean;
  /** Returns whether S3 treats every object the same before and after a step; absent: it may not. */
  keepsReplication?(step: Pick<Step, 'patch' | 'before'>): boolean;
  /** Id of the bucket, role or key itself. */
  ownerId(id: Id): Id;
  /** ARN of the bucket, role or key. Before KMS has chosen a key's id, the ARN contains its alias. */
  arn(resource: Resource, accountId: string): string;
  /** ARNs that an IAM policy names to allow an action on it. */
  policyArns(resource: Resource, action: string, accountId: string): string[];
  /** Fields of the facts about the bucket, role or key. Undefined: the document gives no facts. */
  facts?(doc: Doc, context: FactsContext): Partial<BucketFacts & RoleFacts & KeyFacts> | undefined;
  /** These fields after the document is deleted. */
  factsOfDeleted?: Partial<BucketFacts & RoleFacts & KeyFacts>;
}

export interface FactsContext {
  /** Absent: the document does not exist yet. */
  current: Current | undefined;
  /** ARN of the bucket, role or key. */
  arn: string;
  /** Twelve digits. */
  accountId: string;
  /** Managed policies that are read because a role gets one of them as its boundary, by ARN. */
  boundaries?: Readonly<Record<string, Fact<Policy>>>;
}

/** Returns whether replication depends on a resource. An id of no kind belongs to an account. */
export function isForReplication(id: Id, kinds: ReadonlyMap<string, Kind>): boolean {
  const stage = kinds.get(id.slice(0, id.indexOf('/')))?.scope.stage;
  return stage !== 'monitoring' && stage !== 'jobs';
}

/** How AWS stores the document. */
export interface ResponseRules {
  /** A write replaces the whole document, so it is read again immediately before. */
  replacesWholeDocument?: true;
  /** AWS fills the document when it creates the bucket or key, so it is read once that exists. */
  initialContent?: true;
  /**
   * Names of all XML elements that `parse` understands. replikey refuses a document with other elements in a managed
   * entry.
   */
  elements?: ReadonlySet<string>;
}

/** The context in which a kind derives its resources from a spec. */
export interface DesiredContext {
  pair: BucketReplication;
  /** The pairs that share a role, a key or a bucket with `pair`, itself included. */
  relatedPairs: readonly BucketReplication[];
}

/** CloudTrail events of changes of a document, by any caller. */
export interface AuditEvents {
  /** The event source: `s3.amazonaws.com`. */
  source: string;
  /**
   * Event names by the part that they change: the longest prefix of a path of the patch; `''` for the whole document.
   */
  eventNamesByPath: Record<string, string[]>;
  /** Names of events that change nothing in the document, but a setting or policy that the proof reads: `DisableKey`. */
  proofEventNames?: string[];
  /** The Region that records them; absent: the Region of the resource. */
  eventRegion?(region: string): string;
  /** Reads other names by which events may refer to the resource. */
  fetchAliases?(aws: Aws, location: Location, name: string): Promise<string[]>;
  /** Returns the names of the resources that an event concerns, in the form of `normalizeName`. */
  namesIn(event: AuditedCall): string[];
  /** Returns the form in which names are compared: of a bucket or role, of an alias, or of the ARN of a key. */
  normalizeName(name: string): string;
}

/** What an event reports about the resources of its call. */
export interface AuditedCall {
  /** `requestParameters`; empty if the event has none. */
  parameters: Record<string, unknown>;
  /** The ARNs in `resources`. Only some services give them. */
  resourceArns: readonly string[];
}

/** An error that disappears without an action. */
export interface TransientError {
  /** Error code, as the SDK spells it. */
  code: string;
  message?: RegExp;
  /** `S3 to see the new role` */
  waitsFor: string;
}
