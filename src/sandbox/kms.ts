import { randomBytes } from 'node:crypto';
import { authorize, storedPolicy } from './authorize.ts';
import { AwsError } from './aws-error.ts';
import type { Call, Handlers } from './call.ts';
import { packCiphertext, seal, unpackCiphertext } from './kms-crypto.ts';
import { findKey, formatPolicy, keyArn, newKey, notFound } from './kms-keys.ts';
import { checkState, open } from './kms-service.ts';
import { page } from './page.ts';
import { parseStored } from './policy-input.ts';
import { showPrincipals, storePrincipals, unknownPrincipal } from './principals.ts';
import type { AliasState, KeyState } from './state.ts';

/** The API of KMS (JSON 1.1). */
export const kmsHandlers: Handlers = {
  CreateKey(call, input) {
    checkTags(input.Tags ?? []);
    if (input.Policy !== undefined) checkPolicy(call, input.Policy);
    const account = call.store.account(call.caller.account);
    const key = newKey({ account: account.id, region: call.region }, call.now, {
      ...(input.Description === undefined ? {} : { description: input.Description }),
      ...(input.KeyUsage === undefined ? {} : { usage: input.KeyUsage }),
      ...((input.KeySpec ?? input.CustomerMasterKeySpec) === undefined
        ? {}
        : { spec: input.KeySpec ?? input.CustomerMasterKeySpec }),
      ...(input.Origin === 'EXTERNAL' ? { origin: 'EXTERNAL', state: 'PendingImport' as const } : {}),
      ...(input.MultiRegion === undefined ? {} : { multiRegion: input.MultiRegion }),
      ...(input.Policy === undefined ? {} : { policy: stored(call, input.Policy) }),
      tags: new Map(
        (input.Tags ?? []).map((tag: { TagKey: string; TagValue: string }) => [tag.TagKey, tag.TagValue]),
      ),
      visibleFrom: call.now + call.knobs.keyPropagationMs,
    });
    account.keys.set(`${call.region}/${key.id}`, key);
    call.store.changed(account);
    return { KeyMetadata: metadata(key) };
  },

  DescribeKey: (call, input) => ({ KeyMetadata: metadata(keyOf(call, input.KeyId)) }),

  ListKeys(call, input) {
    const keys = keysHere(call).map(({ id, arn }) => ({ KeyId: id, KeyArn: arn }));
    const { items, next } = page(keys, input.Limit ?? 100, input.Marker);
    return { Keys: items, Truncated: next !== undefined, NextMarker: next };
  },

  CreateAlias(call, input) {
    const account = call.store.account(call.caller.account);
    const name: string = input.AliasName;
    if (!name.startsWith('alias/')) {
      throw new AwsError(
        400,
        'ValidationException',
        'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
      );
    }
    if (name.startsWith('alias/aws/')) throw new AwsError(400, 'NotAuthorizedException', '');
    if (!/^alias\/[a-zA-Z0-9:/_-]+$/.test(name)) {
      throw new AwsError(
        400,
        'InvalidAliasNameException',
        'Alias contains invalid characters. Alias must only contain alphanumeric characters, forward slashes, underscores and dashes',
      );
    }
    const key = ownKey(call, input.TargetKeyId);
    const id = `${call.region}/${name}`;
    if (account.aliases.has(id)) {
      throw new AwsError(
        400,
        'AlreadyExistsException',
        `An alias with the name arn:aws:kms:${call.region}:${account.id}:${name} already exists`,
      );
    }
    account.aliases.set(id, { name, targetKeyId: key.id, created: call.now });
    call.store.changed(account);
    return {};
  },

  UpdateAlias(call, input) {
    const account = call.store.account(call.caller.account);
    const alias = aliasOf(call, input.AliasName);
    alias.targetKeyId = ownKey(call, input.TargetKeyId).id;
    call.store.changed(account);
    return {};
  },

  DeleteAlias(call, input) {
    const account = call.store.account(call.caller.account);
    aliasOf(call, input.AliasName);
    account.aliases.delete(`${call.region}/${input.AliasName}`);
    call.store.changed(account);
    return {};
  },

  ListAliases(call, input) {
    const account = call.store.account(call.caller.account);
    const only = input.KeyId === undefined ? undefined : ownKey(call, input.KeyId).id;
    const aliases = [...account.aliases]
      .filter(
        ([id, alias]) =>
          id.startsWith(`${call.region}/`) && (only === undefined || alias.targetKeyId === only),
      )
      .map(([, alias]) => ({
        AliasName: alias.name,
        AliasArn: `arn:aws:kms:${call.region}:${account.id}:${alias.name}`,
        TargetKeyId: alias.targetKeyId,
        CreationDate: new Date(alias.created),
        LastUpdatedDate: new Date(alias.created),
      }))
      .sort((a, b) => (a.AliasName < b.AliasName ? -1 : 1));
    const { items, next } = page(aliases, input.Limit ?? 50, input.Marker);
    return { Aliases: items, Truncated: next !== undefined, NextMarker: next };
  },

  GetKeyPolicy: (call, input) => ({
    Policy: formatPolicy(JSON.parse(showPrincipals(call.store, ownKey(call, input.KeyId).policy))),
    PolicyName: 'default',
  }),

  PutKeyPolicy(call, input) {
    const key = ownKey(call, input.KeyId);
    notPendingDeletion(key);
    checkPolicy(call, input.Policy, key, input.BypassPolicyLockoutSafetyCheck ?? false);
    key.policy = stored(call, input.Policy);
    return changed(call, {});
  },

  EnableKeyRotation(call, input) {
    const key = ownKey(call, input.KeyId);
    notPendingDeletion(key);
    if (key.state === 'Disabled') throw new AwsError(400, 'DisabledException', `${key.arn} is disabled.`);
    if (key.spec !== 'SYMMETRIC_DEFAULT' || key.origin !== 'AWS_KMS')
      throw new AwsError(400, 'UnsupportedOperationException', '');
    key.rotation = { enabled: true, periodInDays: input.RotationPeriodInDays ?? 365 };
    return changed(call, {});
  },

  DisableKeyRotation(call, input) {
    const key = ownKey(call, input.KeyId);
    notPendingDeletion(key);
    key.rotation = { ...key.rotation, enabled: false };
    return changed(call, {});
  },

  GetKeyRotationStatus(call, input) {
    const { id, rotation } = keyOf(call, input.KeyId);
    if (!rotation.enabled) return { KeyId: id, KeyRotationEnabled: false };
    return {
      KeyId: id,
      KeyRotationEnabled: true,
      RotationPeriodInDays: rotation.periodInDays,
      NextRotationDate: new Date(call.now + rotation.periodInDays * DAY),
    };
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
    const days = input.PendingWindowInDays ?? 30;
    key.state = 'PendingDeletion';
    key.deletionDate = call.now + days * DAY;
    return changed(call, {
      KeyId: key.arn,
      DeletionDate: new Date(key.deletionDate),
      KeyState: key.state,
      PendingWindowInDays: days,
    });
  },

  CancelKeyDeletion(call, input) {
    const key = ownKey(call, input.KeyId);
    if (key.state !== 'PendingDeletion')
      throw new AwsError(400, 'KMSInvalidStateException', `${key.arn} is not pending deletion.`);
    key.state = 'Disabled';
    delete key.deletionDate;
    return changed(call, { KeyId: key.arn });
  },

  UpdateKeyDescription(call, input) {
    ownKey(call, input.KeyId).description = input.Description;
    return changed(call, {});
  },

  TagResource(call, input) {
    const key = ownKey(call, input.KeyId);
    checkTags(input.Tags);
    for (const { TagKey, TagValue } of input.Tags) key.tags.set(TagKey, TagValue);
    return changed(call, {});
  },

  UntagResource(call, input) {
    const key = ownKey(call, input.KeyId);
    for (const name of input.TagKeys) key.tags.delete(name);
    return changed(call, {});
  },

  ListResourceTags(call, input) {
    const tags = [...ownKey(call, input.KeyId).tags].map(([TagKey, TagValue]) => ({ TagKey, TagValue }));
    const { items, next } = page(tags, input.Limit ?? 50, input.Marker);
    return { Tags: items, Truncated: next !== undefined, NextMarker: next };
  },

  Encrypt(call, input) {
    if (!(input.Plaintext?.length > 0)) {
      throw new AwsError(
        400,
        'ValidationException',
        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1",
      );
    }
    const key = usable(call, input.KeyId, 'kms:Encrypt', input.EncryptionContext);
    return {
      CiphertextBlob: sealed(key, Buffer.from(input.Plaintext), input.EncryptionContext),
      KeyId: key.arn,
      EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    };
  },

  Decrypt(call, input) {
    const ciphertext = unpackCiphertext(Buffer.from(input.CiphertextBlob));
    if (!ciphertext) throw new AwsError(400, 'InvalidCiphertextException', '');
    const key = usable(call, input.KeyId ?? ciphertext.keyArn, 'kms:Decrypt', input.EncryptionContext);
    if (key.arn !== ciphertext.keyArn) {
      throw new AwsError(
        400,
        'IncorrectKeyException',
        'The key ID in the request does not identify a CMK that can perform this operation.',
      );
    }
    return {
      Plaintext: open(key, ciphertext.sealed, input.EncryptionContext ?? {}),
      KeyId: key.arn,
      EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
      KeyMaterialId: materialId(key),
    };
  },

  GenerateDataKey(call, input) {
    const key = usable(call, input.KeyId, 'kms:GenerateDataKey', input.EncryptionContext);
    const plaintext = randomBytes(input.NumberOfBytes ?? (input.KeySpec === 'AES_128' ? 16 : 32));
    return {
      Plaintext: plaintext,
      CiphertextBlob: sealed(key, plaintext, input.EncryptionContext),
      KeyId: key.arn,
      KeyMaterialId: materialId(key),
    };
  },

  GenerateDataKeyWithoutPlaintext(call, input) {
    const key = usable(call, input.KeyId, 'kms:GenerateDataKeyWithoutPlaintext', input.EncryptionContext);
    const plaintext = randomBytes(input.NumberOfBytes ?? (input.KeySpec === 'AES_128' ? 16 : 32));
    return {
      CiphertextBlob: sealed(key, plaintext, input.EncryptionContext),
      KeyId: key.arn,
      KeyMaterialId: materialId(key),
    };
  },
};

const DAY = 86_400_000;

const keyOf = (call: Call, name: string): KeyState =>
  findKey(call.store, name, { account: call.caller.account, region: call.region }, call.now);

/** These operations work on keys of the caller's own account only, and take no alias. */
function ownKey(call: Call, name: string): KeyState {
  if (/^alias\/|:alias\//.test(name)) throw notFound(`Invalid keyId '${name}'`);
  const key = keyOf(call, name);
  if (key.account === call.caller.account) return key;
  throw new AwsError(
    400,
    'AccessDeniedException',
    `User: ${call.caller.arn} is not authorized to perform: kms:${call.operation} on resource: ${key.arn}`,
  );
}

const keysHere = (call: Call): KeyState[] =>
  [...call.store.account(call.caller.account).keys.values()].filter(
    (key) => key.region === call.region && key.visibleFrom <= call.now,
  );

function aliasOf(call: Call, name: string): AliasState {
  const account = call.store.account(call.caller.account);
  const alias = account.aliases.get(`${call.region}/${name}`);
  if (alias) return alias;
  throw notFound(`Alias arn:aws:kms:${call.region}:${account.id}:${name} is not found.`);
}

function changed<T>(call: Call, answer: T): T {
  call.store.changed(call.store.account(call.caller.account));
  return answer;
}

function notPendingDeletion(key: KeyState): void {
  if (key.state === 'PendingDeletion')
    throw new AwsError(400, 'KMSInvalidStateException', `${key.arn} is pending deletion.`);
}

/** A key for a cryptographic operation: allowed by its policy, and in a state to work. */
function usable(call: Call, name: string, action: string, context: Record<string, string> = {}): KeyState {
  const key = keyOf(call, name);
  const keys = Object.fromEntries(
    Object.entries(context).map(([pair, value]) => [`kms:EncryptionContext:${pair}`, value]),
  );
  const decision = authorize(
    call.store,
    {
      principal: call.caller.arn,
      action,
      resource: key.arn,
      resourceAccount: key.account,
      context: { ...keys, 'kms:CallerAccount': call.caller.account },
      resourcePolicy: storedPolicy(call.store, `key policy of ${key.arn}`, key.policy),
    },
    call.now,
  );
  if (!decision.allowed) {
    throw new AwsError(
      400,
      'AccessDeniedException',
      `User: ${call.caller.arn} is not authorized to perform: ${action} on resource: ${key.arn} because ${decision.reason}`,
    );
  }
  checkState(key);
  return key;
}

const sealed = (key: KeyState, plaintext: Buffer, context: Record<string, string> = {}): Buffer =>
  packCiphertext(key.arn, seal(Buffer.from(key.material, 'base64'), plaintext, context));

const materialId = (key: KeyState): string =>
  Buffer.from(key.id).toString('hex').padEnd(64, '0').slice(0, 64);

function metadata(key: KeyState): object {
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
    ...(key.usage === 'ENCRYPT_DECRYPT' ? { EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'] } : {}),
    ...(key.spec === 'SYMMETRIC_DEFAULT' && key.origin === 'AWS_KMS'
      ? { CurrentKeyMaterialId: materialId(key) }
      : {}),
    MultiRegion: key.multiRegion,
    ...(key.multiRegion
      ? {
          MultiRegionConfiguration: {
            MultiRegionKeyType: 'PRIMARY',
            PrimaryKey: { Arn: keyArn(key.account, key.region, key.id), Region: key.region },
            ReplicaKeys: [],
          },
        }
      : {}),
  };
}

const stored = (call: Call, text: string): string =>
  storePrincipals(call.store, formatPolicy(JSON.parse(text)), call.now);

/** KMS refuses principals that it does not see, and a policy that would lock the caller out of changing it again. */
function checkPolicy(call: Call, text: string, key?: KeyState, bypass = false): void {
  const malformed = (message: string) => new AwsError(400, 'MalformedPolicyDocumentException', message);
  if (Buffer.byteLength(text) > 32_768)
    throw new AwsError(400, 'LimitExceededException', 'The key policy is longer than 32 KB');
  const policy = parseStored(text, malformed);
  const unknown = unknownPrincipal(call.store, policy, call.now);
  if (unknown !== undefined)
    throw malformed('Policy contains a statement with one or more invalid principals.');
  if (bypass) return;
  const resource = key?.arn ?? keyArn(call.caller.account, call.region, 'new');
  const decision = authorize(
    call.store,
    {
      principal: call.caller.arn,
      action: 'kms:PutKeyPolicy',
      resource,
      resourceAccount: call.caller.account,
      resourcePolicy: { name: 'the new key policy', policy },
    },
    call.now,
  );
  if (!decision.allowed)
    throw malformed('The new key policy will not allow you to update the key policy in the future.');
}

function checkTags(tags: { TagKey: string; TagValue: string }[]): void {
  const tagException = (message: string) => new AwsError(400, 'TagException', message);
  if (tags.length > 50) throw tagException('Too many tags');
  for (const [index, { TagKey, TagValue }] of tags.entries()) {
    for (const [name, value, limit] of [
      ['tagKey', TagKey, 128],
      ['tagValue', TagValue, 256],
    ] as const) {
      if (value.length > limit) {
        throw new AwsError(
          400,
          'ValidationException',
          `1 validation error detected: Value '${value}' at 'tags.${index + 1}.member.${name}' failed to satisfy constraint: Member must have length less than or equal to ${limit}`,
        );
      }
    }
    if (TagKey.startsWith('aws:')) throw tagException('Tags beginning with aws: are reserved');
  }
  if (new Set(tags.map(({ TagKey }) => TagKey)).size < tags.length) throw tagException('Duplicate tag keys');
}
