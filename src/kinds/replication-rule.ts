import type { ReplicationRule, ReplicationRuleFilter } from '@aws-sdk/client-s3';
import { byCodeUnit, defined } from '../canonical.ts';
import type { Ref } from '../core/resource.ts';

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
export function toAws(id: string, rule: RuleSpec): ReplicationRule {
  const fifteen = { Minutes: 15 };
  const selection = defined({
    SseKmsEncryptedObjects: rule.sseKmsEncryptedObjects ? { Status: 'Enabled' as const } : undefined,
    ReplicaModifications: rule.replicaModifications ? { Status: 'Enabled' as const } : undefined,
  });
  return defined({
    ID: id,
    Priority: rule.priority,
    Status: rule.status,
    Filter: filter(rule),
    DeleteMarkerReplication: { Status: rule.deleteMarkerReplication ? 'Enabled' : 'Disabled' },
    // An empty SourceSelectionCriteria is refused.
    SourceSelectionCriteria: Object.keys(selection).length > 0 ? selection : undefined,
    Destination: defined({
      Bucket: rule.destination,
      Account: rule.account,
      AccessControlTranslation: rule.owner === undefined ? undefined : { Owner: rule.owner },
      StorageClass: rule.storageClass,
      EncryptionConfiguration:
        rule.replicaKmsKeyId === undefined ? undefined : { ReplicaKmsKeyID: rule.replicaKmsKeyId },
      ReplicationTime: rule.replicationTimeControl ? { Status: 'Enabled', Time: fifteen } : undefined,
      // A threshold without replication time control is refused.
      Metrics: rule.metrics
        ? defined({ Status: 'Enabled', EventThreshold: rule.replicationTimeControl ? fifteen : undefined })
        : undefined,
    }),
  }) as ReplicationRule;
}

/** From S3's form, of either version: an absent block, a Disabled one and an empty filter have one normal form each. */
export function fromAws(rule: ReplicationRule): RuleSpec {
  const { Destination: destination, Filter: given } = rule;
  const tags = given?.And?.Tags ?? (given?.Tag ? [given.Tag] : []);
  return defined({
    status: rule.Status ?? 'Disabled',
    priority: rule.Priority,
    prefix: given?.And?.Prefix ?? given?.Prefix ?? rule.Prefix ?? '',
    tags: tagMap(tags),
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
export const isV1 = (rule: ReplicationRule): boolean => rule.Filter === undefined;

/** `And` is for two predicates or more. */
function filter({ prefix, tags }: RuleSpec): ReplicationRuleFilter {
  const list = Object.entries(tags)
    .sort(([a], [b]) => byCodeUnit(a, b))
    .map(([Key, Value]) => ({ Key, Value }));
  const [only, ...more] = list;
  if (!only) return { Prefix: prefix };
  if (more.length === 0 && prefix === '') return { Tag: only };
  return { And: prefix === '' ? { Tags: list } : { Prefix: prefix, Tags: list } };
}

function tagMap(tags: { Key?: string | undefined; Value?: string | undefined }[]): Record<string, string> {
  const sorted = tags
    .map(({ Key = '', Value = '' }) => [Key, Value] as const)
    .sort(([a], [b]) => byCodeUnit(a, b));
  return Object.fromEntries(sorted);
}
