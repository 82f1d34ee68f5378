import { roleArnOf, toList } from './context.ts';
import type { AccessRequest, NamedPolicy, Policies } from './types.ts';

/** A grant of a KMS key, with the fields of a GrantListEntry that decide. */
export interface Grant {
  GrantId?: string | undefined;
  GranteePrincipal?: string | undefined;
  /** Names of operations: `GenerateDataKey`. */
  Operations?: string[] | undefined;
  Constraints?:
    | {
        EncryptionContextSubset?: Record<string, string> | undefined;
        EncryptionContextEquals?: Record<string, string> | undefined;
        SourceArn?: string | undefined;
      }
    | undefined;
}

/** Operations without an encryption context. KMS does not apply constraints of the encryption context to them. */
const WITHOUT_ENCRYPTION_CONTEXT: ReadonlySet<string> = new Set([
  'CreateGrant',
  'DescribeKey',
  'RetireGrant',
]);

/**
 * Returns the first grant that covers a request: its grantee is the role or its session, and its operations and
 * constraints match. Pure.
 *
 * A grant to an account covers no role, because AWS does not document whose permissions it needs beside it.
 */
export function findGrant(grants: readonly Grant[], request: AccessRequest): Grant | undefined {
  const { principal, action, context = {} } = request;
  const [service, operation = ''] = action.split(':');
  if (service !== 'kms') return undefined;
  const grantees = [principal, ...toList(context['aws:PrincipalArn'] ?? roleArnOf(principal))];
  return grants.find(
    ({ GranteePrincipal = '', Operations = [], Constraints = {} }) =>
      grantees.includes(GranteePrincipal) &&
      Operations.includes(operation) &&
      (WITHOUT_ENCRYPTION_CONTEXT.has(operation) || meetsConstraints(Constraints, context)),
  );
}

/**
 * Returns the policies with a grant that covers the request. A grant allows without any policy, also across accounts.
 * An explicit Deny still wins.
 */
export function withGrant(policies: Policies, grant: Grant, request: AccessRequest): Policies {
  const { action, resource, principal, context = {} } = request;
  const statement = {
    Sid: grant.GrantId ?? 'grant',
    Effect: 'Allow' as const,
    Action: action,
    Resource: resource,
  };
  const [role = principal] = toList(context['aws:PrincipalArn'] ?? roleArnOf(principal));
  const own: NamedPolicy = { name: `a grant of ${resource}`, policy: { Statement: statement } };
  const [keyPolicy] = policies.resource ? [policies.resource] : [];
  return {
    ...policies,
    identity: [own, ...(policies.identity ?? [])],
    resource: {
      name: keyPolicy?.name ?? own.name,
      policy: {
        ...keyPolicy?.policy,
        // Last, so that the other statements keep their positions.
        Statement: [...toList(keyPolicy?.policy.Statement), { ...statement, Principal: { AWS: role } }],
      },
    },
  };
}

/**
 * Compares the constraints with the encryption context of a request. In a constraint the key of a pair is not
 * case-sensitive, and the value is (AWS KMS API Reference, GrantConstraints).
 */
function meetsConstraints(
  constraints: NonNullable<Grant['Constraints']>,
  context: NonNullable<AccessRequest['context']>,
): boolean {
  const { EncryptionContextSubset = {}, EncryptionContextEquals, SourceArn } = constraints;
  const actual = encryptionContextOf(context);
  const includes = (expected: Record<string, string>) =>
    Object.entries(expected).every(([key, value]) => actual.get(key.toLowerCase()) === value);
  return (
    includes(EncryptionContextSubset) &&
    (EncryptionContextEquals === undefined ||
      (includes(EncryptionContextEquals) && Object.keys(EncryptionContextEquals).length === actual.size)) &&
    (SourceArn === undefined || toList(context['aws:SourceArn']).includes(SourceArn))
  );
}

const CONTEXT_PREFIX = 'kms:EncryptionContext:';

/** Returns the pairs of the encryption context, with their keys in lower case. */
const encryptionContextOf = (context: NonNullable<AccessRequest['context']>): Map<string, string> =>
  new Map(
    Object.entries(context)
      .filter(([key]) => key.startsWith(CONTEXT_PREFIX))
      .map(([key, value]) => [key.slice(CONTEXT_PREFIX.length).toLowerCase(), String(value)]),
  );
