import { positionOfPath, toRuleId } from '../core/ids.ts';
import type { BucketReplication } from '../spec/types.ts';
import { createFinding, FINDING_CODES, type Finding, summarizeFindings } from './findings.ts';
import type { RuleProof } from './types.ts';

/**
 * Adds to each proof the spec that declares the rule, and to each finding its position in the YAML. A declared rule
 * that does not select objects under KMS keys is intended: its RK1003 becomes a warning, which refuses nothing.
 */
export function attachPositions(
  proofs: readonly RuleProof[],
  pairs: readonly BucketReplication[],
): RuleProof[] {
  const declaredRules = new Map(
    pairs
      .flatMap(declaredRulesOf)
      .map((declaredRule) => [`${declaredRule.pair.source.bucket} ${declaredRule.id}`, declaredRule]),
  );
  return proofs.map((proof) => {
    const { bucket, rule } = proof;
    const match =
      rule === ''
        ? pairs.filter(({ source }) => source.bucket === bucket).map((pair) => ({ pair, path: '' }))[0]
        : declaredRules.get(`${bucket} ${rule}`);
    if (!match) return proof;
    const { pair, path } = match;
    const findings = proof.findings.map((finding) => {
      const { specField } = FINDING_CODES[finding.code];
      return {
        ...finding,
        at: positionOfPath(pair, specField === 'rule' ? path : specPathOf(pair, specField, finding)),
      };
    });
    const adjusted = findings.map((finding) =>
      finding.code === 'RK1003' ? { ...finding, severity: 'warning' as const } : finding,
    );
    return {
      ...proof,
      spec: pair.name,
      ...(proof.verdict === 'broken' ? summarizeFindings(adjusted) : { findings }),
    };
  });
}

/**
 * Returns the path of a finding in the spec. A source can have several keys: the ARN in the message identifies the
 * key.
 */
function specPathOf({ sourceKeys }: BucketReplication, specField: string, { message }: Finding): string {
  const keyIndex = sourceKeys.findIndex((key) => 'arn' in key && message.includes(key.arn));
  return specField === 'source.key' && keyIndex >= 0 ? `spec.sourceKeys[${keyIndex}]` : `spec.${specField}`;
}

/** Returns a proof for each declared rule that no configuration contains. S3 replicates nothing under these rules. */
export function proveMissingRules(
  proofs: readonly RuleProof[],
  pairs: readonly BucketReplication[],
): RuleProof[] {
  const existingRules = new Set(proofs.map(({ bucket, rule }) => `${bucket} ${rule}`));
  const missingRules = pairs
    .filter(({ source }) => source.managed && !existingRules.has(`${source.bucket} `))
    .flatMap(declaredRulesOf)
    .filter(({ pair, id, enabled }) => enabled && !existingRules.has(`${pair.source.bucket} ${id}`));
  const proofOfMissing = ({ pair, id }: DeclaredRule): RuleProof => ({
    bucket: pair.source.bucket,
    rule: id,
    destination: pair.destination.bucket,
    verdict: 'broken',
    findings: [
      createFinding('RK1010', `${pair.source.bucket} has no rule ${id}: reconcile --once creates it`),
    ],
    answers: [],
  });
  return missingRules.map(proofOfMissing);
}

interface DeclaredRule {
  pair: BucketReplication;
  path: string;
  id: string;
  enabled: boolean;
}

const declaredRulesOf = (pair: BucketReplication): DeclaredRule[] =>
  pair.rules.map((rule, index) => ({
    pair,
    path: `spec.rules[${index}]`,
    id: rule.id ?? toRuleId(pair.name, rule.name),
    enabled: rule.enabled,
  }));
