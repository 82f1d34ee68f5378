import { AwsError } from '../aws-error.ts';
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
import { buildKeyArn, createKeyState, defaultKeyPolicy, materialIdOf } from './keys.ts';

type KmsTag = { TagKey: string; TagValue: string };

/** Handlers of the operations on keys. */
export const keyHandlers: Handlers = {
  CreateKey(call, input) {
    requireAccountAccess(call, 'kms:CreateKey');
    const tags: KmsTag[] = input.Tags ?? [];
    checkKmsTags(tags);
    const spec: string = input.KeySpec ?? input.CustomerMasterKeySpec ?? 'SYMMETRIC_DEFAULT';
    const origin: string = input.Origin ?? 'AWS_KMS';
    checkEnum(spec, 'keySpec', KEY_SPECS);
    checkEnum(origin, 'origin', KEY_ORIGINS);
    if (input.KeyUsage === undefined && spec !== 'SYMMETRIC_DEFAULT') {
      throw new AwsError(
        400,
        'ValidationException',
        'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.',
      );
    }
    const usage: string = input.KeyUsage ?? 'ENCRYPT_DECRYPT';
    checkEnum(usage, 'keyUsage', KEY_USAGES);
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
    if (!primary.multiRegion)
      throw new AwsError(400, 'UnsupportedOperationException', `${primary.arn} is not a multi-Region key.`);
    checkNotPendingDeletion(primary);
    const tags: KmsTag[] = input.Tags ?? [];
    checkKmsTags(tags);
    const { keys } = callerAccountOf(call);
    const region: string = input.ReplicaRegion;
    const id = `${region}/${primary.id}`;
    if (keys.has(id)) {
      throw new AwsError(
        400,
        'AlreadyExistsException',
        `Unable to create replica key ${buildKeyArn(primary.account, region, primary.id)}: it already exists.`,
      );
    }
    const replica: KeyState = {
      ...primary,
      arn: buildKeyArn(primary.account, region, primary.id),
      region,
      description: input.Description ?? '',
      created: call.now,
      policy:
        input.Policy === undefined
          ? defaultKeyPolicy(primary.account, primary.region)
          : toStoredKeyPolicy(call, input.Policy),
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
      .filter((key) => key.region === call.region && key.visibleFrom <= call.now)
      .map(({ id, arn }) => ({ KeyId: id, KeyArn: arn }));
    const { items, ...page } = kmsPageOf(keys, input, 100);
    return { Keys: items, ...page };
  },

  UpdateKeyDescription(call, input) {
    const key = getOwnKey(call, input.KeyId);
    checkNotPendingDeletion(key);
    key.description = input.Description;
    return markAccountChanged(call, {});
  },

  EnableKey(call, input) {
    const key = getOwnKey(call, input.KeyId);
    checkNotPendingDeletion(key);
    key.state = 'Enabled';
    return markAccountChanged(call, {});
  },

  DisableKey(call, input) {
    const key = getOwnKey(call, input.KeyId);
    checkNotPendingDeletion(key);
    key.state = 'Disabled';
    return markAccountChanged(call, {});
  },

  ScheduleKeyDeletion(call, input) {
    const key = getOwnKey(call, input.KeyId);
    checkNotPendingDeletion(key);
    const days: number = input.PendingWindowInDays ?? 30;
    checkRange(days, 'pendingWindowInDays', [7, 30]);
    key.state = 'PendingDeletion';
    key.deletionDate = call.now + days * DAY_MS;
    return markAccountChanged(call, {
      KeyId: key.arn,
      DeletionDate: new Date(key.deletionDate),
      KeyState: key.state,
      PendingWindowInDays: days,
    });
  },

  /** Leaves the key disabled, as KMS does. The caller must enable it separately. */
  CancelKeyDeletion(call, input) {
    const key = getOwnKey(call, input.KeyId);
    if (key.state !== 'PendingDeletion')
      throw new AwsError(400, 'KMSInvalidStateException', `${key.arn} is not pending deletion.`);
    key.state = 'Disabled';
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
    const { id, rotation } = getAuthorizedKey(call, input.KeyId);
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
    checkNotPendingDeletion(key);
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
    checkNotPendingDeletion(key);
    for (const name of input.TagKeys) key.tags.delete(name);
    return markAccountChanged(call, {});
  },

  ListResourceTags(call, input) {
    const tags = [...getOwnKey(call, input.KeyId).tags].map(([TagKey, TagValue]) => ({ TagKey, TagValue }));
    const { items, ...page } = kmsPageOf(tags, input);
    return { Tags: items, ...page };
  },
};

const DAY_MS = 86_400_000;

const KEY_SPECS = [
  'SYMMETRIC_DEFAULT',
  'RSA_2048',
  'RSA_3072',
  'RSA_4096',
  'ECC_NIST_P256',
  'ECC_NIST_P384',
  'ECC_NIST_P521',
  'ECC_SECG_P256K1',
  'HMAC_224',
  'HMAC_256',
  'HMAC_384',
  'HMAC_512',
];
const KEY_USAGES = ['SIGN_VERIFY', 'ENCRYPT_DECRYPT', 'GENERATE_VERIFY_MAC', 'KEY_AGREEMENT'];
const KEY_ORIGINS = ['AWS_KMS', 'EXTERNAL', 'AWS_CLOUDHSM', 'EXTERNAL_KEY_STORE'];

function checkEnum(value: string, member: string, values: string[]): void {
  if (values.includes(value)) return;
  throw kmsValidationError(value, member, `Member must satisfy enum value set: [${values.join(', ')}]`);
}

/** Returns a key that KMS can rotate: a symmetric key whose material KMS created. */
function getRotatableKey(call: Call, name: string): KeyState {
  const key = getOwnKey(call, name);
  checkNotPendingDeletion(key);
  if (key.state === 'Disabled') throw new AwsError(400, 'DisabledException', `${key.arn} is disabled.`);
  if (key.spec !== 'SYMMETRIC_DEFAULT' || key.origin !== 'AWS_KMS')
    throw new AwsError(400, 'UnsupportedOperationException', '');
  return key;
}

function toKeyMetadata(call: Call, key: KeyState): object {
  return {
    AWSAccountId: key.account,
    KeyId: key.id,
    Arn: key.arn,
    CreationDate: new Date(key.created),
    Enabled: key.state === 'Enabled',
    Description: key.description,
    KeyUsage: key.usage,
    KeyState: key.state,
    ...(key.deletionDate === undefined ? {} : { DeletionDate: new Date(key.deletionDate) }),
    Origin: key.origin,
    KeyManager: key.manager,
    CustomerMasterKeySpec: key.spec,
    KeySpec: key.spec,
    ...(key.spec === 'SYMMETRIC_DEFAULT' ? { EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'] } : {}),
    ...(key.spec === 'SYMMETRIC_DEFAULT' && key.origin === 'AWS_KMS'
      ? { CurrentKeyMaterialId: materialIdOf(key) }
      : {}),
    MultiRegion: key.multiRegion,
    ...(key.multiRegion ? { MultiRegionConfiguration: toMultiRegionConfiguration(call, key) } : {}),
  };
}

function toMultiRegionConfiguration(call: Call, key: KeyState): object {
  const primaryRegion = key.primaryRegion ?? key.region;
  const relatedKeys = [...call.store.account(key.account).keys.values()].filter(({ id }) => id === key.id);
  return {
    MultiRegionKeyType: key.region === primaryRegion ? 'PRIMARY' : 'REPLICA',
    PrimaryKey: { Arn: buildKeyArn(key.account, primaryRegion, key.id), Region: primaryRegion },
    ReplicaKeys: relatedKeys
      .filter(({ region }) => region !== primaryRegion)
      .map(({ arn, region }) => ({ Arn: arn, Region: region })),
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
