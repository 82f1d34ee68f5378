import type { ReplicationRule } from '@aws-sdk/client-s3';
import { createFinding } from './findings.ts';
import { proveRule } from './prove.ts';
import type { RuleContext } from './rule-context.ts';
import { mismatchReason, type SourceObject } from './rule-match.ts';
import type { Finding, RuleProof } from './types.ts';

/** What became of one object, why, and what would have to change. */
export interface ObjectProof {
  bucket: string;
  object: SourceObject & { status?: string };
  /** The proofs of the rules that take it, for objects like this one. */
  taken: RuleProof[];
  /** The rules that do not, and why. */
  passed: { rule: string; why: string }[];
  findings: Finding[];
}

/** Explain one object: which rules take it, and what S3 meets when it replicates it. Pure. */
export function explainObject(
  contexts: readonly RuleContext[],
  bucket: string,
  object: SourceObject & { status?: string },
): ObjectProof {
  const rules: ReplicationRule[] = contexts.map(({ rule }) => rule);
  const matches = contexts.map((context) => ({
    context,
    reason: mismatchReason(context.rule, object, rules),
  }));
  const { key, encryption } = object;
  const proofs = matches
    .filter(({ reason }) => reason === undefined)
    .map(({ context }) =>
      proveRule(context, () => [
        object.deleteMarker
          ? { type: 'delete marker', key }
          : { type: 'object', key, encryption, isTypical: true },
      ]),
    );
  const skippedRules = matches.flatMap(({ context, reason }) =>
    reason === undefined ? [] : [{ rule: context.rule.ID ?? '', why: reason }],
  );
  return { bucket, object, taken: proofs, passed: skippedRules, findings: objectFindings(object, proofs) };
}

function objectFindings(
  { key, status }: SourceObject & { status?: string },
  proofs: readonly RuleProof[],
): Finding[] {
  if (status === 'REPLICA') return [];
  if (proofs.length === 0) return [createFinding('RK1403', `no rule takes ${key}`)];
  if (status === undefined)
    return [
      createFinding(
        'RK1404',
        `${key} was there before the rule, or before it was as it is now: live replication takes new objects only`,
      ),
    ];
  if (status !== 'FAILED') return [];
  return [
    createFinding(
      'RK1401',
      `${key} has FAILED, and S3 never tries again: write it anew, or run S3 Batch Replication, once the cause is mended`,
    ),
  ];
}
