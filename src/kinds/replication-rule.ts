import type { ReplicationRule } from '@aws-sdk/client-s3';
import { elementNamesIn } from '../aws/response.ts';
import type { Ref } from '../core/resource.ts';
import {
  type RuleSettings,
  selectsMoreObjects,
  settingsFromS3,
  settingsToS3,
  usesRelatedKey,
} from '../spec/rule-fields.ts';
import { omitUndefined } from '../util/canonical-json.ts';

/** A replication rule in normal form: the fields of `spec/rule-fields.ts`, and those of its destination. */
export interface RuleSpec extends Omit<RuleSettings, 'enabled'>, RuleDestination {
  status: 'Enabled' | 'Disabled';
}

/** The destination of a rule, which the pair declares for all its rules. */
export interface RuleDestination {
  destination: string;
  replicaKmsKeyId?: string | Ref;
  /** Whether S3 uses the multi-Region key that is related to the key of the object. */
  relatedKey?: true;
  storageClass?: string;
  account?: string;
  owner?: string;
}

/** Returns the normal form of a rule; the priority is absent until `complete` allots one. */
export function toRuleSpec({ enabled, ...settings }: RuleSettings, destination: RuleDestination): RuleSpec {
  return { status: enabled ? 'Enabled' : 'Disabled', ...settings, ...destination };
}

/** Returns S3's form: always the second version of the schema, with no `Disabled` block that S3 lets us omit. */
export function toS3Rule(id: string, { status, ...rule }: RuleSpec): ReplicationRule {
  const settings = settingsToS3({ enabled: status === 'Enabled', ...rule });
  return omitUndefined({
    // Manual steps print the fields in this order.
    ID: id,
    Priority: undefined,
    Status: undefined,
    Filter: undefined,
    DeleteMarkerReplication: undefined,
    SourceSelectionCriteria: undefined,
    ...settings,
    Destination: omitUndefined({
      Bucket: rule.destination,
      Account: rule.account,
      AccessControlTranslation: rule.owner === undefined ? undefined : { Owner: rule.owner },
      StorageClass: rule.storageClass,
      EncryptionConfiguration: toEncryptionConfiguration(rule),
      ...settings.Destination,
    }),
  }) as ReplicationRule;
}

const toEncryptionConfiguration = ({ replicaKmsKeyId, relatedKey }: Partial<RuleDestination>) =>
  replicaKmsKeyId === undefined && !relatedKey
    ? undefined
    : omitUndefined({
        ReplicaKmsKeyID: replicaKmsKeyId,
        UseSourceMultiRegionKey: relatedKey && { Status: 'Enabled' },
      });

/**
 * Returns the normal form of S3's form of either version: an absent block, a Disabled one and an empty filter are the
 * same.
 */
export function fromS3Rule(rule: ReplicationRule): RuleSpec {
  const { Destination: destination } = rule;
  return toRuleSpec(
    settingsFromS3(rule),
    omitUndefined({
      destination: destination?.Bucket ?? '',
      replicaKmsKeyId: destination?.EncryptionConfiguration?.ReplicaKmsKeyID,
      relatedKey: usesRelatedKey(rule) ? (true as const) : undefined,
      storageClass: destination?.StorageClass,
      // S3 uses the account only to change the owner.
      account: destination?.AccessControlTranslation === undefined ? undefined : destination.Account,
      owner: destination?.AccessControlTranslation?.Owner,
    }),
  );
}

/**
 * Whether an enabled rule replicates objects that the previous rule did not replicate, or replicates them to another
 * bucket.
 */
export function selectsMore(rule: RuleSpec, previous: RuleSpec | undefined): boolean {
  if (rule.status === 'Disabled') return false;
  return (
    previous?.status !== 'Enabled' ||
    rule.destination !== previous.destination ||
    selectsMoreObjects(rule, previous)
  );
}

/** Fields of a rule whose change makes S3 use another resource, or the same resource in another way. */
const DESTINATION_FIELDS = [
  'destination',
  'replicaKmsKeyId',
  'relatedKey',
  'storageClass',
  'account',
  'owner',
] as const;
const ADDED_FIELDS = ['deleteMarkerReplication', 'replicaModifications'] as const;

/** Whether an enabled rule makes S3 use permissions that the previous rule did not use. */
export function usesMore(rule: RuleSpec, previous: RuleSpec | undefined): boolean {
  if (rule.status === 'Disabled') return false;
  return (
    previous === undefined ||
    selectsMore(rule, previous) ||
    DESTINATION_FIELDS.some((field) => rule[field] !== previous[field]) ||
    ADDED_FIELDS.some((field) => rule[field] && !previous[field])
  );
}

/** A rule with every field, so that its S3 form has every element that replikey can write. */
const RULE_WITH_EVERY_FIELD: Required<RuleSpec> = {
  status: 'Enabled',
  priority: 1,
  prefix: 'prefix/',
  tags: { key: 'value' },
  exclude: { prefixes: ['prefix/'], tags: { key: ['value'] } },
  deleteMarkerReplication: true,
  sseKmsEncryptedObjects: true,
  replicaModifications: true,
  destination: 'arn:aws:s3:::bucket',
  replicaKmsKeyId: 'key',
  relatedKey: true,
  storageClass: 'STANDARD',
  account: '111122223333',
  owner: 'Destination',
  replicationTimeControl: true,
  metrics: true,
};

const { exclude: _, ...WITHOUT_EXCLUSION } = RULE_WITH_EVERY_FIELD;

/** Names of the XML elements of replication rules that replikey understands. */
export const RULE_ELEMENTS: ReadonlySet<string> = elementNamesIn({
  Role: '',
  Rules: [
    toS3Rule('', RULE_WITH_EVERY_FIELD),
    // A filter with one predicate has no `And`.
    toS3Rule('', { ...WITHOUT_EXCLUSION, prefix: '' }),
    toS3Rule('', { ...WITHOUT_EXCLUSION, tags: {} }),
    // An exclusion with one element has no `Or`.
    toS3Rule('', { ...RULE_WITH_EVERY_FIELD, exclude: { prefixes: [''], tags: {} } }),
    toS3Rule('', { ...RULE_WITH_EVERY_FIELD, exclude: { prefixes: [], tags: { key: ['value'] } } }),
    { Prefix: '' },
  ],
});
