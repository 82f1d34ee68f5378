import type { OneOrMany } from '../../iam/types.ts';
import type { KeyState } from '../state.ts';
import type { Store } from '../store.ts';

/** Condition keys of KMS (KMS Developer Guide, "AWS KMS condition keys", and the Service Authorization Reference). */

type KmsContext = Record<string, OneOrMany<string>>;

/** Returns the keys that describe a KMS key, which every operation on the key has. */
export function keyConditionKeysOf(store: Store, key: KeyState): KmsContext {
  const { id, region, spec, usage, origin, multiRegion, primaryRegion, tags } = key;
  const aliases = [...store.account(key.account).aliases]
    .filter(([name, { targetKeyId }]) => targetKeyId === id && name.startsWith(`${region}/`))
    .map(([name]) => name.slice(region.length + 1));
  return {
    'kms:KeyOrigin': origin,
    'kms:KeySpec': spec,
    'kms:KeyUsage': usage,
    'kms:MultiRegion': String(multiRegion),
    ...(multiRegion
      ? { 'kms:MultiRegionKeyType': (primaryRegion ?? region) === region ? 'PRIMARY' : 'REPLICA' }
      : {}),
    ...(aliases.length > 0 ? { 'kms:ResourceAliases': aliases } : {}),
    ...tagKeysOf('aws:ResourceTag', [...tags]),
  };
}

/** Members of KMS inputs that condition keys test. */
interface DescribedInput {
  BypassPolicyLockoutSafetyCheck?: boolean;
  DestinationEncryptionAlgorithm?: string;
  DestinationKeyId?: string;
  EncryptionAlgorithm?: string;
  KeyId?: string;
  KeySpec?: string;
  KeyUsage?: string;
  MultiRegion?: boolean;
  Origin?: string;
  PendingWindowInDays?: number;
  ReplicaRegion?: string;
  RotationPeriodInDays?: number;
  SourceEncryptionAlgorithm?: string;
  SourceKeyId?: string;
  TagKeys?: string[];
  Tags?: { TagKey?: string; TagValue?: string }[];
}

/**
 * Returns the keys that describe a request: the alias that names the key, and parameters of the operation.
 *
 * @param action `kms:ReEncryptTo`, which can differ from the operation
 */
export function requestConditionKeysOf(
  { operation, input }: { operation: string; input: DescribedInput },
  action: string,
): KmsContext {
  const name = action.slice('kms:'.length);
  const context: KmsContext = {};
  const isTarget = name === 'ReEncryptTo';
  const keyName = (isTarget ? input.DestinationKeyId : (input.SourceKeyId ?? input.KeyId)) ?? '';
  const [alias] = /alias\/.+$/.exec(keyName) ?? [];
  if (alias !== undefined && ALIASED_ACTIONS.test(name)) context['kms:RequestAlias'] = alias;
  if (ENCRYPTION_ACTIONS.test(name)) {
    const { DestinationEncryptionAlgorithm, SourceEncryptionAlgorithm, EncryptionAlgorithm } = input;
    context['kms:EncryptionAlgorithm'] =
      (isTarget ? DestinationEncryptionAlgorithm : (SourceEncryptionAlgorithm ?? EncryptionAlgorithm)) ??
      'SYMMETRIC_DEFAULT';
  }
  if (/^(CreateKey|PutKeyPolicy|ReplicateKey)$/.test(operation))
    context['kms:BypassPolicyLockoutSafetyCheck'] = String(input.BypassPolicyLockoutSafetyCheck ?? false);
  if (operation === 'CreateKey' && name === 'CreateKey') Object.assign(context, newKeyConditionKeysOf(input));
  if (input.PendingWindowInDays !== undefined)
    context['kms:ScheduleKeyDeletionPendingWindowInDays'] = String(input.PendingWindowInDays);
  if (input.RotationPeriodInDays !== undefined)
    context['kms:RotationPeriodInDays'] = String(input.RotationPeriodInDays);
  if (input.ReplicaRegion !== undefined) context['kms:ReplicaRegion'] = input.ReplicaRegion;
  const tags = (input.Tags ?? []).map(({ TagKey = '', TagValue = '' }): [string, string] => [
    TagKey,
    TagValue,
  ]);
  const tagKeys = [...tags.map(([key]) => key), ...(input.TagKeys ?? [])];
  if (tagKeys.length > 0) context['aws:TagKeys'] = tagKeys;
  return { ...context, ...tagKeysOf('aws:RequestTag', tags) };
}

/** Actions whose operation accepts an alias. */
const ALIASED_ACTIONS = /^(Decrypt|DescribeKey|Encrypt|GenerateDataKey\w*|GetPublicKey|ReEncrypt(From|To))$/;
const ENCRYPTION_ACTIONS = /^(Decrypt|Encrypt|GenerateDataKey\w*|ReEncrypt(From|To))$/;

const newKeyConditionKeysOf = ({ KeySpec, KeyUsage, MultiRegion, Origin }: DescribedInput): KmsContext => ({
  'kms:KeyOrigin': Origin ?? 'AWS_KMS',
  'kms:KeySpec': KeySpec ?? 'SYMMETRIC_DEFAULT',
  'kms:KeyUsage': KeyUsage ?? 'ENCRYPT_DECRYPT',
  'kms:MultiRegion': String(MultiRegion ?? false),
  ...(MultiRegion ? { 'kms:MultiRegionKeyType': 'PRIMARY' } : {}),
});

const tagKeysOf = (prefix: string, tags: [key: string, value: string][]): KmsContext =>
  Object.fromEntries(tags.map(([key, value]) => [`${prefix}/${key}`, value]));
