import type { Rule } from './rule-fields.ts';

export type { Rule };

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
  /** The spec that takes the value from Defaults, where the place is in these. */
  takenBy?: { name: string; position: Position };
}

/** Everything that was declared, validated, with every default filled in. */
export interface Specs {
  pairs: BucketReplication[];
  accounts: Account[];
  limits: ChangeLimits;
  /** The variables that are used somewhere, by name. */
  variables: Variable[];
}

/** A variable with its value, and where that came from. */
export interface Variable {
  name: string;
  value: VariableValue;
  from: '--var' | `environment ${string}` | 'default';
}

export type VariableValue = string | number | boolean;

/** How much one run may change; the strictest of all Guardrails. */
export interface ChangeLimits {
  /** Resources that it may create or update; absent: any number. */
  maxChanges?: number;
  /** Rules and statements that it may take away. */
  maxRemovals?: number;
}

/** A resolved `kind: BucketReplication`: no later code asks whether the user left something out. */
export interface BucketReplication {
  name: string;
  labels: Record<string, string>;
  source: Side;
  destination: Side & {
    storageClass?: string;
    /** Whose the replicas are, where the accounts differ. */
    objectOwner: 'source' | 'destination';
  };
  /** Further keys under which objects of the source lie. */
  sourceKeys: KeyChoice[];
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
  /** Twelve digits; absent for the ambient credentials. */
  accountId?: string;
  /** Whether there are credentials for the account. */
  managed: boolean;
  key: KeyChoice;
  /** Whether new objects in this bucket use an S3 Bucket Key by default. */
  bucketKey: boolean;
  /** How new objects are encrypted where a request does not say. */
  defaultEncryption: 'SSE-KMS' | 'DSSE-KMS' | 'SSE-S3';
  /** All four settings; absent: left as they are. */
  blockPublicAccess?: boolean;
  /** Absent: left as it is. */
  objectOwnership?: 'BucketOwnerEnforced' | 'BucketOwnerPreferred' | 'ObjectWriter';
}

/** An alias is looked up and created when absent; an ARN must exist and is never altered. */
export type KeyChoice = ({ alias: string } & KeySettings) | { arn: string };

/** What is declared of a key; what is absent is left as it is. */
export interface KeySettings {
  description?: string;
  rotation?: boolean;
  rotationPeriodInDays?: number;
}

/** A role by name is created when absent; a role by ARN must exist and is never altered. */
export type RoleChoice = ({ name: string } & RoleSettings) | { arn: string };

/** What is declared of a role; what is absent is left as it is. */
export interface RoleSettings {
  path?: string;
  permissionsBoundary?: string;
  tags?: Record<string, string>;
}

/** A resolved `kind: Account`. */
export interface Account {
  name: string;
  /** Twelve digits. */
  id: string;
  /** Whether there are credentials for it. */
  managed: boolean;
  profile?: string;
  assumeRole?: { arn: string; externalId?: string; sessionName?: string };
  positions: Record<string, Position>;
}
