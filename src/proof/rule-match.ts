import type { ReplicationRule } from '@aws-sdk/client-s3';
import {
  destinationBucketOf,
  replicatesDeleteMarkers,
  rulePrefixOf,
  ruleTagsOf,
  selectsKmsObjects,
} from './rule-context.ts';
import type { KmsEncryption } from './types.ts';

/** An object as it lies in a source bucket. */
export interface SourceObject {
  key: string;
  /** As `key=value`. */
  tags: readonly string[];
  deleteMarker: boolean;
  encryption: { algorithm: 'AES256' } | KmsEncryption;
}

/** Why a rule does not take an object, in words; undefined where it does. */
export function mismatchReason(
  rule: ReplicationRule,
  object: SourceObject,
  rules: readonly ReplicationRule[],
): string | undefined {
  const mismatch = filterMismatch(rule, object);
  if (mismatch !== undefined) return mismatch;
  const overridingRule = rules.find(
    (candidate) =>
      candidate !== rule &&
      destinationBucketOf(candidate) === destinationBucketOf(rule) &&
      (candidate.Priority ?? 0) > (rule.Priority ?? 0) &&
      filterMismatch(candidate, object) === undefined,
  );
  // For each destination the rule of the highest priority decides, even where it then passes the object over.
  if (overridingRule)
    return `the rule ${overridingRule.ID} has a higher priority for ${destinationBucketOf(rule)}`;
  if (object.deleteMarker)
    return replicatesDeleteMarkers(rule) ? undefined : 'it does not replicate delete markers';
  if (object.encryption.algorithm === 'AES256' || selectsKmsObjects(rule)) return undefined;
  return `it does not select objects that are encrypted with ${object.encryption.algorithm}`;
}

function filterMismatch(rule: ReplicationRule, { key, tags }: SourceObject): string | undefined {
  if (rule.Status !== 'Enabled') return 'it is off';
  const prefix = rulePrefixOf(rule);
  if (!key.startsWith(prefix)) return `its prefix is ${prefix}`;
  const missingTag = ruleTagsOf(rule).find((tag) => !tags.includes(tag));
  return missingTag === undefined ? undefined : `it takes objects with the tag ${missingTag}`;
}
