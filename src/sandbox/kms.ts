import { AwsError } from './aws-error.ts';
import type { Call, Handlers } from './call.ts';
import {
  accountOf,
  changed,
  demandInAccount,
  inRange,
  keyFor,
  notPendingDeletion,
  ownKey,
  violation,
} from './kms-access.ts';
import { aliasHandlers } from './kms-aliases.ts';
import { cryptographyHandlers } from './kms-cryptography.ts';
import { defaultPolicy, keyArn, materialId, newKey } from './kms-keys.ts';
import { acceptedPolicy, keyPolicyHandlers } from './kms-policies.ts';
import { page } from './page.ts';
import type { KeyState } from './state.ts';

type Tag = { TagKey: string; TagValue: string };

/** The operations on keys themselves. */
const keyHandlers: Handlers = {
  CreateKey(call, input) {
    demandInAccount(call, 'kms:CreateKey');
    const tags: Tag[] = input.Tags ?? [];
    checkTags(tags);
    const spec: string = input.KeySpec ?? input.CustomerMasterKeySpec ?? 'SYMMETRIC_DEFAULT';
    const origin: string = input.Origin ?? 'AWS_KMS';
    oneOf(spec, 'keySpec', SPECS);
    oneOf(origin, 'origin', ORIGINS);
    if (input.KeyUsage === undefined && spec !== 'SYMMETRIC_DEFAULT') {
      throw new AwsError(
        400,
        'ValidationException',
        'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.',
      );
    }
    const usage: string = input.KeyUsage ?? 'ENCRYPT_DECRYPT';
    oneOf(usage, 'keyUsage', USAGES);
    const account = accountOf(call);
    const key = newKey({ account: account.id, region: call.region }, call.now, {
      spec,
      origin,
      usage,
      description: input.Description ?? '',
      state: origin === 'EXTERNAL' ? 'PendingImport' : 'Enabled',
      multiRegion: input.MultiRegion ?? false,
      ...(input.MultiRegion ? { primaryRegion: call.region } : {}),
      ...(input.Policy === undefined
        ? {}
        : { policy: acceptedPolicy(call, input.Policy, undefined, input.BypassPolicyLockoutSafetyCheck) }),
      tags: new Map(tags.map(({ TagKey, TagValue }) => [TagKey, TagValue])),
      visibleFrom: call.now + call.knobs.keyPropagationMs,
    });
    account.keys.set(`${call.region}/${key.id}`, key);
    return changed(call, { KeyMetadata: metadata(call, key) });
  },

  ReplicateKey(call, input) {
    const primary = ownKey(call, input.KeyId);
    if (!primary.multiRegion)
      throw new AwsError(400, 'UnsupportedOperationException', `${primary.arn} is not a multi-Region key.`);
    notPendingDeletion(primary);
    const tags: Tag[] = input.Tags ?? [];
    checkTags(tags);
    const { keys } = accountOf(call);
    const region: string = input.ReplicaRegion;
    const id = `${region}/${primary.id}`;
    if (keys.has(id)) {
      throw new AwsError(
        400,
        'AlreadyExistsException',
        `Unable to create replica key ${keyArn(primary.account, region, primary.id)}: it already exists.`,
      );
    }
    const replica: KeyState = {
      ...primary,
      arn: keyArn(primary.account, region, primary.id),
      region,
      description: input.Description ?? '',
      created: call.now,
      policy:
        input.Policy === undefined ? defaultPolicy(primary.account) : acceptedPolicy(call, input.Policy),
      tags: new Map(tags.map(({ TagKey, TagValue }) => [TagKey, TagValue])),
      visibleFrom: call.now + call.knobs.keyPropagationMs,
    };
    keys.set(id, replica);
    return changed(call, {
      ReplicaKeyMetadata: metadata(call, replica),
      ReplicaPolicy: replica.policy,
      ReplicaTags: tags,
    });
  },

  DescribeKey: (call, input) => ({ KeyMetadata: metadata(call, keyFor(call, input.KeyId)) }),

  ListKeys(call, input) {
    demandInAccount(call, 'kms:ListKeys');
    const keys = [...accountOf(call).keys.values()]
      .filter((key) => key.region === call.region && key.visibleFrom <= call.now)
      .map(({ id, arn }) => ({ KeyId: id, KeyArn: arn }));
    const { items, next } = page(keys, input.Limit ?? 100, input.Marker);
    return { Keys: items, Truncated: next !== undefined, NextMarker: next };
  },

  UpdateKeyDescription(call, input) {
    const key = ownKey(call, input.KeyId);
    notPendingDeletion(key);
    key.description = input.Description;
    return changed(call, {});
  },

  EnableKey(call, input) {
    const key = ownKey(call, input.KeyId);
    notPendingDeletion(key);
    key.state = 'Enabled';
    return changed(call, {});
  },

  DisableKey(call, input) {
    const key = ownKey(call, input.KeyId);
    notPendingDeletion(key);
    key.state = 'Disabled';
    return changed(call, {});
  },

  ScheduleKeyDeletion(call, input) {
    const key = ownKey(call, input.KeyId);
    notPendingDeletion(key);
    const days: number = input.PendingWindowInDays ?? 30;
    inRange(days, 'pendingWindowInDays', [7, 30]);
    key.state = 'PendingDeletion';
    key.deletionDate = call.now + days * DAY;
    return changed(call, {
      KeyId: key.arn,
      DeletionDate: new Date(key.deletionDate),
      KeyState: key.state,
      PendingWindowInDays: days,
    });
  },

  /** The key is left disabled: whoever cancels has to enable it as well. */
  CancelKeyDeletion(call, input) {
    const key = ownKey(call, input.KeyId);
    if (key.state !== 'PendingDeletion')
      throw new AwsError(400, 'KMSInvalidStateException', `${key.arn} is not pending deletion.`);
    key.state = 'Disabled';
    delete key.deletionDate;
    return changed(call, { KeyId: key.arn });
  },

  EnableKeyRotation(call, input) {
    const key = rotatable(call, input.KeyId);
    const periodInDays: number = input.RotationPeriodInDays ?? 365;
    inRange(periodInDays, 'rotationPeriodInDays', [90, 2560]);
    key.rotation = { enabled: true, periodInDays };
    return changed(call, {});
  },

  DisableKeyRotation(call, input) {
    const key = rotatable(call, input.KeyId);
    key.rotation = { ...key.rotation, enabled: false };
    return changed(call, {});
  },

  /** Old material goes on decrypting on AWS, so that here one material serves for all, and only its id changes. */
  RotateKeyOnDemand(call, input) {
    const key = rotatable(call, input.KeyId);
    key.rotations = (key.rotations ?? 0) + 1;
    return changed(call, { KeyId: key.id });
  },

  GetKeyRotationStatus(call, input) {
    const { id, rotation } = keyFor(call, input.KeyId);
    if (!rotation.enabled) return { KeyId: id, KeyRotationEnabled: false };
    return {
      KeyId: id,
      KeyRotationEnabled: true,
      RotationPeriodInDays: rotation.periodInDays,
      NextRotationDate: new Date(call.now + rotation.periodInDays * DAY),
    };
  },

  TagResource(call, input) {
    const key = ownKey(call, input.KeyId);
    notPendingDeletion(key);
    const tags: Tag[] = input.Tags;
    const others = [...key.tags]
      .filter(([name]) => tags.every(({ TagKey }) => TagKey !== name))
      .map(([TagKey, TagValue]) => ({ TagKey, TagValue }));
    checkTags([...tags, ...others]);
    for (const { TagKey, TagValue } of tags) key.tags.set(TagKey, TagValue);
    return changed(call, {});
  },

  UntagResource(call, input) {
    const key = ownKey(call, input.KeyId);
    notPendingDeletion(key);
    for (const name of input.TagKeys) key.tags.delete(name);
    return changed(call, {});
  },

  ListResourceTags(call, input) {
    const tags = [...ownKey(call, input.KeyId).tags].map(([TagKey, TagValue]) => ({ TagKey, TagValue }));
    const { items, next } = page(tags, input.Limit ?? 50, input.Marker);
    return { Tags: items, Truncated: next !== undefined, NextMarker: next };
  },
};

/** The API of KMS (JSON 1.1). */
export const kmsHandlers: Handlers = {
  ...keyHandlers,
  ...aliasHandlers,
  ...keyPolicyHandlers,
  ...cryptographyHandlers,
};

const DAY = 86_400_000;

const SPECS = [
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
const USAGES = ['SIGN_VERIFY', 'ENCRYPT_DECRYPT', 'GENERATE_VERIFY_MAC', 'KEY_AGREEMENT'];
const ORIGINS = ['AWS_KMS', 'EXTERNAL', 'AWS_CLOUDHSM', 'EXTERNAL_KEY_STORE'];

function oneOf(value: string, member: string, values: string[]): void {
  if (values.includes(value)) return;
  throw violation(value, member, `Member must satisfy enum value set: [${values.join(', ')}]`);
}

/** Only symmetric keys whose material KMS made rotate. */
function rotatable(call: Call, name: string): KeyState {
  const key = ownKey(call, name);
  notPendingDeletion(key);
  if (key.state === 'Disabled') throw new AwsError(400, 'DisabledException', `${key.arn} is disabled.`);
  if (key.spec !== 'SYMMETRIC_DEFAULT' || key.origin !== 'AWS_KMS')
    throw new AwsError(400, 'UnsupportedOperationException', '');
  return key;
}

function metadata(call: Call, key: KeyState): object {
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
      ? { CurrentKeyMaterialId: materialId(key) }
      : {}),
    MultiRegion: key.multiRegion,
    ...(key.multiRegion ? { MultiRegionConfiguration: multiRegion(call, key) } : {}),
  };
}

function multiRegion(call: Call, key: KeyState): object {
  const primaryRegion = key.primaryRegion ?? key.region;
  const related = [...call.store.account(key.account).keys.values()].filter(({ id }) => id === key.id);
  return {
    MultiRegionKeyType: key.region === primaryRegion ? 'PRIMARY' : 'REPLICA',
    PrimaryKey: { Arn: keyArn(key.account, primaryRegion, key.id), Region: primaryRegion },
    ReplicaKeys: related
      .filter(({ region }) => region !== primaryRegion)
      .map(({ arn, region }) => ({ Arn: arn, Region: region })),
  };
}

function checkTags(tags: Tag[]): void {
  const tagException = (message: string) => new AwsError(400, 'TagException', message);
  if (tags.length > 50) throw tagException('Too many tags');
  for (const [index, { TagKey, TagValue }] of tags.entries()) {
    for (const [name, value, limit] of [
      ['tagKey', TagKey, 128],
      ['tagValue', TagValue, 256],
    ] as const) {
      if (value.length > limit) {
        throw violation(
          value,
          `tags.${index + 1}.member.${name}`,
          `Member must have length less than or equal to ${limit}`,
        );
      }
    }
    if (TagKey.startsWith('aws:')) throw tagException('Tags beginning with aws: are reserved');
  }
  if (new Set(tags.map(({ TagKey }) => TagKey)).size < tags.length) throw tagException('Duplicate tag keys');
}
