import { known, type Observed } from '../core/observed.ts';
import { bucketArn, patternOf } from '../core/permissions.ts';
import type { Decision, Policy, Statement } from '../iam/types.ts';
import { nameOf, policyAt, withPolicy } from './policies.ts';
import type { Ask } from './requests.ts';
import type { Fix, PolicyPlace } from './types.ts';
import { prefixOf, type RuleWorld } from './world.ts';

/**
 * The smallest change of a policy that takes one denial away: a statement where none allows; where one denies, the same
 * statement with the role excepted.
 */
export function mend(
  world: RuleWorld,
  ask: Ask,
  decision: Decision,
  places: ReadonlyMap<string, PolicyPlace>,
): Fix | undefined {
  const [denial] = decision.by;
  if (decision.kind === 'explicitDeny' && denial) {
    const policy = places.get(denial.policy);
    if (!policy) return undefined;
    const what = `let the ${nameOf(policy)} not deny it`;
    if (policy.kind === 'trust') return { what, policy, remove: denial.index };
    return { what, policy, replace: denial.index, by: excepting(denial.statement, world.role) };
  }
  const policy = lackingPlace(world, ask, decision);
  return (
    policy && { what: `add this to the ${nameOf(policy)}`, policy, add: statementFor(world, ask, policy) }
  );
}

/** The world with a fix carried out; calls change what no request depends on. */
export function mended(observed: Observed, fix: Fix): Observed {
  if ('call' in fix) return observed;
  const before = known(policyAt(observed, fix.policy)) ?? { Version: '2012-10-17', Statement: [] };
  return withPolicy(observed, fix.policy, mendedPolicy(before, fix));
}

/** A policy with a fix carried out. */
export function mendedPolicy(policy: Policy, fix: Exclude<Fix, { call: unknown }>): Policy {
  const statements = [policy.Statement].flat();
  if ('add' in fix) return { ...policy, Statement: [...statements, fix.add] };
  if ('remove' in fix) return { ...policy, Statement: statements.filter((_, index) => index !== fix.remove) };
  return {
    ...policy,
    Statement: statements.map((statement, index) => (index === fix.replace ? fix.by : statement)),
  };
}

function lackingPlace(
  { observed, role }: RuleWorld,
  { resourcePolicy }: Ask,
  { lacking, nearest }: Decision,
): PolicyPlace | undefined {
  if (lacking === 'resource') return resourcePolicy;
  if (lacking === 'boundary') return { kind: 'boundary', of: role };
  if (lacking !== 'identity') return undefined;
  // An inline policy: the one that came nearest, or the first, or a new one. Attached ones are known by their ARN.
  const inline = Object.keys(known(known(observed.roles[role])?.policies) ?? {}).filter(
    (name) => !name.startsWith('arn:'),
  );
  const near = inline.find((policy) => nameOf({ kind: 'role', of: role, policy }) === nearest?.policy);
  return { kind: 'role', of: role, policy: near ?? inline[0] ?? 'replication' };
}

function statementFor(world: RuleWorld, ask: Ask, { kind }: PolicyPlace): Statement {
  const { request } = ask;
  if (kind === 'trust')
    return { Effect: 'Allow', Principal: { Service: request.principal }, Action: request.action };
  const who = kind === 'bucket' || kind === 'key' ? { Principal: { AWS: world.role } } : {};
  const statement = { Effect: 'Allow' as const, ...who, Action: request.action };
  if (request.action.startsWith('kms:')) {
    return {
      ...statement,
      Resource: kind === 'key' ? '*' : request.resource,
      Condition: keyCondition(world, request.context ?? {}),
    };
  }
  return { ...statement, Resource: resourcesUnder(world, request.resource) };
}

/** All objects that the rule takes, or the bucket. */
function resourcesUnder({ rule }: RuleWorld, resource: string): string {
  const [bucket, key] = [resource.split('/')[0] ?? '', resource.includes('/')];
  return key ? `${bucket}/${patternOf(prefixOf(rule))}*` : bucket;
}

/** Both forms of the encryption context: objects written with an S3 Bucket Key and without occur in any bucket. */
function keyCondition(
  { rule, source, destination }: RuleWorld,
  context: Record<string, string | string[]>,
): NonNullable<Statement['Condition']> {
  const named = String(context['kms:EncryptionContext:aws:s3:arn']);
  const bucket =
    named === source.arn || named.startsWith(`${source.arn}/`) || !destination ? source : destination;
  const arn = bucketArn(bucket.name, bucket.region);
  return {
    StringEquals: { 'kms:ViaService': String(context['kms:ViaService']) },
    StringLike: { 'kms:EncryptionContext:aws:s3:arn': [arn, `${arn}/${patternOf(prefixOf(rule))}*`] },
  };
}

/** A denial that leaves a role alone; as a condition, which narrows it whatever else it says. */
function excepting(statement: Statement, role: string): Statement {
  const operator = 'ArnNotEquals';
  const before = statement.Condition?.[operator] ?? {};
  const key =
    Object.keys(before).find((name) => name.toLowerCase() === 'aws:principalarn') ?? 'aws:PrincipalArn';
  const roles = [before[key] ?? []].flat();
  return {
    ...statement,
    Condition: { ...statement.Condition, [operator]: { ...before, [key]: [...roles, role] } },
  };
}
