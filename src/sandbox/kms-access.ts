import { authorize, storedPolicy } from './authorize.ts';
import { AwsError } from './aws-error.ts';
import type { Call } from './call.ts';
import { findKey, notFound } from './kms-keys.ts';
import type { AccountState, AliasState, KeyState } from './state.ts';

/** The key that a request names, and whether who asks may do this to it. */
export function keyFor(call: Call, name: string, context: Record<string, string> = {}): KeyState {
  const key = findKey(call.store, name, { account: call.caller.account, region: call.region }, call.now);
  demand(call, `kms:${call.operation}`, key, context);
  return key;
}

/** Most operations work on keys of the caller's own account only, and take no alias. */
export function ownKey(call: Call, name: string): KeyState {
  if (/^alias\/|:alias\//.test(name)) throw notFound(`Invalid keyId '${name}'`);
  const key = keyFor(call, name);
  if (key.account === call.caller.account) return key;
  throw denied(call, `kms:${call.operation}`, key.arn);
}

/** A key policy decides first; what it leaves to the account, identity policies do. */
export function demand(
  call: Call,
  action: string,
  key: KeyState,
  encryptionContext: Record<string, string> = {},
): void {
  const pairs = Object.entries(encryptionContext);
  const decision = authorize(
    call.store,
    {
      principal: call.caller.arn,
      action,
      resource: key.arn,
      resourceAccount: key.account,
      context: {
        ...Object.fromEntries(pairs.map(([name, value]) => [`kms:EncryptionContext:${name}`, value])),
        'kms:EncryptionContextKeys': pairs.map(([name]) => name),
        'kms:CallerAccount': call.caller.account,
      },
      resourcePolicy: storedPolicy(call.store, `key policy of ${key.arn}`, key.policy),
    },
    call.now,
  );
  if (!decision.allowed) throw denied(call, action, key.arn, decision.reason);
}

/** What belongs to no key (`kms:CreateKey`, lists, aliases) is for identity policies alone. */
export function demandInAccount(call: Call, action: string, resource = '*'): void {
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
  if (!decision.allowed) throw denied(call, action, resource, decision.reason);
}

function denied(call: Call, action: string, resource: string, reason?: string): AwsError {
  const why = reason === undefined ? '' : ` because ${reason}`;
  return new AwsError(
    400,
    'AccessDeniedException',
    `User: ${call.caller.arn} is not authorized to perform: ${action} on resource: ${resource}${why}`,
  );
}

export const accountOf = (call: Call): AccountState => call.store.account(call.caller.account);

export const aliasArn = (call: Call, name: string): string =>
  `arn:aws:kms:${call.region}:${call.caller.account}:${name}`;

export function aliasOf(call: Call, name: string): AliasState {
  const alias = accountOf(call).aliases.get(`${call.region}/${name}`);
  if (alias) return alias;
  throw notFound(`Alias ${aliasArn(call, name)} is not found.`);
}

export function changed<T>(call: Call, answer: T): T {
  call.store.changed(accountOf(call));
  return answer;
}

export function notPendingDeletion(key: KeyState): void {
  if (key.state === 'PendingDeletion')
    throw new AwsError(400, 'KMSInvalidStateException', `${key.arn} is pending deletion.`);
}

/** KMS's word for a value that its model does not allow. */
export const violation = (value: unknown, member: string, constraint: string): AwsError =>
  new AwsError(
    400,
    'ValidationException',
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: ${constraint}`,
  );

export function inRange(value: number, member: string, [least, most]: [number, number]): void {
  if (value < least)
    throw violation(value, member, `Member must have value greater than or equal to ${least}`);
  if (value > most) throw violation(value, member, `Member must have value less than or equal to ${most}`);
}
