import { position, ruleId } from '../core/names.ts';
import type { BucketReplication } from '../spec/types.ts';
import { CODES } from './codes.ts';
import { finding, judged } from './findings.ts';
import type { Finding, RuleProof } from './types.ts';

/**
 * Proofs with the spec that declares each rule, and for each finding the place in the YAML that speaks of it. Whoever
 * declares that a rule selects no objects under KMS keys means it: that is told, and refuses nothing.
 */
export function locate(proofs: readonly RuleProof[], pairs: readonly BucketReplication[]): RuleProof[] {
  const declared = new Map(pairs.flatMap(rulesOf).map((one) => [`${one.pair.source.bucket} ${one.id}`, one]));
  return proofs.map((proof) => {
    const { bucket, rule } = proof;
    const one =
      rule === ''
        ? pairs.filter(({ source }) => source.bucket === bucket).map((pair) => ({ pair, path: '' }))[0]
        : declared.get(`${bucket} ${rule}`);
    if (!one) return proof;
    const { pair, path } = one;
    const findings = proof.findings.map((each) => {
      const { place } = CODES[each.code];
      return { ...each, at: position(pair, place === 'rule' ? path : placeOf(pair, place, each)) };
    });
    const meant = findings.map((each) =>
      each.code === 'RK1003' ? { ...each, severity: 'warning' as const } : each,
    );
    return { ...proof, spec: pair.name, ...(proof.verdict === 'broken' ? judged(meant) : { findings }) };
  });
}

/** The source has several keys: which one a finding is about, it says by the ARN. */
function placeOf({ sourceKeys }: BucketReplication, place: string, { message }: Finding): string {
  const further = sourceKeys.findIndex((key) => 'arn' in key && message.includes(key.arn));
  return place === 'source.key' && further >= 0 ? `spec.sourceKeys[${further}]` : `spec.${place}`;
}

/** Rules that are declared, and that no configuration has: nothing replicates under them. */
export function missing(proofs: readonly RuleProof[], pairs: readonly BucketReplication[]): RuleProof[] {
  const there = new Set(proofs.map(({ bucket, rule }) => `${bucket} ${rule}`));
  const absent = pairs
    .filter(({ source }) => source.managed && !there.has(`${source.bucket} `))
    .flatMap(rulesOf)
    .filter(({ pair, id, enabled }) => enabled && !there.has(`${pair.source.bucket} ${id}`));
  const proofOf = ({ pair, id }: Declared): RuleProof => ({
    bucket: pair.source.bucket,
    rule: id,
    destination: pair.destination.bucket,
    verdict: 'broken',
    findings: [finding('RK1010', `${pair.source.bucket} has no rule ${id}: reconcile --once makes it`)],
    answers: [],
  });
  return absent.map(proofOf);
}

interface Declared {
  pair: BucketReplication;
  path: string;
  id: string;
  enabled: boolean;
}

const rulesOf = (pair: BucketReplication): Declared[] =>
  pair.rules.map((rule, index) => ({
    pair,
    path: `spec.rules[${index}]`,
    id: rule.id ?? ruleId(pair.name, rule.name),
    enabled: rule.enabled,
  }));
