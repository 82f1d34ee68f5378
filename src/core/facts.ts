import type { DefaultRetention, ReplicationRule } from '@aws-sdk/client-s3';
import type { Grant } from '../iam/grants.ts';
import type { ControlPolicyLevel, Policy } from '../iam/types.ts';

/**
 * Everything that the proof uses, as plain data in AWS's own forms: read from AWS, projected from specs, or read from
 * an exported file. An unreadable document and a document that was never read are not absent.
 */
export interface Facts {
  /** By bucket name. */
  buckets: Record<string, Fact<BucketFacts>>;
  /** By role ARN. */
  roles: Record<string, Fact<RoleFacts>>;
  /** By the name that a configuration uses: the ARN of a key or of an alias. */
  keys: Record<string, Fact<KeyFacts>>;
  /** Organizations of accounts, by account id; absent if replikey read no organization. */
  accounts?: Record<string, Fact<AccountFacts>>;
}

/** An account as its organization contains it. */
export interface AccountFacts {
  /** Null: the account is in no organization. */
  organization?: Fact<OrganizationMembership>;
  /** Id of the organization that replikey read, of which the account is no member: `o-a1b2c3d4e5`. */
  outside?: string;
  /** Service control policies by level, from the root to the account. Null: no SCP limits the account. */
  scps?: Fact<ControlPolicyLevel[]>;
  /** Resource control policies by level, from the root to the account. Null: no RCP limits the account. */
  rcps?: Fact<ControlPolicyLevel[]>;
}

export interface OrganizationMembership {
  /** `o-a1b2c3d4e5` */
  id: string;
  /** `o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/` */
  path: string;
}

/** A document of AWS. Null: AWS has none. Absent: replikey did not read it. */
export type Fact<T> = T | null | UnreadFact;

/** A document that replikey could not read, with the reason. */
export interface UnreadFact {
  unread: string;
  /**
   * A policy that allows at least what the unread one allows: what it denies, the unread one does not allow. Absent: the
   * unread policy may allow everything.
   */
  atMost?: object;
}

export interface BucketFacts {
  region: string;
  /** Twelve digits; absent when the owner is not known. */
  account?: string;
  versioning?: Fact<{ Status?: string | undefined }>;
  replication?: Fact<{ Role: string; Rules: ReplicationRule[] }>;
  encryption?: Fact<{ Rules: EncryptionRule[] }>;
  policy?: Fact<Policy>;
  ownership?: Fact<{ Rules: { ObjectOwnership: string }[] }>;
  objectLock?: Fact<{
    ObjectLockEnabled?: string | undefined;
    /** The default retention of new objects. */
    Rule?: { DefaultRetention?: DefaultRetention | undefined } | undefined;
  }>;
  publicAccessBlock?: Fact<{ RestrictPublicBuckets?: boolean | undefined }>;
}

export interface EncryptionRule {
  ApplyServerSideEncryptionByDefault?:
    | { SSEAlgorithm?: string | undefined; KMSMasterKeyID?: string | undefined }
    | undefined;
  BucketKeyEnabled?: boolean | undefined;
}

export interface RoleFacts {
  /** `AROA…`; absent for a role that the plan creates. */
  id?: string;
  /** All tags of the role. */
  tags?: Record<string, string>;
  trust?: Fact<Policy>;
  /** Inline and attached policies by name. If a single policy cannot be read, all are unread. */
  policies?: Fact<Record<string, Policy>>;
  /** Null: the role has no permissions boundary. */
  boundary?: Fact<Policy>;
  /** ARN of the managed policy that is the permissions boundary; absent if there is none, or if it is not known. */
  boundaryArn?: string;
}

export interface KeyFacts {
  /** ARN of the key itself, also when a configuration names an alias. */
  arn: string;
  /** `Enabled`, `Disabled`, `PendingDeletion`, … */
  state?: string;
  /** `ENCRYPT_DECRYPT` */
  usage?: string;
  /** `SYMMETRIC_DEFAULT` */
  keySpec?: string;
  manager?: string;
  policy?: Fact<Policy>;
  /** Grants, which allow without any policy. replikey reads them only when the policies do not allow. */
  grants?: Fact<Grant[]>;
}

/** Returns the value of a fact, if there is one. */
export const factValue = <T>(fact: Fact<T> | undefined): T | undefined =>
  fact === null || fact === undefined || isUnread(fact) ? undefined : fact;

/** Returns a known policy, or the one that allows at least what the unread one allows; undefined if nothing is known. */
export const upperBoundOf = <T extends object>(fact: Fact<T> | undefined): T | undefined =>
  isUnread(fact) ? (fact.atMost as T | undefined) : factValue(fact);

/** A part of the reason of a document that replikey reads only after the plan is applied. */
export const READ_AFTER_APPLY = 'only after the role has it';

/** Returns why a fact is not known; undefined when it is known, also when it is known to be absent. */
export const unreadReasonOf = (fact: Fact<unknown> | undefined): string | undefined =>
  fact === undefined ? 'not read' : isUnread(fact) ? fact.unread : undefined;

export const isUnread = (fact: unknown): fact is UnreadFact =>
  typeof fact === 'object' && fact !== null && typeof (fact as Partial<UnreadFact>).unread === 'string';

/**
 * Merges the facts of `overlay` into `target`, in place. Values of `overlay` take precedence; all others stay. An
 * unread fact stays unread, even if `overlay` contains it.
 */
export function mergeFacts(target: Facts, overlay: Partial<Facts>): void {
  mergeFactsByName(target.buckets, overlay.buckets, mergeFields);
  mergeFactsByName(target.roles, overlay.roles, (base, overlayRole) => ({
    ...mergeFields(base, overlayRole),
    // Beside the projected policy, the role may have others that could not be read.
    ...(isUnread(base.policies) ? { policies: base.policies } : {}),
    ...(factValue(base.policies) && factValue(overlayRole.policies)
      ? { policies: { ...factValue(base.policies), ...factValue(overlayRole.policies) } }
      : {}),
  }));
  mergeFactsByName(target.keys, overlay.keys, mergeFields);
  if (overlay.accounts) target.accounts = { ...target.accounts, ...overlay.accounts };
}

/** Returns the facts with copies of their records, to which a caller can add. */
export const copyFacts = ({ buckets, roles, keys, accounts }: Facts): Facts => ({
  buckets: { ...buckets },
  roles: { ...roles },
  keys: { ...keys },
  ...(accounts && { accounts: { ...accounts } }),
});

export const emptyFacts = (): Facts => ({ buckets: {}, roles: {}, keys: {} });

const mergeFields = <T extends object>(base: T, overlay: T): T => ({ ...base, ...overlay });

function mergeFactsByName<T extends object>(
  target: Record<string, Fact<T>>,
  overlay: Record<string, Fact<T>> = {},
  merge: (base: T, overlay: T) => T,
): void {
  for (const [name, overlayFact] of Object.entries(overlay)) {
    const targetFact = target[name];
    if (isUnread(targetFact)) continue;
    const [baseValue, overlayValue] = [factValue(targetFact), factValue(overlayFact)];
    target[name] = baseValue && overlayValue ? merge(baseValue, overlayValue) : overlayFact;
  }
}

/** IAM actions for reads of facts that are not documents of a kind, by scope. */
export const FACT_ACTIONS = {
  bucket: ['s3:GetBucketObjectLockConfiguration', 's3:ListBucket'],
  role: ['iam:ListAttachedRolePolicies', 'iam:ListRolePolicies', 'iam:GetPolicy', 'iam:GetPolicyVersion'],
  key: ['kms:ListGrants'],
  queue: [],
  topic: [],
  alarm: ['sns:GetTopicAttributes'],
} as const;

/** IAM actions that reading an organization requires, in its management account or for a delegated administrator. */
export const ORGANIZATION_ACTIONS = [
  'organizations:DescribeOrganization',
  'organizations:DescribePolicy',
  'organizations:ListParents',
  'organizations:ListPoliciesForTarget',
] as const;
