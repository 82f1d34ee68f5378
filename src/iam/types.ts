/** A policy as AWS stores it: identity, resource, key, trust policy or permissions boundary. */
export interface Policy {
  Version?: string;
  Id?: string;
  Statement: Statement | Statement[];
}

export type OneOrMany<T> = T | T[];

export interface Statement {
  Sid?: string;
  Effect: 'Allow' | 'Deny';
  Principal?: Principal;
  NotPrincipal?: Principal;
  Action?: OneOrMany<string>;
  NotAction?: OneOrMany<string>;
  Resource?: OneOrMany<string>;
  NotResource?: OneOrMany<string>;
  Condition?: Record<string, Record<string, OneOrMany<string | number | boolean>>>;
}

export type Principal = '*' | Record<string, OneOrMany<string>>;

/** What is asked: may this principal do this to that resource, under these condition keys? */
export interface AccessRequest {
  /** An ARN (`arn:aws:iam::1:root`, role, `arn:aws:sts::1:assumed-role/R/S`) or a service (`s3.amazonaws.com`). */
  principal: string;
  /** `kms:Decrypt` */
  action: string;
  /** ARN of the resource. */
  resource: string;
  /** The account that owns the resource: S3 ARNs do not name it. */
  resourceAccount: string;
  /** Condition keys, matched without regard to case; several values for multi-valued keys. */
  context?: Record<string, OneOrMany<string>>;
}

/** A policy with the name a reader knows it by: `role policy "replikey"`, `key policy of arn:…`. */
export interface NamedPolicy {
  name: string;
  policy: Policy;
}

/** Every policy that has a say. A list that is absent does not apply; an empty one applies and allows nothing. */
export interface Policies {
  identity?: NamedPolicy[];
  boundary?: NamedPolicy[];
  /** Bucket policy, key policy or trust policy of the resource. */
  resource?: NamedPolicy;
}

export interface StatementRef {
  policy: string;
  index: number;
  statement: Statement;
}

/** A statement that would have decided, had this part of it matched. */
export interface NearMiss extends StatementRef {
  /** The first part that did not match. */
  part: 'principal' | 'action' | 'resource' | 'condition';
  /** For a condition: operator and key. */
  operator?: string;
  key?: string;
  expected: string[];
  actual: string[];
}

export interface Decision {
  allowed: boolean;
  /** The statements that allow, or the one that denies. */
  statements: StatementRef[];
  /** `explicitDeny`: a statement denies; `implicitDeny`: no statement allows. */
  kind: 'allow' | 'explicitDeny' | 'implicitDeny';
  /** For an implicit deny, the policies that do not allow. */
  missingAllow?: 'identity' | 'resource' | 'boundary';
  /** For an implicit deny, the statement that came nearest, by policy set: what must be mended. */
  nearMiss?: NearMiss;
  /** In words, for a person: which set of policies did not allow and why. */
  reason: string;
}
