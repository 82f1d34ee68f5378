import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  type CreateGrantRequest,
  GrantOperation,
  type ListGrantsRequest,
  type RetireGrantRequest,
  type RevokeGrantRequest,
} from '@aws-sdk/client-kms';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import type { GrantState, KeyState } from '../state.ts';
import { principalExists, toReadablePrincipal, toStoredPrincipal } from '../stored-policies.ts';
import {
  checkNotPendingDeletion,
  checkRange,
  getKeyWithoutAlias,
  kmsPageOf,
  kmsValidationError,
  requesterOf,
  requireKeyAccess,
} from './access.ts';
import { findKey, kmsNotFoundError } from './keys.ts';

/** Handlers of the operations on grants. They accept keys of other accounts by ARN, and no aliases. */
export const grantHandlers: Handlers = {
  /** Returns the existing grant for a second request with the same name and the same parameters. */
  CreateGrant(call, input: CreateGrantRequest) {
    const key = getKeyWithoutAlias(call, input.KeyId ?? '');
    checkNotPendingDeletion(key);
    if (key.state === 'Disabled') throw new AwsError(400, 'DisabledException', `${key.arn} is disabled.`);
    const grant = toGrantState(call, input);
    checkDryRun(input);
    const existing =
      grant.name === undefined ? undefined : key.grants?.find((other) => isSameGrant(other, grant));
    if (existing) return { GrantId: existing.id, GrantToken: existing.token };
    key.grants = [...(key.grants ?? []), grant];
    return markKeyChanged(call, key, { GrantId: grant.id, GrantToken: grant.token });
  },

  ListGrants(call, input: ListGrantsRequest) {
    const key = getKeyWithoutAlias(call, input.KeyId ?? '');
    if (input.Limit !== undefined) checkRange(input.Limit, 'limit', [1, 100]);
    const grants = (key.grants ?? [])
      .map((grant) => toGrantEntry(call, key, grant))
      .filter(
        ({ GrantId, GranteePrincipal }) =>
          [undefined, GrantId].includes(input.GrantId) &&
          [undefined, GranteePrincipal].includes(input.GranteePrincipal),
      );
    const { items, ...page } = kmsPageOf(grants, input as { Limit?: number; Marker?: string });
    return { Grants: items, ...page };
  },

  RevokeGrant(call, input: RevokeGrantRequest) {
    const key = getKeyWithoutAlias(call, input.KeyId ?? '');
    const grant = requireGrant(key, ({ id }) => id === input.GrantId, input.GrantId);
    checkDryRun(input);
    return removeGrant(call, key, grant);
  },

  /** The retiring principal needs no policy, and neither does a grantee whose grant contains RetireGrant. */
  RetireGrant(call, input: RetireGrantRequest) {
    const key = findKeyOfGrant(call, input);
    const grant = requireGrant(
      key,
      ({ id, token }) => (input.GrantToken === undefined ? id === input.GrantId : token === input.GrantToken),
      input.GrantId ?? input.GrantToken,
    );
    const isRetiring =
      grant.retiring !== undefined && toReadablePrincipal(call.store, grant.retiring) === call.caller.arn;
    if (!isRetiring) requireKeyAccess(call, 'kms:RetireGrant', key);
    checkDryRun(input);
    return removeGrant(call, key, grant);
  },
};

/** @throws AwsError when a principal does not exist, or when an operation is no operation of a grant. */
function toGrantState(call: Call, input: CreateGrantRequest): GrantState {
  const { GranteePrincipal = '', RetiringPrincipal, Name, Constraints, Operations = [] } = input;
  for (const principal of [GranteePrincipal, RetiringPrincipal ?? GranteePrincipal])
    if (!principal.startsWith('arn:') || !principalExists(call.store, principal, call.now))
      throw new AwsError(400, 'InvalidArnException', `ARN does not refer to a valid principal: ${principal}`);
  const operationNames: readonly string[] = Object.values(GrantOperation);
  const unknownOperation = Operations.find((operation) => !operationNames.includes(operation));
  if (Operations.length === 0 || unknownOperation !== undefined) {
    const constraint = `Member must satisfy enum value set: [${operationNames.join(', ')}]`;
    throw kmsValidationError(`[${Operations.join(', ')}]`, 'operations', constraint);
  }
  return {
    id: randomBytes(32).toString('hex'),
    token: randomBytes(96).toString('base64'),
    ...(Name === undefined ? {} : { name: Name }),
    created: call.now,
    grantee: toStoredPrincipal(call.store, GranteePrincipal, call.now),
    ...(RetiringPrincipal === undefined
      ? {}
      : { retiring: toStoredPrincipal(call.store, RetiringPrincipal, call.now) }),
    issuer: `arn:aws:iam::${call.caller.account}:root`,
    operations: Operations,
    ...(Constraints && { constraints: Constraints }),
  };
}

/** Returns whether two grants have the same parameters. */
const isSameGrant = (a: GrantState, b: GrantState): boolean =>
  isDeepStrictEqual(parametersOf(a), parametersOf(b));

const parametersOf = ({ name, grantee, retiring, operations, constraints }: GrantState) => ({
  name,
  grantee,
  retiring,
  operations: operations.toSorted(),
  constraints,
});

const toGrantEntry = (call: Call, key: KeyState, grant: GrantState) => ({
  KeyId: key.arn,
  GrantId: grant.id,
  Name: grant.name ?? '',
  CreationDate: new Date(grant.created),
  GranteePrincipal: toReadablePrincipal(call.store, grant.grantee),
  ...(grant.retiring === undefined
    ? {}
    : { RetiringPrincipal: toReadablePrincipal(call.store, grant.retiring) }),
  IssuingAccount: grant.issuer,
  Operations: grant.operations,
  ...(grant.constraints && { Constraints: grant.constraints }),
});

/** Returns the key of a grant that a request names by its token, or by the key and the id. */
function findKeyOfGrant(call: Call, { KeyId, GrantToken }: RetireGrantRequest): KeyState {
  if (GrantToken === undefined) return findKey(call.store, KeyId ?? '', requesterOf(call), call.now);
  const keys = [...call.store.account(call.caller.account).keys.values()];
  const key = keys.find(
    ({ grants = [], region }) => region === call.region && grants.some(({ token }) => token === GrantToken),
  );
  if (key) return key;
  throw new AwsError(400, 'InvalidGrantTokenException', 'Invalid grant token.');
}

function requireGrant(
  { grants = [], arn }: KeyState,
  isWanted: (grant: GrantState) => boolean,
  name = '',
): GrantState {
  const grant = grants.find(isWanted);
  if (grant) return grant;
  throw kmsNotFoundError(`Grant ID ${name} not found for key ${arn}`);
}

function removeGrant(call: Call, key: KeyState, grant: GrantState): object {
  key.grants = (key.grants ?? []).filter((other) => other !== grant);
  return markKeyChanged(call, key, {});
}

function markKeyChanged<T>(call: Call, key: KeyState, output: T): T {
  call.store.markChanged(call.store.account(key.account));
  return output;
}

function checkDryRun({ DryRun }: { DryRun?: boolean | undefined }): void {
  if (DryRun)
    throw new AwsError(
      400,
      'DryRunOperationException',
      'The request would have succeeded, but the DryRun option is set.',
    );
}
