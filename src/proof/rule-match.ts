import type { ReplicationRule } from '@aws-sdk/client-s3';
import {
  excludesAll,
  exclusionOfS3Rule,
  exclusionReason,
  isUnderAny,
  tagsOfExclusion,
} from '../spec/rule-fields.ts';
import { createFinding, type Finding, type Fix } from './findings.ts';
import {
  destinationBucketOf,
  type RuleContext,
  replicatesDeleteMarkers,
  rulePrefixOf,
  ruleTagsOf,
  selectsKmsObjects,
  unknownElementsOf,
} from './rule-context.ts';
import type { KmsEncryption } from './types.ts';

/** An object version in a source bucket. */
export interface SourceObject {
  key: string;
  /** As `key=value`. */
  tags: readonly string[];
  /** Whether the object has tags that could not be read. `tags` is then empty. */
  hasUnreadTags?: boolean | undefined;
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

function filterMismatch(
  rule: ReplicationRule,
  { key, tags, hasUnreadTags }: SourceObject,
): string | undefined {
  if (rule.Status !== 'Enabled') return 'the rule is disabled';
  const prefix = rulePrefixOf(rule);
  if (!key.startsWith(prefix)) return `the prefix is ${prefix}`;
  const exclusion = exclusionOfS3Rule(rule);
  if (hasUnreadTags && (ruleTagsOf(rule).length > 0 || tagsOfExclusion(exclusion).length > 0))
    return 'the tags of the object cannot be read';
  const missingTag = ruleTagsOf(rule).find((tag) => !tags.includes(tag));
  if (missingTag !== undefined) return `the rule selects only objects with the tag ${missingTag}`;
  return exclusionReason(exclusion, key, (name, value) => tags.includes(`${name}=${value}`));
}

/** Returns findings about overlaps between the rules, and about the settings of one rule. */
export function ruleFindings(context: RuleContext, sample: readonly SourceObject[]): Finding[] {
  const { rule, rules, source } = context;
  const prefix = rulePrefixOf(rule);
  const asterisk = asteriskFindings(context, sample);
  return [
    ...asterisk,
    ...unknownElementFindings(rule),
    ...exclusionFindings(rule),
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

/** Reports elements that replikey does not model: what the rule selects and requires is unknown. */
function unknownElementFindings(rule: ReplicationRule): Finding[] {
  const elements = unknownElementsOf(rule);
  if (elements.length === 0) return [];
  return [
    createFinding(
      'RK1903',
      `the rule has elements that this version does not know (${elements.join(', ')}), so that its effect is unknown: use a newer version`,
    ),
  ];
}

/** Reports exclusions that exclude every object of the rule, or none: S3 compares whole keys, not parts of them. */
function exclusionFindings(rule: ReplicationRule): Finding[] {
  const exclusion = exclusionOfS3Rule(rule);
  if (!exclusion) return [];
  const prefix = rulePrefixOf(rule);
  const requiredTags = ruleTagsOf(rule);
  const total = [
    ...exclusion.prefixes
      .filter((excluded) => prefix.startsWith(excluded))
      .map((text) => `the prefix "${text}"`),
    ...tagsOfExclusion(exclusion)
      .map((tag) => tag.join('='))
      .filter((tag) => requiredTags.includes(tag))
      .map((tag) => `the tag ${tag}`),
  ];
  if (total.length > 0)
    return [
      createFinding(
        'RK1014',
        `the rule excludes ${total.join(' and ')}, which every object has that it selects: it replicates nothing`,
      ),
    ];
  return exclusion.prefixes
    .filter((excluded) => !excluded.startsWith(prefix))
    .map((excluded) =>
      createFinding(
        'RK1013',
        `the excluded prefix "${excluded}" excludes nothing, because every key that the rule selects begins with "${prefix}": exclude a prefix such as "${prefix}${excluded}"`,
      ),
    );
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
  ruleTagsOf(outer).every((tag) => ruleTagsOf(inner).includes(tag)) &&
  selectsNothingExcludedBy(outer, inner);

/** Returns whether a rule selects no object that another rule excludes. */
function selectsNothingExcludedBy(outer: ReplicationRule, inner: ReplicationRule): boolean {
  const exclusion = exclusionOfS3Rule(outer);
  if (!exclusion) return true;
  const prefix = rulePrefixOf(inner);
  const tagKeys = ruleTagsOf(inner).map((tag) => tag.slice(0, tag.indexOf('=')));
  const relevant = {
    prefixes: exclusion.prefixes.filter((text) => text.startsWith(prefix) || prefix.startsWith(text)),
    // An object has one value per tag key. If the inner rule requires the excluded value, its exclusion cannot cover it.
    tags: Object.fromEntries(
      Object.entries(exclusion.tags).filter(
        ([key, values]) =>
          !tagKeys.includes(key) || values.some((value) => ruleTagsOf(inner).includes(`${key}=${value}`)),
      ),
    ),
  };
  return excludesAll(relevant, exclusionOfS3Rule(inner));
}

/** Compares prefixes, and excluded prefixes: an object may have the tags of both rules. */
function prefixesOverlap(a: ReplicationRule, b: ReplicationRule): boolean {
  const [shorter = '', longer = ''] = [rulePrefixOf(a), rulePrefixOf(b)].sort((x, y) => x.length - y.length);
  const excluded = [a, b].flatMap((rule) => exclusionOfS3Rule(rule)?.prefixes ?? []);
  return longer.startsWith(shorter) && !isUnderAny(longer, excluded);
}
