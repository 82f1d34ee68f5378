import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { Policy } from '../iam/types.ts';

/**
 * Everything that the proof looks at, as plain data in AWS's own forms: read from AWS, foreseen from specs, or taken
 * from a file that somebody else exported. Unreadable is not absent, and neither is what nobody looked at.
 */
export interface Observed {
  /** By name. */
  buckets: Record<string, Fact<BucketFacts>>;
  /** By ARN. */
  roles: Record<string, Fact<RoleFacts>>;
  /** By the name by which a configuration speaks of them: a key's ARN, or an alias's. */
  keys: Record<string, Fact<KeyFacts>>;
}

/** What AWS says; null: there is none; absent: nobody looked. */
export type Fact<T> = T | null | Unread;

/** What could not be read, and why. */
export interface Unread {
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
export const known = <T>(fact: Fact<T> | undefined): T | undefined =>
  fact === null || fact === undefined || isUnread(fact) ? undefined : fact;

/** Why a fact is not known; undefined where it is, or where there surely is none. */
export const unreadOf = (fact: Fact<unknown> | undefined): string | undefined =>
  fact === undefined ? 'nobody looked' : isUnread(fact) ? fact.unread : undefined;

export const isUnread = (fact: unknown): fact is Unread =>
  typeof fact === 'object' && fact !== null && typeof (fact as Partial<Unread>).unread === 'string';

/**
 * Lay facts over others, in place: what the second says holds, and what it does not say stays as the first has it. What
 * could not be read stays unread, whatever is foreseen of it.
 */
export function layOver(below: Observed, above: Partial<Observed>): void {
  lay(below.buckets, above.buckets, merged);
  lay(below.roles, above.roles, (one, other) => ({
    ...merged(one, other),
    // Beside the policy that is foreseen there may be others that nobody could read.
    ...(isUnread(one.policies) ? { policies: one.policies } : {}),
    ...(known(one.policies) && known(other.policies)
      ? { policies: { ...known(one.policies), ...known(other.policies) } }
      : {}),
  }));
  lay(below.keys, above.keys, merged);
}

export const nothingObserved = (): Observed => ({ buckets: {}, roles: {}, keys: {} });

const merged = <T extends object>(one: T, other: T): T => ({ ...one, ...other });

function lay<T extends object>(
  below: Record<string, Fact<T>>,
  above: Record<string, Fact<T>> = {},
  merge: (one: T, other: T) => T,
): void {
  for (const [name, fact] of Object.entries(above)) {
    const before = below[name];
    if (isUnread(before)) continue;
    const [one, other] = [known(before), known(fact)];
    below[name] = one && other ? merge(one, other) : fact;
  }
}
