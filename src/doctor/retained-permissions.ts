import { type Facts, factValue } from '../core/facts.ts';
import { toList } from '../iam/context.ts';
import type { Policy, Statement } from '../iam/types.ts';
import { hasUntilSid, parseRetained } from '../policy/transitions.ts';
import { createFinding, type Finding, type PolicyRef } from '../proof/findings.ts';
import { policyLabel } from '../proof/policies.ts';
import type { RuleProof } from '../proof/types.ts';

/** replikey writes no later expiry: the longest drain is seven days, and an hour allows for the run and for clocks. */
const MAX_EXPIRY_MS = (7 * 24 + 1) * 60 * 60_000;

/**
 * Adds findings about retained permissions in the policies that the proof used: those that have expired, and those
 * that replikey does not recognise. They grant more than the declared rules need. The first rule of a bucket gets them.
 */
export function addRetainedFindings(proofs: readonly RuleProof[], facts: Facts, now: Date): RuleProof[] {
  const findings = policiesOf(facts).flatMap(([ref, policy]) => findingsOf(ref, policy, now.getTime()));
  const [first, ...others] = proofs;
  return first && findings.length > 0
    ? [{ ...first, findings: [...first.findings, ...findings] }, ...others]
    : [...proofs];
}

function policiesOf({ roles, buckets, keys }: Facts): [PolicyRef, Policy][] {
  // A key that a rule names by an alias and by its ARN has one policy.
  const keyPolicies = new Map(
    Object.values(keys).flatMap((fact) => {
      const key = factValue(fact);
      return key ? [[key.arn, factValue(key.policy)] as const] : [];
    }),
  );
  const policies: [PolicyRef, Policy | undefined][] = [
    ...Object.entries(roles).flatMap(([of, role]) =>
      Object.entries(factValue(factValue(role)?.policies) ?? {}).map(
        ([policy, document]): [PolicyRef, Policy] => [{ kind: 'role', of, policy }, document],
      ),
    ),
    ...Object.entries(buckets).map(([of, bucket]): [PolicyRef, Policy | undefined] => [
      { kind: 'bucket', of },
      factValue(factValue(bucket)?.policy),
    ]),
    ...[...keyPolicies].map(([of, policy]): [PolicyRef, Policy | undefined] => [{ kind: 'key', of }, policy]),
  ];
  return policies.flatMap(([ref, policy]): [PolicyRef, Policy][] => (policy ? [[ref, policy]] : []));
}

const findingsOf = (ref: PolicyRef, { Statement: statements }: Policy, nowMs: number): Finding[] =>
  toList(statements).flatMap((statement) => {
    const problem = problemOf(statement, nowMs);
    if (!problem) return [];
    const what = `remove the statement ${statement.Sid} from the ${policyLabel(ref)}`;
    return [
      createFinding(problem.code, `the ${policyLabel(ref)} contains ${statement.Sid}: ${problem.why}`, [
        { what, policy: ref, remove: statement },
      ]),
    ];
  });

function problemOf(
  statement: Statement,
  nowMs: number,
): { code: 'RK1315' | 'RK1316'; why: string } | undefined {
  if (!hasUntilSid(statement)) return undefined;
  const retained = parseRetained(statement);
  if (!retained)
    return { code: 'RK1316', why: 'it differs from the statement that replikey wrote, so no run removes it' };
  const expiry = new Date(retained.expiresAtMs).toISOString();
  if (retained.expiresAtMs > nowMs + MAX_EXPIRY_MS)
    return { code: 'RK1316', why: `it expires at ${expiry}, later than any statement that replikey writes` };
  return retained.expiresAtMs > nowMs
    ? undefined
    : { code: 'RK1315', why: `it expired at ${expiry}; the next run of replikey removes it` };
}
