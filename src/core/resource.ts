import type { BucketReplication, Position } from '../spec/types.ts';
import type { PatchOperation } from './difference.ts';
import type { Facts } from './facts.ts';
import type { Orphan } from './orphan.ts';
import type { RiskId } from './risks.ts';

/**
 * The nouns of the pipeline. All of them are plain data that can be printed as JSON; only `Kind` holds functions.
 */

/** `s3.versioning/acme-tax`: stable, readable, greppable. */
export type Id = `${string}/${string}`;

/** "The ARN of that key", also before the key exists. */
export interface Ref {
  $ref: Id;
  attr: string;
}

/** Where a resource lives: the name of an Account document (absent: the ambient credentials) and a Region. */
export interface Location {
  account?: string;
  region: string;
}

/** One thing that the specs want, in the normal form of its kind. Its spec may hold references. */
export interface Resource<S = unknown> {
  id: Id;
  kind: string;
  location: Location;
  spec: S;
  /** What else tells what a change can do: never compared, never written. May hold references. */
  context?: unknown;
  /** Order without data: what must be in place before, though no value of it is used. */
  after: Id[];
  /** The specs that want it, by name. */
  declaredBy: string[];
  /** Where in the YAML it was asked for. */
  position: Position;
  /** Specs, by their names in Sids, of which nothing that is not declared may stay in it; absent: all stays. */
  pruneOwners?: string[];
  /** No spec wants it: it is here to be pruned, and goes as a whole where nothing would stay in it. */
  orphaned?: true;
}

/** What AWS reports of a resource. */
export interface Current<S = unknown> {
  /** In the same normal form as the desired spec. */
  spec: S;
  /** What only AWS knows, for references: ARNs and ids. */
  attrs: Record<string, string>;
  /** What is not ours in the same document: carried through a write, never compared. */
  foreign?: unknown;
}

/** Unreadable is unknown: never absent, and never equal. */
export type Observation<S = unknown> =
  | { state: 'absent' }
  | { state: 'present'; current: Current<S> }
  | { state: 'unknown'; reason: string; error?: unknown };

/** Everything that was observed, by resource id. */
export type ActualState = ReadonlyMap<Id, Observation>;

export type Action = 'create' | 'update' | 'delete';

/** One resource to create, to update, or to take away. */
export interface Step {
  id: Id;
  kind: string;
  action: Action;
  at: Location;
  /** From observed to desired; for a create, one `add` of the whole. */
  patch: PatchOperation[];
  /** What the fields that differ are now, by the path of the patch: so that a plan can show old and new. */
  before: Record<string, unknown>;
  /** In words, for a person. */
  why: string[];
  /** The API operations that make the change: `s3:PutBucketVersioning`. */
  calls: string[];
  /** Steps of the same plan that must succeed before. */
  needs: Id[];
  /** What could go wrong, each with the id that allows it. Empty for a safe step. */
  risks: Risk[];
  pairs: string[];
  from: Position;
}

export interface Risk {
  /** What a person allows with `--allow`. */
  id: RiskId;
  message: string;
}

/** What nothing can be done about before a person acts: unreadable, missing though only referred to, unusable. */
export interface Blocked {
  id: Id;
  why: string;
  pairs: string[];
  from: Position;
}

/** The steps in waves; nothing but data. */
export interface Plan {
  format: 1;
  waves: Step[][];
  blocked: Blocked[];
  /** Remarks that ask for attention but change nothing. */
  notes: Note[];
  /** What the owners of accounts without credentials have to do; none of it could be checked. */
  handover: Handover[];
  /** Resources that are as they should be. */
  unchanged: number;
  /** SHA-256 over the data of the plan. */
  digest: string;
}

export interface Note {
  id: Id;
  message: string;
  pairs: string[];
}

/** What somebody else does in an account for which there are no credentials. */
export interface Handover extends ManualStep {
  id: Id;
  /** Twelve digits. */
  account: string;
  pairs: string[];
}

/** How a resource is made by hand. */
export interface ManualStep {
  /** In words, for a person: `enable versioning on acme-tax-replica`. */
  what: string;
  /** A policy, its statements, or a configuration, as AWS takes it. */
  document?: unknown;
  /** The AWS CLI's command; `file://…` is the document, or a policy to which its statements were added. */
  command: string;
}

/** The context in which a kind says what a spec wants of it. */
export interface DesiredContext {
  pair: BucketReplication;
  /** The pairs that share something with it, itself among them: a role, a key, a bucket. */
  relatedPairs: readonly BucketReplication[];
}

/**
 * One AWS document: the smallest thing that AWS reads and writes on its own.
 *
 * `want`, `left`, `canonical`, `complete`, `calls`, `blocks`, `isSpent`, `stillNeeds`, `explain`, `risks`, `caveats`, `notes` and `byHand`
 * must be pure. `read` must build what it returns from reads alone. `write` must be idempotent, must create only if `was` is
 * absent, and must put `rest` back. Nothing but `remove` may delete, and it is called for what is gone and spent alone.
 * None may know whether this is a dry run. Buckets, objects and keys have no `remove`.
 */
export interface Kind<S = unknown> {
  name: string;
  /** IAM actions that it uses. */
  permissions: { read: string[]; write: string[] };
  /** What a spec wants of this kind; what several specs share comes out equal for each of them. */
  desired(context: DesiredContext): Resource<S>[];
  /** What may be left of this kind of a spec that is gone, wanting nothing; only to prune. */
  orphans?(orphan: Orphan): Resource<S>[];
  /** One normal form for both sides. */
  normalize(spec: S): S;
  /** Fill in what AWS requires but nobody declared, around what is there. Absent: the desired spec as it is. */
  complete?(desired: S, current: Current<S> | undefined): S;
  /** Why nothing can be done before a person acts, if so. */
  blockedReason?(desired: S, current: Current<S> | undefined, location: Location): string | undefined;
  read(aws: Aws, resource: Resource<S>): Promise<Current<S> | undefined>;
  write(aws: Aws, resource: Resource<S>, current: Current<S> | undefined): Promise<void>;
  /** The API operations that `write` will send, or `remove` where it goes: `s3:PutBucketVersioning`. */
  operations(desired: S, current: Current<S> | undefined, isDelete: boolean): string[];
  /** Others may have their part in it, and it may come into being by their hand: looked for once more before it is made. */
  isShared?: true;
  /** Whether nothing would stay in it, neither ours nor anybody's. */
  isEmpty?(desired: S, current: Current<S>): boolean;
  /** Take it away as a whole; what is not there is gone. */
  remove?(aws: Aws, resource: Resource<S>): Promise<void>;
  /** Who else needs the permissions of a spec that is gone, if so. */
  remainingUse?(current: Current<S>, orphan: Orphan): string | undefined;
  /** Why a field matters, in words: for each path of the patch (`/rules/…/priority`); `''` asks for the whole. */
  explain?(path: string, desired: S): string | undefined;
  /** What could go wrong with changing this; what is beside the spec comes with its references put in. */
  risks?(desired: S, current: Current<S>, context: unknown): Risk[];
  /** What a change does not do, though one could think so. */
  caveats?(desired: S, current: Current<S> | undefined, context: unknown): string[];
  /** Remarks on what is there and not ours. */
  notes?(desired: S, current: Current<S>): string[];
  /** The tags of the thing itself, which say whose it is; for kinds that are a bucket, a key or a role. */
  fetchTags?(aws: Aws, resource: Resource<S>, current: Current<S>): Promise<Record<string, string>>;
  /** Pruned before all others: what uses something goes before what it uses. */
  deletedFirst?: true;
  /** What the proof learns from it: how things stand once the desired spec is in place. */
  facts?(desired: S, context: FactContext<S>): Partial<Facts>;
  /** How it is made by hand, where replication needs it; absent for what is the owner's own affair. */
  manualSteps?(desired: S): ManualStep | undefined;
  /** Refusals that pass soon after our own writes: propagation, not failure. */
  transientErrors?: TransientError[];
  /** How CloudTrail tells who changed it. */
  auditEvents: AuditEvents;
}

/** The events of CloudTrail that tell of changes of a document, whoever makes them. */
export interface AuditEvents {
  /** Their names, by what of it they change: the longest beginning of a path of the patch, `''` where the whole is gone. */
  eventNamesByPath: Record<string, string[]>;
  /** Where they are told; absent: where the thing lies. */
  eventRegion?(region: string): string;
  /** By what other names they may tell the thing. */
  fetchAliases?(aws: Aws, location: Location, name: string): Promise<string[]>;
  /** Whether an event with these parameters is about the thing of these names. */
  matches(parameters: Record<string, unknown>, names: readonly string[]): boolean;
}

/** What is there of a resource, and what its ARN is, or will be. */
export interface FactContext<S = unknown> {
  current: Current<S> | undefined;
  location: Location;
  /** Twelve digits. */
  accountId: string;
  /** Its own, or that of the thing that it belongs to. */
  arn: string;
}

/** A refusal that passes by itself. */
export interface TransientError {
  /** Error code, as the SDK names it. */
  code: string;
  message?: RegExp;
  /** `S3 to see the new role` */
  waitsFor: string;
}

/** The door to AWS, as kinds see it. */
export interface Aws {
  /** Send one command of an AWS SDK client. */
  send<O>(location: Location, command: Command<O>): Promise<O>;
  /** Twelve digits: the owner that every S3 call expects. */
  accountId(account: string | undefined): Promise<string>;
}

/** The part of an SDK command that tells its output apart, so that `send` can type what it returns. */
export interface Command<O> {
  // biome-ignore lint/suspicious/noExplicitAny: what is declared differs from client to client
  resolveMiddleware(...args: any[]): (...args: any[]) => Promise<{ output: O }>;
}
