/** Where something stands in the YAML; line and column count from 1. */
export interface Position {
  file: string;
  line: number;
  column: number;
}

/** What is wrong with a spec, for the reader: where, what was found, what to write instead. */
export interface Problem {
  position: Position;
  /** Path in the document, `spec.rules[0].prefix`; absent when the YAML itself cannot be read. */
  path?: string;
  message: string;
  /** What would have been right, or what to do. */
  hint?: string;
  /** The offending line and a caret under the place, ready to print. */
  excerpt?: string;
}

/** Everything that was declared, validated, with every default filled in. */
export interface Specs {
  pairs: BucketReplication[];
  accounts: Account[];
}

/** A resolved `kind: BucketReplication`: no later code asks whether the user left something out. */
export interface BucketReplication {
  name: string;
  labels: Record<string, string>;
  source: Side;
  destination: Side & { storageClass?: string };
  role: RoleChoice;
  rules: Rule[];
  policy: {
    deletion: 'Retain' | 'Remove';
    foreignRules: 'Preserve' | 'Replace' | 'Refuse';
    adopt: 'IfCompatible' | 'Always' | 'Never';
  };
  /** Positions of what errors and plans point at, by path: `''` the document, `spec.source.key`, `spec.rules[0]`, … */
  positions: Record<string, Position>;
}

export interface Side {
  bucket: string;
  region: string;
  /** Name of an Account document; absent for the ambient credentials. */
  account?: string;
  key: KeyChoice;
  /** Whether new objects in this bucket use an S3 Bucket Key by default. */
  bucketKey: boolean;
}

/** An alias is looked up and created when absent; an ARN must exist and is never altered. */
export type KeyChoice = { alias: string; rotation?: boolean } | { arn: string };

/** A role by name is created when absent; a role by ARN must exist and is never altered. */
export type RoleChoice = { name: string } | { arn: string };

export interface Rule {
  name: string;
  enabled: boolean;
  /** `''` for every key. */
  prefix: string;
  /** Tags that an object must all have. */
  tags: Record<string, string>;
  /** Declared priority; rules without one are given a stable, unique one. The higher number wins. */
  priority?: number;
  deleteMarkerReplication: boolean;
  replicationTimeControl: boolean;
  metrics: boolean;
}

/** A resolved `kind: Account`. */
export interface Account {
  name: string;
  /** Twelve digits. */
  id: string;
  profile?: string;
  assumeRole?: { arn: string; externalId?: string; sessionName?: string };
  positions: Record<string, Position>;
}
