import type { Position } from '../spec/types.ts';

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
  /** Name of the bucket or role, alias or ARN of the key: what AWS is asked for. */
  name: string;
  /** Parts of the document that only some specs declare and that cost another call. */
  details?: string[];
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
export interface Current<S = unknown, F = unknown> {
  /** In the same normal form as the desired spec. */
  spec: S;
  /** What only AWS knows, for references: ARNs and ids. */
  attrs: Record<string, string>;
  /** What is not ours in the same document: carried through a write, never compared. */
  foreign?: F;
}

/** Unreadable is unknown: never absent, and never equal. */
export type Observation<S = unknown> =
  | { state: 'absent' }
  | { state: 'present'; current: Current<S> }
  | { state: 'unknown'; reason: string; error?: unknown };

/** Everything that was observed, by resource id. */
export type ActualState = ReadonlyMap<Id, Observation>;

export type Action = 'create' | 'update' | 'delete';

/** One change of a value: an operation of JSON Patch (RFC 6902), of the three that a comparison gives. */
export type PatchOperation =
  | { op: 'add' | 'replace'; path: string; value: unknown }
  | { op: 'remove'; path: string };

/** One resource to create, to update, or to take away. */
export interface Step {
  id: Id;
  kind: string;
  action: Action;
  at: Location;
  /** From observed to desired, sets as objects keyed by the text of their elements; for a create, an `add` of each field. */
  patch: PatchOperation[];
  /** The previous values by the paths of the patch, in the same form: so that a plan can show old and new. */
  before: Record<string, unknown>;
  /** The managed part of the document that the step leaves, in normal form. It may hold references. */
  desired: unknown;
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

/** The steps in waves, as they are put together: nothing but data. */
export interface PlanContent {
  waves: Step[][];
  blocked: Blocked[];
  /** Remarks that ask for attention but change nothing. */
  notes: Note[];
  /** What the owners of accounts without credentials have to do; none of it could be checked. */
  handover: Handover[];
  /** Resources that are as they should be. */
  unchanged: number;
}

/** A sealed plan: what a person reads, approves and saves. It does not change any more. */
export interface Plan extends Readonly<PlanContent> {
  readonly format: 2;
  /** Account ids, twelve digits, by the names of their Account documents; `''` for the ambient credentials. */
  readonly accounts: Readonly<Record<string, string>>;
  /** SHA-256 over everything that a person approves. */
  readonly digest: string;
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

/** Every risk that a person can allow, by its id, and what it means. */
export const RISKS = {
  adopt: 'changes what was there before, though the spec says adopt: Never',
  'change-boundary': 'replaces the permissions boundary of a role',
  'change-default-key':
    'encrypts by default without a key any more, or under another while the role may not use the old one',
  'change-ownership': 'makes ACLs of a bucket stop counting, or count again',
  'change-role': 'lets rules that are not ours replicate as another role',
  'foreign-rules':
    'changes a configuration that has rules of others, though the spec says foreignRules: Refuse',
  'open-public-access': 'lifts a block of public access',
  'other-manager': 'changes what seems to be looked after by another tool',
  'remove-rules': 'takes away rules that are not ours',
} as const;

export type RiskId = keyof typeof RISKS;
