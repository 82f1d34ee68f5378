import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { KmsEncryption } from './types.ts';
import { destinationOf, prefixOf, replicatesDeletes, selectsEncrypted, tagsOf } from './world.ts';

/** An object as it lies in a source bucket. */
export interface SourceObject {
  key: string;
  /** As `key=value`. */
  tags: readonly string[];
  deleteMarker: boolean;
  encryption: { algorithm: 'AES256' } | KmsEncryption;
}

/** Why a rule does not take an object, in words; undefined where it does. */
export function passesOver(
  rule: ReplicationRule,
  object: SourceObject,
  rules: readonly ReplicationRule[],
): string | undefined {
  const unmatched = filteredOut(rule, object);
  if (unmatched !== undefined) return unmatched;
  const above = rules.find(
    (other) =>
      other !== rule &&
      destinationOf(other) === destinationOf(rule) &&
      (other.Priority ?? 0) > (rule.Priority ?? 0) &&
      filteredOut(other, object) === undefined,
  );
  // For each destination the rule of the highest priority decides, even where it then passes the object over.
  if (above) return `the rule ${above.ID} has a higher priority for ${destinationOf(rule)}`;
  if (object.deleteMarker)
    return replicatesDeletes(rule) ? undefined : 'it does not replicate delete markers';
  if (object.encryption.algorithm === 'AES256' || selectsEncrypted(rule)) return undefined;
  return `it does not select objects that are encrypted with ${object.encryption.algorithm}`;
}

function filteredOut(rule: ReplicationRule, { key, tags }: SourceObject): string | undefined {
  if (rule.Status !== 'Enabled') return 'it is off';
  const prefix = prefixOf(rule);
  if (!key.startsWith(prefix)) return `its prefix is ${prefix}`;
  const missing = tagsOf(rule).find((tag) => !tags.includes(tag));
  return missing === undefined ? undefined : `it takes objects with the tag ${missing}`;
}
