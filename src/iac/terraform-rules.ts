import type { ReplicationRule } from '@aws-sdk/client-s3';
import { omitUndefined } from '../util/canonical-json.ts';
import type { AttributePath } from './terraform-document.ts';
import { isRecord, isUnknown, listOf, textOf, type Unknown } from './unknown.ts';

/** Reads the arguments of one rule of a resource. */
export interface RuleReader {
  /** Returns a value; `Unknown` if it is not known. */
  read(path: AttributePath): unknown;
  /** Returns a list or map; `Unknown` if any part of it is not known. */
  readWhole(path: AttributePath): unknown;
  /** ARN of the destination, with a placeholder for a name that is not known. */
  destination(path: AttributePath): string;
  /** ARN, id or alias of the replica key. */
  key(path: AttributePath): string | Unknown | undefined;
  /** Receives the reasons of the values that are not known. */
  onUnknown(reason: string): void;
}

/** The argument readers that both forms of a rule share. */
function createReaders({ read, readWhole, onUnknown }: RuleReader) {
  const value = (...path: AttributePath) => knownValue(read(path));
  const knownValue = (result: unknown) => {
    if (!isUnknown(result)) return result;
    onUnknown(result.reason);
    return undefined;
  };
  const text = (...path: AttributePath) => textOf(value(...path));
  const hasBlock = (...path: AttributePath) => listOf(value(...path)).length > 0;
  /** Returns the argument `status` or `enabled` of a block, as S3 writes it. */
  const status = (...path: AttributePath) => {
    if (!hasBlock(...path)) return undefined;
    const enabled = value(...path, 0, 'enabled');
    if (typeof enabled === 'boolean') return enabled ? 'Enabled' : 'Disabled';
    return text(...path, 0, 'status');
  };
  const number = (...path: AttributePath) => {
    const result = value(...path);
    return typeof result === 'number' ? result : undefined;
  };
  const tags = (...path: AttributePath) => {
    const map = knownValue(readWhole(path));
    return isRecord(map) ? Object.entries(map).map(([Key, Value]) => ({ Key, Value: String(Value) })) : [];
  };
  return { value, text, hasBlock, status, number, tags };
}

type Readers = ReturnType<typeof createReaders>;

/** Returns a rule of `aws_s3_bucket_replication_configuration` as S3 has it. `fallbackId`: for an id that is not known. */
export function ruleOfResource(reader: RuleReader, fallbackId: string): ReplicationRule {
  const readers = createReaders(reader);
  const { text, hasBlock, number } = readers;
  const destination = ['destination', 0] as const;
  const id = reader.read(['id']);
  return omitUndefined({
    ID: (isUnknown(id) ? undefined : textOf(id)) ?? fallbackId,
    Priority: number('priority'),
    Status: ruleStatus(readers),
    ...(hasBlock('filter') ? { Filter: filterOfRule(readers) } : { Prefix: text('prefix') ?? '' }),
    SourceSelectionCriteria: selectionOf(readers),
    DeleteMarkerReplication: hasBlock('delete_marker_replication')
      ? { Status: text('delete_marker_replication', 0, 'status') }
      : undefined,
    Destination: omitUndefined({
      Bucket: reader.destination([...destination, 'bucket']),
      Account: text(...destination, 'account'),
      StorageClass: text(...destination, 'storage_class'),
      AccessControlTranslation: translationOf(readers, [...destination, 'access_control_translation']),
      EncryptionConfiguration: hasBlock(...destination, 'encryption_configuration')
        ? {
            ReplicaKmsKeyID: keyName(reader, [
              ...destination,
              'encryption_configuration',
              0,
              'replica_kms_key_id',
            ]),
          }
        : undefined,
      ...metricsOf(readers, destination),
    }),
  }) as ReplicationRule;
}

/** Returns a rule of a block `replication_configuration` in `aws_s3_bucket` as S3 has it. */
export function ruleOfBlock(reader: RuleReader, fallbackId: string): ReplicationRule {
  const readers = createReaders(reader);
  const { value, text, hasBlock, number, tags } = readers;
  const destination = ['destination', 0] as const;
  const id = reader.read(['id']);
  const key = keyName(reader, [...destination, 'replica_kms_key_id']);
  const filterTags = tags('filter', 0, 'tags');
  const prefix = text('filter', 0, 'prefix');
  const deleteMarkers = value('delete_marker_replication_status');
  return omitUndefined({
    ID: (isUnknown(id) ? undefined : textOf(id)) ?? fallbackId,
    Priority: hasBlock('filter') ? number('priority') : undefined,
    Status: ruleStatus(readers),
    ...(hasBlock('filter')
      ? {
          Filter:
            filterTags.length > 0
              ? { And: omitUndefined({ Prefix: prefix, Tags: filterTags }) }
              : { Prefix: prefix ?? '' },
          DeleteMarkerReplication: { Status: deleteMarkers === 'Enabled' ? 'Enabled' : 'Disabled' },
        }
      : { Prefix: text('prefix') ?? '' }),
    SourceSelectionCriteria: selectionOf(readers),
    Destination: omitUndefined({
      Bucket: reader.destination([...destination, 'bucket']),
      Account: text(...destination, 'account_id'),
      StorageClass: text(...destination, 'storage_class'),
      AccessControlTranslation: translationOf(readers, [...destination, 'access_control_translation']),
      EncryptionConfiguration: key === undefined ? undefined : { ReplicaKmsKeyID: key },
      ...metricsOf(readers, destination),
    }),
  }) as ReplicationRule;
}

/** A rule whose status is not known may be enabled. */
const ruleStatus = ({ text }: Readers) => text('status') ?? 'Enabled';

function filterOfRule({ text, hasBlock, tags }: Readers) {
  if (hasBlock('filter', 0, 'and'))
    return {
      And: omitUndefined({
        Prefix: text('filter', 0, 'and', 0, 'prefix'),
        Tags: tags('filter', 0, 'and', 0, 'tags'),
      }),
    };
  if (hasBlock('filter', 0, 'tag'))
    return {
      Tag: {
        Key: text('filter', 0, 'tag', 0, 'key') ?? '',
        Value: text('filter', 0, 'tag', 0, 'value') ?? '',
      },
    };
  return { Prefix: text('filter', 0, 'prefix') ?? '' };
}

function selectionOf({ hasBlock, status }: Readers) {
  const criteria = 'source_selection_criteria';
  if (!hasBlock(criteria)) return undefined;
  const [encrypted, modifications] = [
    status(criteria, 0, 'sse_kms_encrypted_objects'),
    status(criteria, 0, 'replica_modifications'),
  ];
  return omitUndefined({
    SseKmsEncryptedObjects: encrypted === undefined ? undefined : { Status: encrypted },
    ReplicaModifications: modifications === undefined ? undefined : { Status: modifications },
  });
}

const translationOf = ({ text, hasBlock }: Readers, path: AttributePath) =>
  hasBlock(...path) ? { Owner: text(...path, 0, 'owner') } : undefined;

const metricsOf = ({ text, hasBlock }: Readers, destination: AttributePath) => ({
  Metrics: hasBlock(...destination, 'metrics')
    ? { Status: text(...destination, 'metrics', 0, 'status') }
    : undefined,
  ReplicationTime: hasBlock(...destination, 'replication_time')
    ? { Status: text(...destination, 'replication_time', 0, 'status') }
    : undefined,
});

function keyName(reader: RuleReader, path: AttributePath): string | undefined {
  const key = reader.key(path);
  if (!isUnknown(key)) return key;
  reader.onUnknown(key.reason);
  return undefined;
}
