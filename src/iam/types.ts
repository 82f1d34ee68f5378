/** A policy as AWS stores it: identity policy, resource policy, key policy, trust policy or permissions boundary. */
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

/** An access request: may this principal perform this action on this resource, with these condition keys? */
export interface AccessRequest {
  /** An ARN (`arn:aws:iam::1:root`, role, `arn:aws:sts::1:assumed-role/R/S`) or a service (`s3.amazonaws.com`). */
  principal: string;
  /** `kms:Decrypt` */
  action: string;
  /** ARN of the resource. */
  resource: string;
  /** The account that owns the resource. S3 ARNs do not contain it. */
  resourceAccount: string;
  /** Condition keys, matched without regard to case; several values for multi-valued keys. */
  context?: Record<string, OneOrMany<string>>;
}

/** A policy with its display name: `role policy "replikey"`, `key policy of arn:…`. */
export interface NamedPolicy {
  name: string;
  policy: Policy;
}

/** Every policy that applies to a request. An absent list does not apply; an empty list applies and allows nothing. */
export interface Policies {
  identity?: NamedPolicy[];
  boundary?: NamedPolicy[];
  /** Bucket policy, key policy or trust policy of the resource. */
  resource?: NamedPolicy;
  /** Service control policies of the principal's account. */
  scps?: ControlPolicyLevel[];
  /** Resource control policies of the resource's account. */
  rcps?: ControlPolicyLevel[];
}

/** Control policies at one level of an organization: its root, an organizational unit, or an account. */
export interface ControlPolicyLevel {
  /** `root r-ab12`, `OU ou-ab12-11111111`, `account 111122223333` */
  name: string;
  policies: NamedPolicy[];
}

/** SCPs limit the principals of an account, RCPs the resources of an account. */
export type ControlPolicyType = 'scp' | 'rcp';

export interface StatementRef {
  policy: string;
  index: number;
  statement: Statement;
}

/** A statement that would apply if this part of it matched. */
export interface NearMiss extends StatementRef {
  /** The first part that does not match. */
  part: 'principal' | 'action' | 'resource' | 'condition';
  /** For a condition: operator and key. */
  operator?: string;
  key?: string;
  expected: string[];
  actual: string[];
}

export interface Decision {
  allowed: boolean;
  /** The statements that allow, or the statement that denies. */
  statements: StatementRef[];
  /** `explicitDeny`: a statement denies; `implicitDeny`: no statement allows. */
  kind: 'allow' | 'explicitDeny' | 'implicitDeny';
  /** For an implicit deny: the set of policies that does not allow. */
  missingAllow?: 'identity' | 'resource' | 'boundary' | ControlPolicyType;
  /** The type of the control policies that deny, explicitly or because a level does not allow. */
  controlPolicy?: ControlPolicyType;
  /** For an implicit deny: the nearest statement of that set of policies, which a fix would change. */
  nearMiss?: NearMiss;
  /** Explanation for the user: which set of policies does not allow, and why. */
  reason: string;
}
