import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type {
  CreateGrantRequest,
  GrantConstraints,
  ListGrantsRequest,
  ListRetirableGrantsRequest,
  RetireGrantRequest,
  RevokeGrantRequest,
} from '@aws-sdk/client-kms';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import type { GrantState, KeyState } from '../state.ts';
import { principalExists, toReadablePrincipal, toStoredPrincipal } from '../stored-policies.ts';
import {
  checkDryRun,
  findGrantByToken,
  getKeyWithoutAlias,
  kmsPageOf,
  kmsValidationError,
  requesterOf,
  requireAccountAccess,
  requireKeyAccess,
} from './access.ts';
import { GRANT_OPERATIONS, grantOperationsOf } from './key-specs.ts';
import { isKeyVisible, rejectKeyStates, UNUSABLE_STATES } from './key-state.ts';
import { findKey, kmsNotFoundError } from './keys.ts';

/** Handlers of the operations on grants. They accept keys of other accounts by ARN, and no aliases. */
export const grantHandlers: Handlers = {
  /** Returns the existing grant for a second request with the same name and the same parameters. */
  CreateGrant(call, input: CreateGrantRequest) {
    const key = getKeyWithoutAlias(call, input.KeyId ?? '', grantConditionKeysOf(input));
    rejectKeyStates(call.store, key, call.now, UNUSABLE_STATES);
    const grant = toGrantState(call, key, input);
    checkDryRun(input);
    const existing =
      grant.name === undefined ? undefined : key.grants?.find((other) => isSameGrant(other, grant));
    const GrantToken = grant.tokens[0];
    if (existing) existing.tokens.push(...grant.tokens);
    else key.grants = [...(key.grants ?? []), grant];
    return markKeyChanged(call, key, { GrantId: (existing ?? grant).id, GrantToken });
  },

  ListGrants(call, input: ListGrantsRequest) {
    const key = getKeyWithoutAlias(call, input.KeyId ?? '');
    const grants = (key.grants ?? [])
      .map((grant) => toGrantEntry(call, key, grant))
      .filter(
        ({ GrantId, GranteePrincipal }) =>
          [undefined, GrantId].includes(input.GrantId) &&
          [undefined, GranteePrincipal].includes(input.GranteePrincipal),
      );
    const { items, ...page } = kmsPageOf(grants, input);
    return { Grants: items, ...page };
  },

  /** Returns the grants of all accounts that a principal of the caller's account may retire. */
  ListRetirableGrants(call, input: ListRetirableGrantsRequest) {
    requireAccountAccess(call, 'kms:ListRetirableGrants');
    const retiring = input.RetiringPrincipal ?? '';
    if (retiring.split(':')[4] !== call.caller.account) throw invalidArnError(retiring);
    const grants = [...call.store.accounts()]
      .flatMap((account) => [...account.keys.values()])
      .filter((key) => key.region === call.region && isKeyVisible(call.store, key, call.now))
      .flatMap((key) => (key.grants ?? []).map((grant) => toGrantEntry(call, key, grant)))
      .filter(({ RetiringPrincipal }) => RetiringPrincipal === retiring);
    const { items, ...page } = kmsPageOf(grants, input);
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
    const { key, grant } = findRetirableGrant(call, input);
    const isRetiring =
      grant.retiring !== undefined && toReadablePrincipal(call.store, grant.retiring) === call.caller.arn;
    if (!isRetiring) requireKeyAccess(call, 'kms:RetireGrant', key);
    checkDryRun(input);
    return removeGrant(call, key, grant);
  },
};

/** @throws AwsError when a principal, an operation, a constraint or the name is not valid for a grant on the key. */
function toGrantState(call: Call, key: KeyState, input: CreateGrantRequest): GrantState {
  const { GranteePrincipal = '', RetiringPrincipal, Name, Constraints, Operations = [] } = input;
  for (const principal of [GranteePrincipal, RetiringPrincipal ?? GranteePrincipal])
    if (!principal.startsWith('arn:') || !principalExists(call.store, principal, call.now))
      throw invalidArnError(principal);
  if (Name !== undefined) checkGrantName(Name);
  checkGrantOperations(key, Operations);
  if (Constraints) checkGrantConstraints(key, Constraints);
  return {
    id: randomBytes(32).toString('hex'),
    tokens: [randomBytes(96).toString('base64')],
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

const invalidArnError = (principal: string): AwsError =>
  new AwsError(400, 'InvalidArnException', `ARN does not refer to a valid principal: ${principal}`);

/** Returns the condition keys of a CreateGrant request (KMS Developer Guide, "Condition keys for AWS KMS"). */
const grantConditionKeysOf = ({
  Operations = [],
  GranteePrincipal,
  RetiringPrincipal,
  Constraints = {},
}: CreateGrantRequest): Record<string, string | string[]> => ({
  'kms:GrantIsForAWSResource': 'false',
  'kms:GrantOperations': Operations,
  ...(GranteePrincipal === undefined ? {} : { 'kms:GranteePrincipal': GranteePrincipal }),
  ...(RetiringPrincipal === undefined ? {} : { 'kms:RetiringPrincipal': RetiringPrincipal }),
  ...(Object.keys(Constraints).length === 0 ? {} : { 'kms:GrantConstraintType': Object.keys(Constraints) }),
});

function checkGrantName(name: string): void {
  if (name.length > 256)
    throw kmsValidationError(name, 'name', 'Member must have length less than or equal to 256');
  if (!/^[a-zA-Z0-9:/_-]+$/.test(name))
    throw kmsValidationError(
      name,
      'name',
      'Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$',
    );
}

function checkGrantOperations({ spec, usage }: KeyState, operations: readonly string[]): void {
  if (operations.length === 0 || !operations.every((operation) => GRANT_OPERATIONS.includes(operation))) {
    const constraint = `Member must satisfy constraint: [Member must satisfy enum value set: [${GRANT_OPERATIONS.join(', ')}]]`;
    throw kmsValidationError(`[${operations.join(', ')}]`, 'operations', constraint);
  }
  if (operations.every((operation) => operation === 'CreateGrant'))
    throw new AwsError(400, 'ValidationException', 'Grants must not contain only the CreateGrant operation.');
  const supportedOperations = grantOperationsOf(spec, usage);
  const unsupported = operations.find((operation) => !supportedOperations.includes(operation));
  if (unsupported !== undefined)
    throw new AwsError(
      400,
      'ValidationException',
      `The operation ${unsupported} is not supported by a key with the key spec ${spec} and the key usage ${usage}.`,
    );
}

/** Largest number of pairs in a constraint (KMS API Reference, GrantConstraints). */
const MAX_CONSTRAINT_PAIRS = 8;

function checkGrantConstraints({ spec }: KeyState, constraints: GrantConstraints): void {
  const { EncryptionContextSubset, EncryptionContextEquals } = constraints;
  const contexts = [EncryptionContextSubset, EncryptionContextEquals].filter((pairs) => pairs !== undefined);
  if (contexts.length > 0 && spec !== 'SYMMETRIC_DEFAULT')
    throw new AwsError(
      400,
      'ValidationException',
      'Encryption context constraints are only supported by symmetric encryption keys.',
    );
  if (contexts.some((pairs) => Object.keys(pairs).length > MAX_CONSTRAINT_PAIRS))
    throw new AwsError(
      400,
      'ValidationException',
      `A grant constraint can have at most ${MAX_CONSTRAINT_PAIRS} encryption context pairs.`,
    );
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

/** Returns the grant that a request names by its token, or by the key and the id. */
function findRetirableGrant(
  call: Call,
  { KeyId, GrantId, GrantToken }: RetireGrantRequest,
): { key: KeyState; grant: GrantState } {
  if (GrantToken !== undefined) return findGrantByToken(call, GrantToken);
  if (KeyId === undefined || GrantId === undefined)
    throw new AwsError(400, 'ValidationException', 'Grant token OR (grant ID, key ID) must be specified');
  const key = findKey(call.store, KeyId, requesterOf(call), call.now);
  return { key, grant: requireGrant(key, ({ id }) => id === GrantId, GrantId) };
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
