import type { ReplicationRule, ReplicationRuleFilter } from '@aws-sdk/client-s3';
import type { Ref } from '../core/resource.ts';
import { compareCodeUnits, omitUndefined } from '../util/canonical-json.ts';

/** A replication rule in our words: every field explicit, tags as a map, and what S3 spells as blocks as booleans. */
export interface RuleSpec {
  status: 'Enabled' | 'Disabled';
  /** Absent only before `complete` allots one. */
  priority?: number;
  prefix: string;
  tags: Record<string, string>;
  deleteMarkerReplication: boolean;
  sseKmsEncryptedObjects: boolean;
  replicaModifications: boolean;
  destination: string;
  replicaKmsKeyId?: string | Ref;
  storageClass?: string;
  account?: string;
  owner?: string;
  replicationTimeControl: boolean;
  metrics: boolean;
}

/** To S3's form: always the second version of the schema, with no block that says `Disabled` where absence says it. */
export function toS3Rule(id: string, rule: RuleSpec): ReplicationRule {
  const fifteenMinutes = { Minutes: 15 };
  const selection = omitUndefined({
    SseKmsEncryptedObjects: rule.sseKmsEncryptedObjects ? { Status: 'Enabled' as const } : undefined,
    ReplicaModifications: rule.replicaModifications ? { Status: 'Enabled' as const } : undefined,
  });
  return omitUndefined({
    ID: id,
    Priority: rule.priority,
    Status: rule.status,
    Filter: toS3Filter(rule),
    DeleteMarkerReplication: { Status: rule.deleteMarkerReplication ? 'Enabled' : 'Disabled' },
    // An empty SourceSelectionCriteria is refused.
    SourceSelectionCriteria: Object.keys(selection).length > 0 ? selection : undefined,
    Destination: omitUndefined({
      Bucket: rule.destination,
      Account: rule.account,
      AccessControlTranslation: rule.owner === undefined ? undefined : { Owner: rule.owner },
      StorageClass: rule.storageClass,
      EncryptionConfiguration:
        rule.replicaKmsKeyId === undefined ? undefined : { ReplicaKmsKeyID: rule.replicaKmsKeyId },
      ReplicationTime: rule.replicationTimeControl ? { Status: 'Enabled', Time: fifteenMinutes } : undefined,
      // A threshold without replication time control is refused.
      Metrics: rule.metrics
        ? omitUndefined({
            Status: 'Enabled',
            EventThreshold: rule.replicationTimeControl ? fifteenMinutes : undefined,
          })
        : undefined,
    }),
  }) as ReplicationRule;
}

/** From S3's form, of either version: an absent block, a Disabled one and an empty filter have one normal form each. */
export function fromS3Rule(rule: ReplicationRule): RuleSpec {
  const { Destination: destination, Filter: filter } = rule;
  const tags = filter?.And?.Tags ?? (filter?.Tag ? [filter.Tag] : []);
  return omitUndefined({
    status: rule.Status ?? 'Disabled',
    priority: rule.Priority,
    prefix: filter?.And?.Prefix ?? filter?.Prefix ?? rule.Prefix ?? '',
    tags: sortedTagMap(tags),
    deleteMarkerReplication: rule.DeleteMarkerReplication?.Status === 'Enabled',
    sseKmsEncryptedObjects: rule.SourceSelectionCriteria?.SseKmsEncryptedObjects?.Status === 'Enabled',
    replicaModifications: rule.SourceSelectionCriteria?.ReplicaModifications?.Status === 'Enabled',
    destination: destination?.Bucket ?? '',
    replicaKmsKeyId: destination?.EncryptionConfiguration?.ReplicaKmsKeyID,
    storageClass: destination?.StorageClass,
    account: destination?.Account,
    owner: destination?.AccessControlTranslation?.Owner,
    replicationTimeControl: destination?.ReplicationTime?.Status === 'Enabled',
    metrics: destination?.Metrics?.Status === 'Enabled',
  }) as RuleSpec;
}

/** Whether a rule is of the first version of the schema, which cannot stand beside ours. */
export const isV1Rule = (rule: ReplicationRule): boolean => rule.Filter === undefined;

/** `And` is for two predicates or more. */
function toS3Filter({ prefix, tags }: RuleSpec): ReplicationRuleFilter {
  const tagList = Object.entries(tags)
    .sort(([a], [b]) => compareCodeUnits(a, b))
    .map(([Key, Value]) => ({ Key, Value }));
  const [first, ...rest] = tagList;
  if (!first) return { Prefix: prefix };
  if (rest.length === 0 && prefix === '') return { Tag: first };
  return { And: prefix === '' ? { Tags: tagList } : { Prefix: prefix, Tags: tagList } };
}

function sortedTagMap(
  tags: { Key?: string | undefined; Value?: string | undefined }[],
): Record<string, string> {
  const sorted = tags
    .map(({ Key = '', Value = '' }) => [Key, Value] as const)
    .sort(([a], [b]) => compareCodeUnits(a, b));
  return Object.fromEntries(sorted);
}
