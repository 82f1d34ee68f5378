import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { Policy } from '../iam/types.ts';

/**
 * Everything that the proof looks at, as plain data in AWS's own forms: read from AWS, foreseen from specs, or taken
 * from a file that somebody else exported. Unreadable is not absent, and neither is what nobody looked at.
 */
export interface Facts {
  /** By name. */
  buckets: Record<string, Fact<BucketFacts>>;
  /** By ARN. */
  roles: Record<string, Fact<RoleFacts>>;
  /** By the name by which a configuration speaks of them: a key's ARN, or an alias's. */
  keys: Record<string, Fact<KeyFacts>>;
}

/** What AWS says; null: there is none; absent: nobody looked. */
export type Fact<T> = T | null | UnreadFact;

/** What could not be read, and why. */
export interface UnreadFact {
  unread: string;
}

export interface BucketFacts {
  region: string;
  /** Twelve digits; absent where it is not known whose it is. */
  account?: string;
  versioning?: Fact<{ Status?: string | undefined }>;
  replication?: Fact<{ Role: string; Rules: ReplicationRule[] }>;
  encryption?: Fact<{ Rules: EncryptionRule[] }>;
  policy?: Fact<Policy>;
  ownership?: Fact<{ Rules: { ObjectOwnership: string }[] }>;
  objectLock?: Fact<{ ObjectLockEnabled?: string | undefined }>;
  publicAccessBlock?: Fact<{ RestrictPublicBuckets?: boolean | undefined }>;
}

export interface EncryptionRule {
  ApplyServerSideEncryptionByDefault?:
    | { SSEAlgorithm?: string | undefined; KMSMasterKeyID?: string | undefined }
    | undefined;
  BucketKeyEnabled?: boolean | undefined;
}

export interface RoleFacts {
  trust?: Fact<Policy>;
  /** Inline and attached policies, by name; all of them, or the whole is unread. */
  policies?: Fact<Record<string, Policy>>;
  /** Null: the role has none. */
  boundary?: Fact<Policy>;
}

export interface KeyFacts {
  /** ARN of the key itself, where it is spoken of by an alias. */
  arn: string;
  /** `Enabled`, `Disabled`, `PendingDeletion`, … */
  state?: string;
  /** `ENCRYPT_DECRYPT` */
  usage?: string;
  /** `SYMMETRIC_DEFAULT` */
  keySpec?: string;
  manager?: string;
  policy?: Fact<Policy>;
}

/** The value of a fact, where there is one. */
export const factValue = <T>(fact: Fact<T> | undefined): T | undefined =>
  fact === null || fact === undefined || isUnread(fact) ? undefined : fact;

/** Why a fact is not known; undefined where it is, or where there surely is none. */
export const unreadReasonOf = (fact: Fact<unknown> | undefined): string | undefined =>
  fact === undefined ? 'nobody looked' : isUnread(fact) ? fact.unread : undefined;

export const isUnread = (fact: unknown): fact is UnreadFact =>
  typeof fact === 'object' && fact !== null && typeof (fact as Partial<UnreadFact>).unread === 'string';

/**
 * Lay facts over others, in place: what the second says holds, and what it does not say stays as the first has it. What
 * could not be read stays unread, whatever is foreseen of it.
 */
export function mergeFacts(target: Facts, overlay: Partial<Facts>): void {
  mergeFactsByName(target.buckets, overlay.buckets, mergeFields);
  mergeFactsByName(target.roles, overlay.roles, (base, overlayRole) => ({
    ...mergeFields(base, overlayRole),
    // Beside the policy that is foreseen there may be others that nobody could read.
    ...(isUnread(base.policies) ? { policies: base.policies } : {}),
    ...(factValue(base.policies) && factValue(overlayRole.policies)
      ? { policies: { ...factValue(base.policies), ...factValue(overlayRole.policies) } }
      : {}),
  }));
  mergeFactsByName(target.keys, overlay.keys, mergeFields);
}

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

/** IAM actions that read facts which are no document of a kind, by what they are about. */
export const FACT_ACTIONS = {
  bucket: ['s3:GetBucketObjectLockConfiguration', 's3:ListBucket'],
  role: ['iam:ListAttachedRolePolicies', 'iam:ListRolePolicies', 'iam:GetPolicy', 'iam:GetPolicyVersion'],
  key: [],
} as const;
