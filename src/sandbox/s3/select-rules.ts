import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { BucketState, VersionState } from '../state.ts';

/**
 * The rules that take an object: for each destination bucket the one of highest priority among those whose filter
 * matches. Priority is of no concern between different destinations.
 */
export function selectReplicationRules(bucket: BucketState, version: VersionState): ReplicationRule[] {
  const byDestination = new Map<string, ReplicationRule>();
  for (const rule of bucket.replication?.Rules ?? []) {
    if (rule.Status !== 'Enabled' || !matchesRuleFilter(rule, version)) continue;
    const destination = rule.Destination?.Bucket ?? '';
    const currentBest = byDestination.get(destination);
    if (!currentBest || (rule.Priority ?? 0) > (currentBest.Priority ?? 0))
      byDestination.set(destination, rule);
  }
  return [...byDestination.values()].filter((rule) => isReplicable(rule, version));
}

function matchesRuleFilter({ Filter, Prefix }: ReplicationRule, version: VersionState): boolean {
  const prefix = Filter?.And?.Prefix ?? Filter?.Prefix ?? Prefix ?? '';
  if (!version.key.startsWith(prefix)) return false;
  const tags = Filter?.And?.Tags ?? (Filter?.Tag ? [Filter.Tag] : []);
  return tags.every(({ Key, Value }) => version.tags.get(Key ?? '') === Value);
}

/** Delete markers only where enabled (always under V1), KMS-encrypted objects only where selected. */
function isReplicable(rule: ReplicationRule, version: VersionState): boolean {
  if (version.deleteMarker) {
    return rule.Filter === undefined || rule.DeleteMarkerReplication?.Status === 'Enabled';
  }
  if (version.encryption.algorithm === 'AES256') return true;
  return rule.SourceSelectionCriteria?.SseKmsEncryptedObjects?.Status === 'Enabled';
}
