import { AwsError, constraintError } from '../aws-error.ts';
import { type Call, callerAccountOf, type Handlers, markAccountChanged } from '../call.ts';
import type { AliasState, KeyState } from '../state.ts';
import {
  aliasArnOf,
  checkNotPendingDeletion,
  getAlias,
  getOwnKey,
  kmsPageOf,
  requireAccountAccess,
  requireKeyAccess,
} from './access.ts';
import { isKeyVisible } from './key-state.ts';

/** Handlers of the operations on aliases. Create and update require permission on both the alias and its key. */
export const aliasHandlers: Handlers = {
  CreateAlias(call, input) {
    const name: string = input.AliasName;
    checkKmsAliasName(name);
    const key = getOwnKey(call, input.TargetKeyId);
    requireAccountAccess(call, 'kms:CreateAlias', aliasArnOf(call, name));
    checkNotPendingDeletion(call, key);
    const { aliases } = callerAccountOf(call);
    const id = `${call.region}/${name}`;
    if (keyOfAlias(call, aliases.get(id))) {
      throw new AwsError(
        400,
        'AlreadyExistsException',
        `An alias with the name ${aliasArnOf(call, name)} already exists`,
      );
    }
    const otherAliases = [...aliases].filter(
      ([other, { targetKeyId }]) => other.startsWith(`${call.region}/`) && targetKeyId === key.id,
    );
    if (otherAliases.length >= MAX_ALIASES_OF_KEY)
      throw new AwsError(
        400,
        'LimitExceededException',
        `The key ${key.arn} has the maximum number of aliases: ${MAX_ALIASES_OF_KEY}`,
      );
    aliases.set(id, { name, targetKeyId: key.id, created: call.now });
    return markAccountChanged(call, {});
  },

  UpdateAlias(call, input) {
    const alias = getAlias(call, input.AliasName);
    if (alias.name.startsWith('alias/aws/')) throw new AwsError(400, 'NotAuthorizedException', '');
    requireAccountAccess(call, 'kms:UpdateAlias', aliasArnOf(call, alias.name));
    const currentKey = keyOfAlias(call, alias);
    if (currentKey) requireKeyAccess(call, 'kms:UpdateAlias', currentKey);
    const key = getOwnKey(call, input.TargetKeyId);
    checkNotPendingDeletion(call, key);
    if (currentKey) checkSameType(currentKey, key);
    alias.targetKeyId = key.id;
    alias.updated = call.now;
    return markAccountChanged(call, {});
  },

  DeleteAlias(call, input) {
    const alias = getAlias(call, input.AliasName);
    const { name } = alias;
    if (name.startsWith('alias/aws/')) throw new AwsError(400, 'NotAuthorizedException', '');
    requireAccountAccess(call, 'kms:DeleteAlias', aliasArnOf(call, name));
    const key = keyOfAlias(call, alias);
    if (key) requireKeyAccess(call, 'kms:DeleteAlias', key);
    callerAccountOf(call).aliases.delete(`${call.region}/${name}`);
    return markAccountChanged(call, {});
  },

  ListAliases(call, input) {
    requireAccountAccess(call, 'kms:ListAliases');
    const targetKeyId = input.KeyId === undefined ? undefined : getOwnKey(call, input.KeyId).id;
    const aliases = [...callerAccountOf(call).aliases]
      .filter(
        ([id, alias]) =>
          id.startsWith(`${call.region}/`) &&
          keyOfAlias(call, alias) !== undefined &&
          (targetKeyId === undefined || alias.targetKeyId === targetKeyId),
      )
      .map(([, alias]) => ({
        AliasName: alias.name,
        AliasArn: aliasArnOf(call, alias.name),
        TargetKeyId: alias.targetKeyId,
        CreationDate: new Date(alias.created),
        LastUpdatedDate: new Date(alias.updated ?? alias.created),
      }))
      .sort((a, b) => (a.AliasName < b.AliasName ? -1 : 1));
    const { items, ...page } = kmsPageOf(aliases, input);
    return { Aliases: items, ...page };
  },
};

/** Quota of aliases for a key (KMS Developer Guide, "Resource quotas"). */
const MAX_ALIASES_OF_KEY = 50;

/** Returns the key of an alias; undefined when KMS has deleted the key, and the alias with it. */
function keyOfAlias(call: Call, alias: AliasState | undefined): KeyState | undefined {
  const key = alias && callerAccountOf(call).keys.get(`${call.region}/${alias.targetKeyId}`);
  return key && isKeyVisible(call.store, key, call.now) ? key : undefined;
}

/** @throws AwsError when the keys differ in type or usage. KMS changes the key of an alias only to a like one. */
function checkSameType(current: KeyState, target: KeyState): void {
  const typeOf = ({ spec }: KeyState) =>
    spec === 'SYMMETRIC_DEFAULT' ? 'symmetric' : spec.startsWith('HMAC_') ? 'HMAC' : 'asymmetric';
  if (typeOf(current) === typeOf(target) && current.usage === target.usage) return;
  throw new AwsError(
    400,
    'ValidationException',
    `The alias cannot change from the ${typeOf(current)} key ${current.arn} to the ${typeOf(target)} key ${target.arn}.`,
  );
}

function checkKmsAliasName(name: string): void {
  if (!name.startsWith('alias/')) {
    throw new AwsError(
      400,
      'ValidationException',
      'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
    );
  }
  if (name.startsWith('alias/aws/')) throw new AwsError(400, 'NotAuthorizedException', '');
  // test_kms.py of moto; for a colon also terraform-provider-aws#12891.
  if (name.length > 256 || !/^alias\/[a-zA-Z0-9:/_-]+$/.test(name)) {
    throw constraintError(
      'ValidationException',
      name,
      'aliasName',
      name.length > 256
        ? 'Member must have length less than or equal to 256'
        : 'Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$',
    );
  }
  if (name.includes(':'))
    throw new AwsError(400, 'ValidationException', `${name} contains invalid characters for an alias`);
}
