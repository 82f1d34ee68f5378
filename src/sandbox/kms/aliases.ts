import { AwsError } from '../aws-error.ts';
import { callerAccountOf, type Handlers, markAccountChanged } from '../call.ts';
import {
  aliasArnOf,
  checkNotPendingDeletion,
  getAlias,
  getOwnKey,
  kmsPageOf,
  requireAccountAccess,
} from './access.ts';

/** Handlers of the operations on aliases. Create and update require permission on both the alias and its key. */
export const aliasHandlers: Handlers = {
  CreateAlias(call, input) {
    const name: string = input.AliasName;
    checkKmsAliasName(name);
    const key = getOwnKey(call, input.TargetKeyId);
    requireAccountAccess(call, 'kms:CreateAlias', aliasArnOf(call, name));
    checkNotPendingDeletion(key);
    const { aliases } = callerAccountOf(call);
    const id = `${call.region}/${name}`;
    if (aliases.has(id)) {
      throw new AwsError(
        400,
        'AlreadyExistsException',
        `An alias with the name ${aliasArnOf(call, name)} already exists`,
      );
    }
    aliases.set(id, { name, targetKeyId: key.id, created: call.now });
    return markAccountChanged(call, {});
  },

  UpdateAlias(call, input) {
    const alias = getAlias(call, input.AliasName);
    requireAccountAccess(call, 'kms:UpdateAlias', aliasArnOf(call, alias.name));
    const key = getOwnKey(call, input.TargetKeyId);
    checkNotPendingDeletion(key);
    alias.targetKeyId = key.id;
    return markAccountChanged(call, {});
  },

  DeleteAlias(call, input) {
    const { name } = getAlias(call, input.AliasName);
    if (name.startsWith('alias/aws/')) throw new AwsError(400, 'NotAuthorizedException', '');
    requireAccountAccess(call, 'kms:DeleteAlias', aliasArnOf(call, name));
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
          (targetKeyId === undefined || alias.targetKeyId === targetKeyId),
      )
      .map(([, alias]) => ({
        AliasName: alias.name,
        AliasArn: aliasArnOf(call, alias.name),
        TargetKeyId: alias.targetKeyId,
        CreationDate: new Date(alias.created),
        LastUpdatedDate: new Date(alias.created),
      }))
      .sort((a, b) => (a.AliasName < b.AliasName ? -1 : 1));
    const { items, ...page } = kmsPageOf(aliases, input);
    return { Aliases: items, ...page };
  },
};

function checkKmsAliasName(name: string): void {
  if (!name.startsWith('alias/')) {
    throw new AwsError(
      400,
      'ValidationException',
      'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
    );
  }
  if (name.startsWith('alias/aws/')) throw new AwsError(400, 'NotAuthorizedException', '');
  if (name.length > 256 || !/^alias\/[a-zA-Z0-9:/_-]+$/.test(name)) {
    throw new AwsError(
      400,
      'InvalidAliasNameException',
      'Alias contains invalid characters. Alias must only contain alphanumeric characters, forward slashes, underscores and dashes',
    );
  }
}
