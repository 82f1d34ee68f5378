import type { ReplicationRule } from '@aws-sdk/client-s3';
import { createFinding, type Finding, type Fix } from './findings.ts';
import {
  destinationBucketOf,
  type RuleContext,
  replicatesDeleteMarkers,
  rulePrefixOf,
  ruleTagsOf,
  selectsKmsObjects,
} from './rule-context.ts';
import type { KmsEncryption } from './types.ts';

/** An object version in a source bucket. */
export interface SourceObject {
  key: string;
  /** As `key=value`. */
  tags: readonly string[];
  deleteMarker: boolean;
  encryption: { algorithm: 'AES256' } | KmsEncryption;
}

/** Returns the reason why a rule does not select an object, or undefined if it does. */
export function mismatchReason(
  rule: ReplicationRule,
  object: SourceObject,
  rules: readonly ReplicationRule[],
): string | undefined {
  const mismatch = filterMismatch(rule, object);
  if (mismatch !== undefined) return mismatch;
  const overridingRule = rules.find(
    (candidate) =>
      candidate !== rule &&
      destinationBucketOf(candidate) === destinationBucketOf(rule) &&
      (candidate.Priority ?? 0) > (rule.Priority ?? 0) &&
      filterMismatch(candidate, object) === undefined,
  );
  // For each destination, the matching rule with the highest priority decides, even if that rule then skips the
  // object.
  if (overridingRule)
    return `the rule ${overridingRule.ID} has a higher priority for ${destinationBucketOf(rule)}`;
  if (object.deleteMarker)
    return replicatesDeleteMarkers(rule) ? undefined : 'the rule does not replicate delete markers';
  if (object.encryption.algorithm === 'AES256' || selectsKmsObjects(rule)) return undefined;
  return `the rule does not select objects that are encrypted with ${object.encryption.algorithm}`;
}

function filterMismatch(rule: ReplicationRule, { key, tags }: SourceObject): string | undefined {
  if (rule.Status !== 'Enabled') return 'the rule is disabled';
  const prefix = rulePrefixOf(rule);
  if (!key.startsWith(prefix)) return `the prefix is ${prefix}`;
  const missingTag = ruleTagsOf(rule).find((tag) => !tags.includes(tag));
  return missingTag === undefined ? undefined : `the rule selects only objects with the tag ${missingTag}`;
}

/** Returns findings about overlaps between the rules, and about the settings of one rule. */
export function ruleFindings(context: RuleContext, sample: readonly SourceObject[]): Finding[] {
  const { rule, rules, source } = context;
  const prefix = rulePrefixOf(rule);
  const asterisk = asteriskFindings(context, sample);
  return [
    ...asterisk,
    ...overlapFindings(rule, rules),
    ...(prefix.startsWith('/')
      ? [createFinding('RK1006', `the prefix ${prefix} begins with a slash: keys of objects usually do not`)]
      : []),
    ...(prefix !== '' && !prefix.endsWith('/') && asterisk.length === 0
      ? [
          createFinding(
            'RK1007',
            `the prefix ${prefix} also selects ${prefix}-2/… and every other key that begins with it`,
          ),
        ]
      : []),
    ...(rule.Destination?.Metrics?.Status === 'Enabled'
      ? []
      : [createFinding('RK1008', 'metrics are disabled: S3 sends no event when an object fails')]),
    ...(rule.Filter === undefined
      ? [
          createFinding(
            'RK1009',
            `the rule has no Filter (configuration version V1): S3 replicates all delete markers of ${source.name} that the rule covers`,
          ),
        ]
      : []),
  ];
}

/**
 * Reports an asterisk that seems to be meant as a wildcard. S3 compares prefixes literally, so that the rule selects
 * nothing (S3 User Guide, "Organizing objects using prefixes"), unless a sampled object shows that keys contain the asterisk.
 */
function asteriskFindings(
  { rule, rules, role, source }: RuleContext,
  sample: readonly SourceObject[],
): Finding[] {
  const prefix = rulePrefixOf(rule);
  if (!prefix.includes('*') || sample.some(({ key }) => key.startsWith(prefix))) return [];
  const meant = prefix.slice(0, prefix.indexOf('*'));
  const message = `the prefix ${prefix} contains an asterisk, which S3 compares literally: the rule selects only keys that begin with exactly this text. Use the prefix "${meant}"${meant === '' ? ', which selects every object' : ''}`;
  const fix: Fix = {
    what: `use the prefix "${meant}"`,
    call: {
      service: 's3',
      operation: 'PutBucketReplication',
      region: source.region,
      input: {
        Bucket: source.name,
        ReplicationConfiguration: {
          Role: role,
          Rules: rules.map((candidate) => (candidate === rule ? withPrefix(rule, meant) : candidate)),
        },
      },
    },
  };
  // Only an asterisk at the end has one clear meaning.
  return [createFinding('RK1011', message, prefix === `${meant}*` ? [fix] : [])];
}

function withPrefix(rule: ReplicationRule, Prefix: string): ReplicationRule {
  if (rule.Filter === undefined) return { ...rule, Prefix };
  return {
    ...rule,
    Filter: rule.Filter.And ? { And: { ...rule.Filter.And, Prefix } } : { ...rule.Filter, Prefix },
  };
}

/**
 * Reports overlaps. For each destination the rule with the higher priority replicates an object, so a rule with a
 * lower priority may have no effect.
 */
function overlapFindings(rule: ReplicationRule, rules: readonly ReplicationRule[]): Finding[] {
  const higherRules = rules.filter(
    (candidate) =>
      candidate !== rule &&
      candidate.Status === 'Enabled' &&
      destinationBucketOf(candidate) === destinationBucketOf(rule) &&
      (candidate.Priority ?? 0) > (rule.Priority ?? 0),
  );
  const coveringRule = higherRules.find((candidate) => coversRule(candidate, rule));
  if (coveringRule)
    return [
      createFinding(
        'RK1004',
        `the rule ${coveringRule.ID} has a higher priority and selects every object that this rule selects`,
      ),
    ];
  return higherRules
    .filter((candidate) => prefixesOverlap(candidate, rule))
    .map((overlappingRule) =>
      createFinding(
        'RK1005',
        `the rule ${overlappingRule.ID} has a higher priority and selects the objects that both rules match`,
      ),
    );
}

const coversRule = (outer: ReplicationRule, inner: ReplicationRule): boolean =>
  rulePrefixOf(inner).startsWith(rulePrefixOf(outer)) &&
  ruleTagsOf(outer).every((tag) => ruleTagsOf(inner).includes(tag));

/** Compares prefixes only: an object may have the tags of both rules. */
const prefixesOverlap = (a: ReplicationRule, b: ReplicationRule): boolean =>
  rulePrefixOf(a).startsWith(rulePrefixOf(b)) || rulePrefixOf(b).startsWith(rulePrefixOf(a));
