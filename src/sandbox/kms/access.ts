import { accountPolicyOf, grantsOf, keyPolicyOf } from '../authorize.ts';
import { AwsError, constraintError } from '../aws-error.ts';
import { authorizeCaller, type Call, callerAccountOf, type Handlers, pageOf } from '../call.ts';
import type { AliasState, GrantState, KeyState } from '../state.ts';
import { keyConditionKeysOf, requestConditionKeysOf } from './condition-keys.ts';
import { DELETION_STATES, rejectKeyStates } from './key-state.ts';
import {
  buildKmsArn,
  findKey,
  kmsAccessDeniedError,
  kmsConditionKeysOf,
  kmsNotFoundError,
  type Requester,
} from './keys.ts';

export const requesterOf = (call: Call): Requester => ({ account: call.caller.account, region: call.region });

/**
 * Returns the key that a request names.
 *
 * @throws AwsError when the key does not exist, or the caller may not use the operation on it.
 */
export function getAuthorizedKey(call: Call, name: string, context: Record<string, string> = {}): KeyState {
  const key = findKey(call.store, name, requesterOf(call), call.now);
  requireKeyAccess(call, `kms:${call.operation}`, key, context);
  return key;
}

/** Returns a key by its id or ARN, for an operation that rejects aliases. */
export function getKeyWithoutAlias(
  call: Call,
  name: string,
  context: Record<string, string | string[]> = {},
): KeyState {
  if (/^alias\/|:alias\//.test(name)) throw kmsNotFoundError(`Invalid keyId '${name}'`);
  const key = findKey(call.store, name, requesterOf(call), call.now);
  requireKeyAccess(call, `kms:${call.operation}`, key, {}, context);
  return key;
}

/** Returns a key of the caller's account. Most operations reject aliases and keys of other accounts. */
export function getOwnKey(call: Call, name: string): KeyState {
  const key = getKeyWithoutAlias(call, name);
  if (key.account === call.caller.account) return key;
  throw kmsAccessDeniedError(call.caller.arn, `kms:${call.operation}`, key.arn);
}

/**
 * Checks access to a key. The key policy decides first, and can delegate the decision to identity policies. A grant
 * allows what no policy denies.
 */
export function requireKeyAccess(
  call: Call,
  action: string,
  key: KeyState,
  encryptionContext: Record<string, string> = {},
  context: Record<string, string | string[]> = {},
): void {
  const { allowed, reason } = authorizeCaller(call, {
    action,
    resource: key.arn,
    resourceAccount: key.account,
    context: {
      ...kmsConditionKeysOf(call.caller.account, encryptionContext),
      ...keyConditionKeysOf(call.store, key),
      ...requestConditionKeysOf(call, action),
      ...context,
    },
    resourcePolicy: keyPolicyOf(call.store, key, call.now),
    grants: grantsOf(call.store, key),
  });
  if (!allowed) throw kmsAccessDeniedError(call.caller.arn, action, key.arn, reason);
}

/** Checks access by identity policies alone, for actions outside a key (`kms:CreateKey`, lists, aliases). */
export function requireAccountAccess(
  call: Call,
  action: string,
  resource = '*',
  context: Record<string, string | string[]> = {},
): void {
  const { allowed, reason } = authorizeCaller(call, {
    action,
    resource,
    context: {
      'kms:CallerAccount': call.caller.account,
      ...requestConditionKeysOf(call, action),
      ...context,
    },
    resourcePolicy: accountPolicyOf(call.caller.account),
  });
  if (!allowed) throw kmsAccessDeniedError(call.caller.arn, action, resource, reason);
}

export const aliasArnOf = (call: Call, name: string): string =>
  buildKmsArn(call.caller.account, call.region, name);

export function getAlias(call: Call, name: string): AliasState {
  const alias = callerAccountOf(call).aliases.get(`${call.region}/${name}`);
  if (alias) return alias;
  throw kmsNotFoundError(`Alias ${aliasArnOf(call, name)} is not found.`);
}

export function checkNotPendingDeletion(call: Call, key: KeyState): void {
  rejectKeyStates(call.store, key, call.now, DELETION_STATES);
}

/** Returns the error of KMS for a value that its model does not allow. */
export const kmsValidationError = (value: unknown, member: string, constraint: string): AwsError =>
  constraintError('ValidationException', value, member, constraint);

export function checkRange(value: number, member: string, [min, max]: [number, number]): void {
  if (value < min)
    throw kmsValidationError(value, member, `Member must have value greater than or equal to ${min}`);
  if (value > max)
    throw kmsValidationError(value, member, `Member must have value less than or equal to ${max}`);
}

/**
 * Returns a page of a list, with the paging members of each KMS list.
 *
 * @throws AwsError when the marker is not one of the sandbox, or the limit is out of range.
 */
export function kmsPageOf<T>(
  items: readonly T[],
  { Limit, Marker }: { Limit?: number | undefined; Marker?: string | undefined },
  { defaultLimit, maxLimit }: { defaultLimit: number; maxLimit: number } = {
    defaultLimit: 50,
    maxLimit: 100,
  },
): { items: T[]; Truncated: boolean; NextMarker: string | undefined } {
  if (Limit !== undefined) checkRange(Limit, 'limit', [1, maxLimit]);
  if (Marker !== undefined && !/^\d+$/.test(Buffer.from(Marker, 'base64url').toString()))
    throw new AwsError(400, 'InvalidMarkerException', 'Could not deserialize marker.');
  const { items: page, next } = pageOf(items, Limit ?? defaultLimit, Marker);
  return { items: page, Truncated: next !== undefined, NextMarker: next };
}

/** @throws AwsError that KMS returns for a request with DryRun that would have succeeded. */
export function checkDryRun({ DryRun }: { DryRun?: boolean | undefined }): void {
  if (DryRun)
    throw new AwsError(
      400,
      'DryRunOperationException',
      'The request would have succeeded, but the DryRun option is set.',
    );
}

/**
 * Wraps the handlers of KMS so that each one first checks the grant tokens of the request. A valid token changes nothing
 * else, because a grant of the sandbox is effective immediately.
 */
export const withGrantTokens = (handlers: Handlers): Handlers =>
  Object.fromEntries(
    Object.entries(handlers).map(([operation, handler]) => [
      operation,
      (call: Call, input: { GrantTokens?: string[] }) => {
        for (const token of input.GrantTokens ?? []) findGrantByToken(call, token);
        return handler(call, input);
      },
    ]),
  );

/** @throws AwsError when no grant has the token. */
export function findGrantByToken({ store }: Call, token: string): { key: KeyState; grant: GrantState } {
  for (const account of store.accounts()) {
    for (const key of account.keys.values()) {
      const grant = key.grants?.find(({ tokens }) => tokens.includes(token));
      if (grant) return { key, grant };
    }
  }
  throw new AwsError(400, 'InvalidGrantTokenException', 'Invalid grant token.');
}
