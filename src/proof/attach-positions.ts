import { type Facts, factValue } from '../core/facts.ts';
import { positionOfPath, toRuleId } from '../core/ids.ts';
import { keptRuleIds, type RuleIdentity } from '../core/rule-ids.ts';
import { keyUsesOf } from '../spec/key-uses.ts';
import { settingsFromS3 } from '../spec/rule-fields.ts';
import type { BucketReplication, Rule } from '../spec/types.ts';
import { bucketArn } from '../util/arn.ts';
import { createFinding, FINDING_CODES, type Finding, summarizeFindings } from './findings.ts';
import type { RuleProof } from './types.ts';

/**
 * Adds to each proof the spec that declares the rule, and to each finding its position in the YAML. A declared rule
 * that does not select objects under KMS keys is intended: its RK1003 becomes a warning, which refuses nothing. So is an
 * asterisk that the spec declares as literal.
 *
 * @param facts the facts that the proofs are based on
 */
export function attachPositions(
  proofs: readonly RuleProof[],
  pairs: readonly BucketReplication[],
  facts: Facts,
): RuleProof[] {
  const declaredRules = new Map(
    declaredRulesOf(pairs, facts).map((declaredRule) => [
      `${declaredRule.pair.source.bucket} ${declaredRule.id}`,
      declaredRule,
    ]),
  );
  return proofs.map((proof) => {
    const { bucket, rule } = proof;
    const match =
      rule === ''
        ? pairs.filter(({ source }) => source.bucket === bucket).map((pair) => ({ pair, path: '' }))[0]
        : declaredRules.get(`${bucket} ${rule}`);
    if (!match) return proof;
    const { pair, path } = match;
    const isLiteral = 'isLiteral' in match && match.isLiteral;
    const reported = proof.findings.filter(({ code }) => code !== 'RK1011' || !isLiteral);
    const findings = reported.map((finding) => {
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
function specPathOf(pair: BucketReplication, specField: string, { message }: Finding): string {
  const use = keyUsesOf(pair).find(
    ({ role, side: { key } }) => role === 'source' && 'arn' in key && message.includes(key.arn),
  );
  return specField === 'source.key' && use ? use.path : `spec.${specField}`;
}

/** Returns a proof for each declared rule that no configuration contains. S3 replicates nothing under these rules. */
export function proveMissingRules(
  proofs: readonly RuleProof[],
  pairs: readonly BucketReplication[],
  facts: Facts,
): RuleProof[] {
  const existingRules = new Set(proofs.map(({ bucket, rule }) => `${bucket} ${rule}`));
  const missingRules = declaredRulesOf(pairs, facts)
    .filter(({ pair: { source } }) => source.managed && !existingRules.has(`${source.bucket} `))
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
  /** An asterisk in the prefix is intended. */
  isLiteral: boolean;
}

/** Returns the declared rules with the ids that they have, or will have, in S3. */
function declaredRulesOf(pairs: readonly BucketReplication[], facts: Facts): DeclaredRule[] {
  const rulesByBucket = new Map<
    string,
    { pair: BucketReplication; rule: Rule; path: string; id: string }[]
  >();
  for (const pair of pairs) {
    const { bucket } = pair.source;
    const rules = pair.rules.map((rule, index) => ({
      pair,
      rule,
      path: `spec.rules[${index}]`,
      id: rule.id ?? toRuleId(pair.name, rule.name),
    }));
    rulesByBucket.set(bucket, [...(rulesByBucket.get(bucket) ?? []), ...rules]);
  }
  return [...rulesByBucket].flatMap(([bucket, rules]) => {
    const ids = keptRuleIds(
      Object.fromEntries(rules.map(({ pair, rule, id }) => [id, ruleIdentityOf(pair, rule)])),
      rules.flatMap(({ rule, id }) => (rule.unnamed ? id : [])),
      existingRulesIn(facts, bucket),
    );
    return rules.map(({ pair, rule, path, id }) => ({
      pair,
      path,
      id: ids.get(id) ?? id,
      enabled: rule.enabled,
      isLiteral: rule.literal ?? false,
    }));
  });
}

const ruleIdentityOf = (
  { destination: { bucket, region } }: BucketReplication,
  { prefix, tags, enabled }: Rule,
): RuleIdentity => ({
  prefix,
  tags,
  destination: bucketArn(bucket, region),
  status: enabled ? 'Enabled' : 'Disabled',
});

function existingRulesIn(facts: Facts, bucket: string): Record<string, RuleIdentity> {
  const configuration = factValue(factValue(facts.buckets[bucket])?.replication);
  return Object.fromEntries(
    (configuration?.Rules ?? []).map((rule) => {
      const { prefix, tags, enabled } = settingsFromS3(rule);
      const destination = rule.Destination?.Bucket ?? '';
      return [rule.ID ?? '', { prefix, tags, destination, status: enabled ? 'Enabled' : 'Disabled' }];
    }),
  );
}
