import { AwsError } from './aws-error.ts';
import type { Handlers } from './call.ts';
import {
  accountOf,
  aliasArn,
  aliasOf,
  changed,
  demandInAccount,
  notPendingDeletion,
  ownKey,
} from './kms-access.ts';
import { page } from './page.ts';

/** The operations on aliases. Each asks for permission on the alias and on its key. */
export const aliasHandlers: Handlers = {
  CreateAlias(call, input) {
    const name: string = input.AliasName;
    checkAliasName(name);
    const key = ownKey(call, input.TargetKeyId);
    demandInAccount(call, 'kms:CreateAlias', aliasArn(call, name));
    notPendingDeletion(key);
    const { aliases } = accountOf(call);
    const id = `${call.region}/${name}`;
    if (aliases.has(id)) {
      throw new AwsError(
        400,
        'AlreadyExistsException',
        `An alias with the name ${aliasArn(call, name)} already exists`,
      );
    }
    aliases.set(id, { name, targetKeyId: key.id, created: call.now });
    return changed(call, {});
  },

  UpdateAlias(call, input) {
    const alias = aliasOf(call, input.AliasName);
    demandInAccount(call, 'kms:UpdateAlias', aliasArn(call, alias.name));
    const key = ownKey(call, input.TargetKeyId);
    notPendingDeletion(key);
    alias.targetKeyId = key.id;
    return changed(call, {});
  },

  DeleteAlias(call, input) {
    const { name } = aliasOf(call, input.AliasName);
    if (name.startsWith('alias/aws/')) throw new AwsError(400, 'NotAuthorizedException', '');
    demandInAccount(call, 'kms:DeleteAlias', aliasArn(call, name));
    accountOf(call).aliases.delete(`${call.region}/${name}`);
    return changed(call, {});
  },

  ListAliases(call, input) {
    demandInAccount(call, 'kms:ListAliases');
    const only = input.KeyId === undefined ? undefined : ownKey(call, input.KeyId).id;
    const aliases = [...accountOf(call).aliases]
      .filter(
        ([id, alias]) =>
          id.startsWith(`${call.region}/`) && (only === undefined || alias.targetKeyId === only),
      )
      .map(([, alias]) => ({
        AliasName: alias.name,
        AliasArn: aliasArn(call, alias.name),
        TargetKeyId: alias.targetKeyId,
        CreationDate: new Date(alias.created),
        LastUpdatedDate: new Date(alias.created),
      }))
      .sort((a, b) => (a.AliasName < b.AliasName ? -1 : 1));
    const { items, next } = page(aliases, input.Limit ?? 50, input.Marker);
    return { Aliases: items, Truncated: next !== undefined, NextMarker: next };
  },
};

function checkAliasName(name: string): void {
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
