import type { ReplicationRule } from '@aws-sdk/client-s3';
import { finding } from './findings.ts';
import { passesOver, type SourceObject } from './matching.ts';
import { proveRule } from './prove.ts';
import type { Finding, RuleProof } from './types.ts';
import type { RuleWorld } from './world.ts';

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
export function proveObject(
  worlds: readonly RuleWorld[],
  bucket: string,
  object: SourceObject & { status?: string },
): ObjectProof {
  const rules: ReplicationRule[] = worlds.map(({ rule }) => rule);
  const verdicts = worlds.map((world) => ({ world, why: passesOver(world.rule, object, rules) }));
  const { key, encryption } = object;
  const taken = verdicts
    .filter(({ why }) => why === undefined)
    .map(({ world }) =>
      proveRule(world, () => [
        object.deleteMarker
          ? { what: 'delete marker', key }
          : { what: 'object', key, encryption, usual: true },
      ]),
    );
  const passed = verdicts.flatMap(({ world, why }) =>
    why === undefined ? [] : [{ rule: world.rule.ID ?? '', why }],
  );
  return { bucket, object, taken, passed, findings: objectFindings(object, taken) };
}

function objectFindings(
  { key, status }: SourceObject & { status?: string },
  taken: readonly RuleProof[],
): Finding[] {
  if (status === 'REPLICA') return [];
  if (taken.length === 0) return [finding('RK1403', `no rule takes ${key}`)];
  if (status === undefined)
    return [
      finding(
        'RK1404',
        `${key} was there before the rule, or before it was as it is now: live replication takes new objects only`,
      ),
    ];
  if (status !== 'FAILED') return [];
  return [
    finding(
      'RK1401',
      `${key} has FAILED, and S3 never tries again: write it anew, or run S3 Batch Replication, once the cause is mended`,
    ),
  ];
}
