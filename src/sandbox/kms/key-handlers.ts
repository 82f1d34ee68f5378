import { KeySpec, KeyUsageType, OriginType } from '@aws-sdk/client-kms';
import { partitionOfRegion } from '../../util/arn.ts';
import { AwsError, missingFeatureError } from '../aws-error.ts';
import { type Call, callerAccountOf, type Handlers, markAccountChanged } from '../call.ts';
import type { KeyState } from '../state.ts';
import {
  checkNotPendingDeletion,
  checkRange,
  getAuthorizedKey,
  getOwnKey,
  kmsPageOf,
  kmsValidationError,
  requireAccountAccess,
} from './access.ts';
import { toStoredKeyPolicy } from './key-policies.ts';
import { algorithmsOf, usagesOfSpec } from './key-specs.ts';
import {
  DAY_MS,
  DELETION_STATES,
  deletionDateOf,
  isKeyVisible,
  isPrimaryKey,
  keyStateAt,
  rejectKeyStates,
  replicasOf,
} from './key-state.ts';
import { buildKeyArn, createKeyState, defaultKeyPolicy, materialIdOf } from './keys.ts';

type KmsTag = { TagKey: string; TagValue: string };

/** Handlers of the operations on keys. */
export const keyHandlers: Handlers = {
  CreateKey(call, input) {
    const spec: string = input.KeySpec ?? input.CustomerMasterKeySpec ?? 'SYMMETRIC_DEFAULT';
    const origin: string = input.Origin ?? 'AWS_KMS';
    const tags: KmsTag[] = input.Tags ?? [];
    checkEnum(spec, 'keySpec', Object.values(KeySpec));
    checkEnum(origin, 'origin', Object.values(OriginType));
    checkKeyDescription(input.Description);
    requireCreationAccess(call, tags, call.region);
    checkKmsTags(tags);
    if (input.KeyUsage === undefined && spec !== 'SYMMETRIC_DEFAULT') {
      throw new AwsError(
        400,
        'ValidationException',
        'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.',
      );
    }
    const usage: string = input.KeyUsage ?? 'ENCRYPT_DECRYPT';
    checkEnum(usage, 'keyUsage', Object.values(KeyUsageType));
    if (!usagesOfSpec(spec).includes(usage)) {
      throw new AwsError(
        400,
        'ValidationException',
        `KeyUsage ${usage} is not compatible with KeySpec ${spec}`,
      );
    }
    if (input.CustomKeyStoreId !== undefined || input.XksKeyId !== undefined || !LOCAL_ORIGINS.has(origin))
      throw missingFeatureError('custom key stores');
    const account = callerAccountOf(call);
    const key = createKeyState({ account: account.id, region: call.region }, call.now, {
      spec,
      origin,
      usage,
      description: input.Description ?? '',
      state: origin === 'EXTERNAL' ? 'PendingImport' : 'Enabled',
      multiRegion: input.MultiRegion ?? false,
      ...(input.MultiRegion ? { primaryRegion: call.region } : {}),
      ...(input.Policy === undefined
        ? {}
        : { policy: toStoredKeyPolicy(call, input.Policy, undefined, input.BypassPolicyLockoutSafetyCheck) }),
      tags: new Map(tags.map(({ TagKey, TagValue }) => [TagKey, TagValue])),
      visibleFrom: call.now + call.faultSettings.keyPropagationMs,
    });
    account.keys.set(`${call.region}/${key.id}`, key);
    return markAccountChanged(call, { KeyMetadata: toKeyMetadata(call, key) });
  },

  ReplicateKey(call, input) {
    const primary = getOwnKey(call, input.KeyId);
    const region: string = input.ReplicaRegion;
    checkReplicaRegion(region, primary);
    if (!primary.multiRegion || !isPrimaryKey(primary)) throw notPrimaryError(primary);
    rejectKeyStates(call.store, primary, call.now, [...DELETION_STATES, 'Disabled', 'Creating']);
    const tags: KmsTag[] = input.Tags ?? [];
    checkKeyDescription(input.Description);
    requireCreationAccess(call, tags, region);
    checkKmsTags(tags);
    const { keys } = callerAccountOf(call);
    const id = `${region}/${primary.id}`;
    const existing = keys.get(id);
    if (existing && (deletionDateOf(call.store, existing) ?? Infinity) > call.now) {
      throw new AwsError(
        400,
        'AlreadyExistsException',
        'You can create only one replica of each primary key in each AWS Region.',
      );
    }
    const { deletionDate: _, ...sharedFields } = primary;
    const replica: KeyState = {
      ...sharedFields,
      // The key material of a replica is imported separately.
      state: primary.origin === 'EXTERNAL' ? 'PendingImport' : 'Enabled',
      creatingUntil: call.now + call.faultSettings.keyCreationMs,
      arn: buildKeyArn(primary.account, region, primary.id),
      region,
      description: input.Description ?? '',
      created: call.now,
      policy:
        input.Policy === undefined
          ? defaultKeyPolicy(primary.account, primary.region)
          : toStoredKeyPolicy(call, input.Policy, undefined, input.BypassPolicyLockoutSafetyCheck),
      tags: new Map(tags.map(({ TagKey, TagValue }) => [TagKey, TagValue])),
      // Grants are not shared by the keys of a multi-Region key.
      grants: [],
      visibleFrom: call.now + call.faultSettings.keyPropagationMs,
    };
    keys.set(id, replica);
    return markAccountChanged(call, {
      ReplicaKeyMetadata: toKeyMetadata(call, replica),
      ReplicaPolicy: replica.policy,
      ReplicaTags: tags,
    });
  },

  DescribeKey: (call, input) => ({ KeyMetadata: toKeyMetadata(call, getAuthorizedKey(call, input.KeyId)) }),

  ListKeys(call, input) {
    requireAccountAccess(call, 'kms:ListKeys');
    const keys = [...callerAccountOf(call).keys.values()]
      .filter((key) => key.region === call.region && isKeyVisible(call.store, key, call.now))
      .map(({ id, arn }) => ({ KeyId: id, KeyArn: arn }));
    const { items, ...page } = kmsPageOf(keys, input, { defaultLimit: 100, maxLimit: 1000 });
    return { Keys: items, ...page };
  },

  UpdateKeyDescription(call, input) {
    const key = getOwnKey(call, input.KeyId);
    checkKeyDescription(input.Description);
    checkNotPendingDeletion(call, key);
    key.description = input.Description;
    return markAccountChanged(call, {});
  },

  EnableKey(call, input) {
    const key = getOwnKey(call, input.KeyId);
    rejectKeyStates(call.store, key, call.now, [...DELETION_STATES, 'PendingImport']);
    key.state = 'Enabled';
    return markAccountChanged(call, {});
  },

  DisableKey(call, input) {
    const key = getOwnKey(call, input.KeyId);
    rejectKeyStates(call.store, key, call.now, [...DELETION_STATES, 'PendingImport']);
    key.state = 'Disabled';
    return markAccountChanged(call, {});
  },

  ScheduleKeyDeletion(call, input) {
    const key = getOwnKey(call, input.KeyId);
    checkNotPendingDeletion(call, key);
    const days: number = input.PendingWindowInDays ?? 30;
    checkRange(days, 'pendingWindowInDays', [7, 30]);
    const hasReplicas = replicasOf(call.store, key, call.now).length > 0;
    key.state = hasReplicas ? 'PendingReplicaDeletion' : 'PendingDeletion';
    key.pendingWindowInDays = days;
    if (!hasReplicas) key.deletionDate = call.now + days * DAY_MS;
    return markAccountChanged(call, {
      KeyId: key.arn,
      ...(key.deletionDate === undefined ? {} : { DeletionDate: new Date(key.deletionDate) }),
      KeyState: key.state,
      PendingWindowInDays: days,
    });
  },

  /** Leaves the key disabled, as KMS does. The caller must enable it separately. */
  CancelKeyDeletion(call, input) {
    const key = getOwnKey(call, input.KeyId);
    if (!DELETION_STATES.includes(key.state))
      throw new AwsError(400, 'KMSInvalidStateException', `${key.arn} is not pending deletion.`);
    key.state = key.origin === 'EXTERNAL' ? 'PendingImport' : 'Disabled';
    delete key.pendingWindowInDays;
    delete key.deletionDate;
    return markAccountChanged(call, { KeyId: key.arn });
  },

  EnableKeyRotation(call, input) {
    const key = getRotatableKey(call, input.KeyId);
    const periodInDays: number = input.RotationPeriodInDays ?? 365;
    checkRange(periodInDays, 'rotationPeriodInDays', [90, 2560]);
    key.rotation = { enabled: true, periodInDays };
    return markAccountChanged(call, {});
  },

  DisableKeyRotation(call, input) {
    const key = getRotatableKey(call, input.KeyId);
    key.rotation = { ...key.rotation, enabled: false };
    return markAccountChanged(call, {});
  },

  /**
   * Changes only the id of the key material. On AWS, old material still decrypts, so one material is sufficient here.
   */
  RotateKeyOnDemand(call, input) {
    const key = getRotatableKey(call, input.KeyId);
    key.rotations = (key.rotations ?? 0) + 1;
    return markAccountChanged(call, { KeyId: key.id });
  },

  GetKeyRotationStatus(call, input) {
    const key = getAuthorizedKey(call, input.KeyId);
    checkRotatable(key);
    const { rotation } = primaryKeyOf(call, key);
    const { id } = key;
    if (!rotation.enabled) return { KeyId: id, KeyRotationEnabled: false };
    return {
      KeyId: id,
      KeyRotationEnabled: true,
      RotationPeriodInDays: rotation.periodInDays,
      NextRotationDate: new Date(call.now + rotation.periodInDays * DAY_MS),
    };
  },

  TagResource(call, input) {
    const key = getOwnKey(call, input.KeyId);
    checkNotPendingDeletion(call, key);
    const tags: KmsTag[] = input.Tags;
    const otherTags = [...key.tags]
      .filter(([name]) => tags.every(({ TagKey }) => TagKey !== name))
      .map(([TagKey, TagValue]) => ({ TagKey, TagValue }));
    checkKmsTags([...tags, ...otherTags]);
    for (const { TagKey, TagValue } of tags) key.tags.set(TagKey, TagValue);
    return markAccountChanged(call, {});
  },

  UntagResource(call, input) {
    const key = getOwnKey(call, input.KeyId);
    checkNotPendingDeletion(call, key);
    for (const name of input.TagKeys) key.tags.delete(name);
    return markAccountChanged(call, {});
  },

  ListResourceTags(call, input) {
    const tags = [...getOwnKey(call, input.KeyId).tags].map(([TagKey, TagValue]) => ({ TagKey, TagValue }));
    const { items, ...page } = kmsPageOf(tags, input, { defaultLimit: 50, maxLimit: 50 });
    return { Tags: items, ...page };
  },
};

/** Origins of key material that need no custom key store. */
const LOCAL_ORIGINS: ReadonlySet<string> = new Set<OriginType>(['AWS_KMS', 'EXTERNAL']);

function checkEnum(value: string, member: string, values: readonly string[]): void {
  if (values.includes(value)) return;
  throw kmsValidationError(value, member, `Member must satisfy enum value set: [${values.join(', ')}]`);
}

function checkKeyDescription(description = ''): void {
  if (description.length > 8192)
    throw kmsValidationError(
      description,
      'description',
      'Member must have length less than or equal to 8192',
    );
}

/** Checks the permissions to create a key with tags in a Region (KMS Developer Guide, "KMS permissions reference"). */
function requireCreationAccess(call: Call, tags: readonly KmsTag[], region: string): void {
  const context = { 'aws:RequestedRegion': region };
  requireAccountAccess(call, 'kms:CreateKey', '*', context);
  const keyArn = buildKeyArn(call.caller.account, region, 'new');
  if (tags.length > 0) requireAccountAccess(call, 'kms:TagResource', keyArn, context);
}

function checkReplicaRegion(region: string, primary: KeyState): void {
  if (region.length > 32 || !/^([a-z]+-){2,3}\d+$/.test(region))
    throw kmsValidationError(
      region,
      'replicaRegion',
      'Member must satisfy regular expression pattern: ^([a-z]+-){2,3}\\d+$',
    );
  if (partitionOfRegion(region) !== partitionOfRegion(primary.region))
    throw new AwsError(400, 'ValidationException', `${region} is not a Region of the partition of the key.`);
}

const notPrimaryError = ({ arn }: KeyState): AwsError =>
  new AwsError(400, 'UnsupportedOperationException', `${arn} is not a multi-region primary key.`);

/** Returns the key that holds the rotation of a key: the primary key of a multi-Region key, or the key itself. */
const primaryKeyOf = (call: Call, key: KeyState): KeyState =>
  call.store.account(key.account).keys.get(`${key.primaryRegion ?? key.region}/${key.id}`) ?? key;

/** @throws AwsError when KMS does not rotate keys of this origin and spec. */
function checkRotatable(key: KeyState): void {
  if (key.origin !== 'AWS_KMS')
    throw new AwsError(
      400,
      'UnsupportedOperationException',
      `${key.arn} origin is ${key.origin} which is not valid for this operation.`,
    );
  if (key.spec !== 'SYMMETRIC_DEFAULT') throw new AwsError(400, 'UnsupportedOperationException', '');
}

/** Returns a key whose rotation can change: a symmetric key whose material KMS created, and no replica key. */
function getRotatableKey(call: Call, name: string): KeyState {
  const key = getOwnKey(call, name);
  rejectKeyStates(call.store, key, call.now, [...DELETION_STATES, 'Disabled']);
  checkRotatable(key);
  if (!isPrimaryKey(key)) throw notPrimaryError(key);
  return key;
}

function toKeyMetadata(call: Call, key: KeyState): object {
  const state = keyStateAt(call.store, key, call.now);
  const deletionDate = deletionDateOf(call.store, key);
  return {
    AWSAccountId: key.account,
    KeyId: key.id,
    Arn: key.arn,
    CreationDate: new Date(key.created),
    Enabled: state === 'Enabled',
    Description: key.description,
    KeyUsage: key.usage,
    KeyState: state,
    ...(state === 'PendingDeletion' && deletionDate !== undefined
      ? { DeletionDate: new Date(deletionDate) }
      : {}),
    ...(state === 'PendingReplicaDeletion' ? { PendingDeletionWindowInDays: key.pendingWindowInDays } : {}),
    Origin: key.origin,
    KeyManager: key.manager,
    CustomerMasterKeySpec: key.spec,
    KeySpec: key.spec,
    ...algorithmsOf(key.spec, key.usage),
    ...(key.spec === 'SYMMETRIC_DEFAULT' && key.origin === 'AWS_KMS'
      ? { CurrentKeyMaterialId: materialIdOf(primaryKeyOf(call, key)) }
      : {}),
    MultiRegion: key.multiRegion,
    ...(key.multiRegion ? { MultiRegionConfiguration: toMultiRegionConfiguration(call, key) } : {}),
  };
}

function toMultiRegionConfiguration(call: Call, key: KeyState): object {
  const primaryRegion = key.primaryRegion ?? key.region;
  const replicas = replicasOf(call.store, primaryKeyOf(call, key), call.now);
  return {
    MultiRegionKeyType: key.region === primaryRegion ? 'PRIMARY' : 'REPLICA',
    PrimaryKey: { Arn: buildKeyArn(key.account, primaryRegion, key.id), Region: primaryRegion },
    ReplicaKeys: replicas.map(({ arn, region }) => ({ Arn: arn, Region: region })),
  };
}

function checkKmsTags(tags: KmsTag[]): void {
  const tagError = (message: string) => new AwsError(400, 'TagException', message);
  if (tags.length > 50) throw tagError('Too many tags');
  for (const [index, { TagKey, TagValue }] of tags.entries()) {
    for (const [name, value, limit] of [
      ['tagKey', TagKey, 128],
      ['tagValue', TagValue, 256],
    ] as const) {
      if (value.length > limit) {
        throw kmsValidationError(
          value,
          `tags.${index + 1}.member.${name}`,
          `Member must have length less than or equal to ${limit}`,
        );
      }
    }
    if (TagKey.startsWith('aws:')) throw tagError('Tags beginning with aws: are reserved');
  }
  if (new Set(tags.map(({ TagKey }) => TagKey)).size < tags.length) throw tagError('Duplicate tag keys');
}
