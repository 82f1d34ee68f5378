import { type Facts, factValue, upperBoundOf } from '../core/facts.ts';
import { ROLE_POLICY_NAME } from '../core/ids.ts';
import type { Decision, Policy, Statement } from '../iam/types.ts';
import { prefixToPattern } from '../policy/required-statements.ts';
import { deletedPrincipalIn, withoutDeletedPrincipals } from '../policy/statements.ts';
import { bucketArn } from '../util/arn.ts';
import { isJsonEqual } from '../util/canonical-json.ts';
import type { Fix, PolicyRef } from './findings.ts';
import { policyFactOf, policyLabel, withPolicy } from './policies.ts';
import type { AccessCheck } from './requests.ts';
import { type RuleContext, rulePrefixOf } from './rule-context.ts';

/**
 * Returns the smallest policy changes that remove one denial. If no statement allows the request, it adds a statement.
 * If a statement denies it, it replaces that statement with a copy that exempts the role, or removes it from a trust
 * policy. AWS refuses a policy that names a deleted role or user, so that these are removed from the changed policy.
 */
export function proposeFixes(
  context: RuleContext,
  check: AccessCheck,
  decision: Decision,
  policyRefs: ReadonlyMap<string, PolicyRef>,
): Fix[] {
  const fix = proposeFix(context, check, decision, policyRefs);
  if (!fix) return [];
  const statements = [upperBoundOf(policyFactOf(context.facts, fix.policy))?.Statement ?? []].flat();
  const stale = statements.filter((statement) => deletedPrincipalIn(statement) !== undefined);
  // Without its last NotPrincipal, a statement would have another meaning: only a person can decide.
  if (stale.some(({ NotPrincipal }) => NotPrincipal !== undefined)) return [];
  return [...stale.flatMap((statement) => deletedPrincipalFixes(fix.policy, statement)), fix];
}

function deletedPrincipalFixes(policy: PolicyRef, statement: Statement): PolicyFix[] {
  const what = `remove the deleted user or role ${deletedPrincipalIn(statement)} from the ${policyLabel(policy)}, which AWS refuses to write`;
  const remaining = withoutDeletedPrincipals(statement);
  return [{ what, policy, remove: statement }, ...(remaining ? [{ what, policy, add: remaining }] : [])];
}

function proposeFix(
  context: RuleContext,
  check: AccessCheck,
  decision: Decision,
  policyRefs: ReadonlyMap<string, PolicyRef>,
): PolicyFix | undefined {
  const [denial] = decision.statements;
  if (decision.kind === 'explicitDeny' && denial) {
    const policy = policyRefs.get(denial.policy);
    if (!policy) return undefined;
    const label = policyLabel(policy);
    const statement = [upperBoundOf(policyFactOf(context.facts, policy))?.Statement ?? []].flat()[
      denial.index
    ];
    if (!statement) return undefined;
    if (policy.kind === 'trust')
      return { what: `remove the Deny from the ${label}`, policy, remove: statement };
    const what = `exempt the role from the Deny in the ${label}`;
    return { what, policy, replace: statement, by: exemptRoles(statement, [context.role]) };
  }
  const policy = policyToExtend(context, check, decision);
  return (
    policy && {
      what: `add this statement to the ${policyLabel(policy)}`,
      policy,
      add: allowStatementFor(context, check, policy),
    }
  );
}

/**
 * Returns the facts with a fix applied. API calls leave the facts unchanged, because no request depends on what they
 * change.
 */
export function applyFix(facts: Facts, fix: Fix): Facts {
  if ('call' in fix) return facts;
  const currentPolicy = upperBoundOf(policyFactOf(facts, fix.policy)) ?? {
    Version: '2012-10-17',
    Statement: [],
  };
  return withPolicy(facts, fix.policy, applyFixesToPolicy(currentPolicy, [fix]));
}

export type PolicyFix = Exclude<Fix, { call: unknown }>;

/**
 * Returns a policy with fixes applied. The fixes of several rules may be the same, or exempt several roles from one
 * statement.
 */
export function applyFixesToPolicy(policy: Policy, fixes: readonly PolicyFix[]): Policy {
  const exemptions = fixes.filter((fix) => 'replace' in fix);
  const removed = fixes.flatMap((fix) => ('remove' in fix ? [fix.remove] : []));
  const kept = [policy.Statement]
    .flat()
    .filter((statement) => !removed.some((other) => isJsonEqual(other, statement)))
    .map((statement) => {
      const roles = exemptions
        .filter(({ replace }) => isJsonEqual(replace, statement))
        .flatMap(({ by }) => exemptRolesOf(by));
      return roles.length === 0 ? statement : exemptRoles(statement, roles);
    });
  const added: Statement[] = [];
  for (const fix of fixes) {
    if ('add' in fix && !added.some((statement) => isJsonEqual(statement, fix.add))) added.push(fix.add);
  }
  return { ...policy, Statement: [...kept, ...added] };
}

function policyToExtend(
  { facts, role }: RuleContext,
  { resourcePolicy }: AccessCheck,
  { missingAllow, nearMiss }: Decision,
): PolicyRef | undefined {
  if (missingAllow === 'resource') return resourcePolicy;
  if (missingAllow === 'boundary') return { kind: 'boundary', of: role };
  if (missingAllow !== 'identity') return undefined;
  // Extends an inline policy: the nearest miss, else the first, else a new policy. Attached policies have ARNs as
  // names.
  const inlinePolicies = Object.keys(upperBoundOf(factValue(facts.roles[role])?.policies) ?? {}).filter(
    (name) => !name.startsWith('arn:'),
  );
  const nearestPolicy = inlinePolicies.find(
    (policy) => policyLabel({ kind: 'role', of: role, policy }) === nearMiss?.policy,
  );
  return { kind: 'role', of: role, policy: nearestPolicy ?? inlinePolicies[0] ?? ROLE_POLICY_NAME };
}

function allowStatementFor(context: RuleContext, check: AccessCheck, { kind }: PolicyRef): Statement {
  const { request } = check;
  if (kind === 'trust')
    return { Effect: 'Allow', Principal: { Service: request.principal }, Action: request.action };
  const principal = kind === 'bucket' || kind === 'key' ? { Principal: { AWS: context.role } } : {};
  const statement = { Effect: 'Allow' as const, ...principal, Action: request.action };
  if (request.action.startsWith('kms:')) {
    return {
      ...statement,
      Resource: kind === 'key' ? '*' : request.resource,
      Condition: keyUseCondition(context, request.context ?? {}),
    };
  }
  return { ...statement, Resource: resourcePatternFor(context, request.resource) };
}

/** Returns the pattern of all objects that the rule selects, or the ARN of the bucket. */
function resourcePatternFor({ rule }: RuleContext, resource: string): string {
  const [bucket, isObject] = [resource.split('/')[0] ?? '', resource.includes('/')];
  return isObject ? `${bucket}/${prefixToPattern(rulePrefixOf(rule))}*` : bucket;
}

/**
 * Allows both forms of the encryption context, because any bucket can hold objects with and without an S3 Bucket Key.
 */
function keyUseCondition(
  { rule, source, destination }: RuleContext,
  context: Record<string, string | string[]>,
): NonNullable<Statement['Condition']> {
  const contextArn = String(context['kms:EncryptionContext:aws:s3:arn']);
  const bucket =
    contextArn === source.arn || contextArn.startsWith(`${source.arn}/`) || !destination
      ? source
      : destination;
  const arn = bucketArn(bucket.name, bucket.region);
  return {
    StringEquals: { 'kms:ViaService': String(context['kms:ViaService']) },
    StringLike: {
      'kms:EncryptionContext:aws:s3:arn': [arn, `${arn}/${prefixToPattern(rulePrefixOf(rule))}*`],
    },
  };
}

const EXEMPTION = 'ArnNotEquals';

/**
 * Returns a Deny statement that exempts roles. It adds a condition, which narrows the statement regardless of its other
 * elements.
 */
function exemptRoles(statement: Statement, roles: readonly string[]): Statement {
  const currentKeys = statement.Condition?.[EXEMPTION] ?? {};
  const all = new Set([...exemptRolesOf(statement), ...roles]);
  return {
    ...statement,
    Condition: {
      ...statement.Condition,
      [EXEMPTION]: { ...currentKeys, [principalKeyOf(statement)]: [...all] },
    },
  };
}

const exemptRolesOf = (statement: Statement): string[] =>
  [statement.Condition?.[EXEMPTION]?.[principalKeyOf(statement)] ?? []].flat().map(String);

/** Returns the condition key as the statement spells it, because the names of keys have no case. */
const principalKeyOf = ({ Condition }: Statement): string =>
  Object.keys(Condition?.[EXEMPTION] ?? {}).find((name) => name.toLowerCase() === 'aws:principalarn') ??
  'aws:PrincipalArn';
