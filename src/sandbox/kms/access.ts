import { authorize, toNamedPolicy } from '../authorize.ts';
import { AwsError } from '../aws-error.ts';
import type { Call } from '../call.ts';
import type { AccountState, AliasState, KeyState } from '../state.ts';
import { findKey, kmsNotFoundError } from './keys.ts';

/** The key that a request names, and whether who asks may do this to it. */
export function getAuthorizedKey(call: Call, name: string, context: Record<string, string> = {}): KeyState {
  const key = findKey(call.store, name, { account: call.caller.account, region: call.region }, call.now);
  requireKeyAccess(call, `kms:${call.operation}`, key, context);
  return key;
}

/** Most operations work on keys of the caller's own account only, and take no alias. */
export function getOwnKey(call: Call, name: string): KeyState {
  if (/^alias\/|:alias\//.test(name)) throw kmsNotFoundError(`Invalid keyId '${name}'`);
  const key = getAuthorizedKey(call, name);
  if (key.account === call.caller.account) return key;
  throw kmsAccessDeniedError(call, `kms:${call.operation}`, key.arn);
}

/** A key policy decides first; what it leaves to the account, identity policies do. */
export function requireKeyAccess(
  call: Call,
  action: string,
  key: KeyState,
  encryptionContext: Record<string, string> = {},
): void {
  const contextEntries = Object.entries(encryptionContext);
  const decision = authorize(
    call.store,
    {
      principal: call.caller.arn,
      action,
      resource: key.arn,
      resourceAccount: key.account,
      context: {
        ...Object.fromEntries(
          contextEntries.map(([name, value]) => [`kms:EncryptionContext:${name}`, value]),
        ),
        'kms:EncryptionContextKeys': contextEntries.map(([name]) => name),
        'kms:CallerAccount': call.caller.account,
      },
      resourcePolicy: toNamedPolicy(call.store, `key policy of ${key.arn}`, key.policy),
    },
    call.now,
  );
  if (!decision.allowed) throw kmsAccessDeniedError(call, action, key.arn, decision.reason);
}

/** What belongs to no key (`kms:CreateKey`, lists, aliases) is for identity policies alone. */
export function requireAccountAccess(call: Call, action: string, resource = '*'): void {
  const { account } = call.caller;
  const decision = authorize(
    call.store,
    {
      principal: call.caller.arn,
      action,
      resource,
      resourceAccount: account,
      resourcePolicy: {
        name: 'the account',
        policy: {
          Statement: { Effect: 'Allow', Principal: { AWS: account }, Action: 'kms:*', Resource: '*' },
        },
      },
    },
    call.now,
  );
  if (!decision.allowed) throw kmsAccessDeniedError(call, action, resource, decision.reason);
}

function kmsAccessDeniedError(call: Call, action: string, resource: string, reason?: string): AwsError {
  const reasonClause = reason === undefined ? '' : ` because ${reason}`;
  return new AwsError(
    400,
    'AccessDeniedException',
    `User: ${call.caller.arn} is not authorized to perform: ${action} on resource: ${resource}${reasonClause}`,
  );
}

export const kmsAccountOf = (call: Call): AccountState => call.store.account(call.caller.account);

export const aliasArnOf = (call: Call, name: string): string =>
  `arn:aws:kms:${call.region}:${call.caller.account}:${name}`;

export function getAlias(call: Call, name: string): AliasState {
  const alias = kmsAccountOf(call).aliases.get(`${call.region}/${name}`);
  if (alias) return alias;
  throw kmsNotFoundError(`Alias ${aliasArnOf(call, name)} is not found.`);
}

export function markKmsChanged<T>(call: Call, output: T): T {
  call.store.markChanged(kmsAccountOf(call));
  return output;
}

export function checkNotPendingDeletion(key: KeyState): void {
  if (key.state === 'PendingDeletion')
    throw new AwsError(400, 'KMSInvalidStateException', `${key.arn} is pending deletion.`);
}

/** KMS's word for a value that its model does not allow. */
export const kmsValidationError = (value: unknown, member: string, constraint: string): AwsError =>
  new AwsError(
    400,
    'ValidationException',
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: ${constraint}`,
  );

export function checkRange(value: number, member: string, [min, max]: [number, number]): void {
  if (value < min)
    throw kmsValidationError(value, member, `Member must have value greater than or equal to ${min}`);
  if (value > max)
    throw kmsValidationError(value, member, `Member must have value less than or equal to ${max}`);
}
