import { SIDES } from '../spec/checks/pairs.ts';
import type { TextCheck, TextRule } from '../spec/patterns.ts';
import type { ResourceKind } from './resources.ts';

/** Validation rule of the API server, in the Common Expression Language (CEL), with the message of a violation. */
export interface CelValidation {
  rule: string;
  message: string;
}

/** Validation rule across fields. */
export interface CelRule extends CelValidation {
  /** Path within the spec of the mapping to which the rule applies; `[]` means each item of a list. */
  path: string[];
}

/** Returns the CEL rules of a text check, for the text in a variable. Length limits are keywords of the schema. */
export const celOfText = ({ subject, rules }: TextCheck, variable = 'self'): CelValidation[] =>
  rules.flatMap((rule) => {
    const expression = textExpression(rule, variable);
    return expression === undefined
      ? []
      : [{ rule: expression, message: `invalid ${subject}: ${rule.message}` }];
  });

/** Returns the CEL rules of a check of the names in a mapping. The schema cannot restrict the lengths of names. */
export const celOfNames = (check: TextCheck): CelValidation[] =>
  [
    ...celOfText(check, 'name'),
    ...check.rules.flatMap(({ message, ...rule }): CelValidation[] => {
      const range =
        'minLength' in rule
          ? `size(name) >= ${rule.minLength}`
          : 'maxLength' in rule && `size(name) <= ${rule.maxLength}`;
      return range ? [{ rule: range, message: `invalid ${check.subject}: ${message}` }] : [];
    }),
  ].map(({ rule, message }) => ({ rule: `self.all(name, ${rule})`, message }));

function textExpression(rule: TextRule, variable: string): string | undefined {
  if ('matches' in rule) return `${variable}.matches(${celPattern(rule.matches)})`;
  if ('excludes' in rule) return `!${variable}.matches(${celPattern(rule.excludes)})`;
  if ('maxBytes' in rule) return `size(bytes(${variable})) <= ${rule.maxBytes}`;
  // An expression that fails is a violation with another message.
  if ('maxDurationMs' in rule)
    return `!${variable}.matches('^[0-9]+[smh]$') || duration(${variable}) <= duration('${rule.maxDurationMs / 1000}s')`;
  return undefined;
}

/** Returns a pattern in the syntax of RE2. */
export const re2Pattern = ({ source }: RegExp): string =>
  source.replaceAll(/\\u\{?([0-9a-f]{4,6})\}?/gi, '\\x{$1}').replaceAll('\\/', '/');

const celPattern = (pattern: RegExp): string => `r'${re2Pattern(pattern)}'`;

const isTrue = (field: string): string => `(has(self.${field}) && self.${field})`;
const notBoth = (field: string, otherField: string): string =>
  `!(has(self.${field}) && has(self.${otherField}))`;
const HAS_TAGS = 'has(self.filter) && has(self.filter.tags) && size(self.filter.tags) > 0';
const HAS_BOTH_SIDES = 'has(self.source) && has(self.destination)';
const hasOnBothSides = (field: string): string =>
  `${HAS_BOTH_SIDES} && has(self.source.${field}) && has(self.destination.${field})`;

/**
 * Beginning of the Regions outside of `aws`. It is different in each partition, so that two Regions are in one partition
 * if they have the same beginning, or none. The API server does not have the table of the SDK.
 */
export const PARTITION_PREFIX = /^(cn|us-gov|eusc|[a-z]+-iso[a-z]*)-/;

const partitionPrefixOf = (region: string): string => `${region}.find(${celPattern(PARTITION_PREFIX)})`;

/** Rules within a field of a pair, which also hold in Defaults: a pair cannot remove an inherited field. */
const PAIR_RULES: readonly CelRule[] = [
  {
    path: ['role'],
    rule: notBoth('name', 'arn'),
    message:
      'set name or arn, not both: replikey creates a missing role by name, and a role given by ARN must exist',
  },
  {
    path: ['role'],
    rule: '!has(self.arn) || !(has(self.path) || has(self.permissionsBoundary) || has(self.tags) || has(self.also))',
    message: 'replikey never changes a role given by ARN: remove path, permissionsBoundary, tags and also',
  },
  {
    path: ['backfill', 'role'],
    rule: notBoth('name', 'arn'),
    message:
      'set name or arn, not both: replikey creates a missing role by name, and a role given by ARN must exist',
  },
  {
    path: ['backfill', 'objects'],
    rule: 'self.all(value, self.exists_one(other, other == value))',
    message: 'the same objects occur twice',
  },
  {
    path: ['rules', '[]'],
    rule: 'has(self.prefix) != has(self.filter)',
    message: 'set exactly one of prefix and filter; prefix: "" selects all objects',
  },
  {
    path: ['rules', '[]', 'filter'],
    rule: 'has(self.prefix) || (has(self.tags) && size(self.tags) > 0)',
    message: 'a filter needs a prefix or tags',
  },
  {
    path: ['rules', '[]', 'filter', 'exclude'],
    rule: '(has(self.prefixes) && size(self.prefixes) > 0) || (has(self.tags) && size(self.tags) > 0)',
    message: 'exclude needs prefixes or tags',
  },
  {
    path: ['rules', '[]'],
    rule: `!${isTrue('deleteMarkerReplication')} || !(${HAS_TAGS})`,
    message: 'delete markers have no tags, so a rule that filters by tags cannot replicate them',
  },
  {
    path: ['rules', '[]'],
    rule: `!${isTrue('replicationTimeControl')} || !has(self.metrics) || self.metrics`,
    message: 'replicationTimeControl needs metrics',
  },
  // The API server limits the cost of a rule. A comparison of all names, or of all ids, exceeds it.
  {
    path: ['rules'],
    rule: 'self.all(rule, !has(rule.priority) || self.exists_one(other, has(other.priority) && other.priority == rule.priority))',
    message: 'two rules have the same priority',
  },
];

/** Rules of a backfill. A pair can override each field of its Defaults. */
const BACKFILL_RULES: readonly CelRule[] = [
  {
    path: ['backfill'],
    rule: '!(has(self.after) && has(self.before)) || timestamp(self.after) < timestamp(self.before)',
    message: 'no object was written after the instant after and before the instant before',
  },
  {
    path: ['backfill'],
    rule: "!(has(self.objects) && has(self.start) && self.start == 'Automatic') || !('elsewhere' in self.objects)",
    message:
      'a job for objects that are already replicated elsewhere may run twice, so it does not start by itself: use start: Confirmed',
  },
  {
    path: [],
    rule: 'has(self.defaults) || !(has(self.backfill) && has(self.backfill.role)) || has(self.backfill.role.name) || has(self.backfill.role.arn)',
    message: 'backfill.role has no fields: add name, or remove role to use the default name',
  },
  {
    path: [],
    rule: '!(has(self.backfill) && has(self.rules)) || self.rules.exists(rule, !has(rule.enabled) || rule.enabled)',
    message: 'a batch job replicates objects under enabled rules only: enable a rule, or remove backfill',
  },
  {
    path: [],
    rule: `!(has(self.backfill) && has(self.backfill.report) && ${hasOnBothSides('region')} && has(self.destination.bucket)) || self.backfill.report.bucket != self.destination.bucket || self.source.region == self.destination.region`,
    message: 'S3 writes the report of a job only to a bucket in the Region of the source',
  },
  {
    path: [],
    rule: `!(has(self.backfill) && has(self.backfill.report) && has(self.direction) && self.direction == 'both' && ${hasOnBothSides('region')}) || self.source.region == self.destination.region`,
    message:
      'with direction: both between two Regions, remove backfill.report: S3 writes a report only to the Region of its job',
  },
];

/** Rules of a default retention. A pair can inherit the mode, or the period, from its Defaults. */
const RETENTION_RULES: readonly CelRule[] = SIDES.map((side) => ({
  path: [side, 'objectLock'],
  rule: notBoth('days', 'years'),
  message: 'set days or years, not both',
}));
const WHOLE_RETENTION_RULES: readonly CelRule[] = SIDES.map((side) => {
  const lock = `self.${side}.objectLock`;
  return {
    path: [],
    rule: `has(self.defaults) || !(has(self.${side}) && has(${lock})) || has(${lock}.mode) == (has(${lock}.days) || has(${lock}.years))`,
    message: `${side}.objectLock: a default retention has a mode and a period: set mode with days or years, or none of them`,
  };
});

/** A bucket name in the account-regional namespace contains the Region of the bucket. */
const ACCOUNT_REGIONAL_RULES: readonly CelRule[] = SIDES.map((side) => ({
  path: [side],
  rule: "!(has(self.bucket) && has(self.region) && self.bucket.endsWith('-an')) || self.bucket.endsWith('-' + self.region + '-an')",
  message: 'a bucket name that ends in -an contains the Region of the bucket: NAME-ACCOUNT-REGION-an',
}));

/** Rules across both sides of a pair. A pair can override either side of its Defaults. */
const SIDE_RULES: readonly CelRule[] = [
  {
    path: [],
    rule: `!(${hasOnBothSides('bucket')}) || self.source.bucket != self.destination.bucket`,
    message: 'a bucket cannot replicate to itself',
  },
  {
    path: [],
    rule: `!(${hasOnBothSides('region')}) || ${partitionPrefixOf('self.source.region')} == ${partitionPrefixOf('self.destination.region')}`,
    message: 'S3 does not replicate between partitions: use two Regions of the same partition',
  },
  {
    path: [],
    rule: `!(${hasOnBothSides('account')} && has(self.destination.objectOwner) && self.destination.objectOwner == 'source') || self.source.account != self.destination.account`,
    message: 'objectOwner has no effect, because both buckets belong to the same account',
  },
  {
    path: [],
    rule: `!(${hasOnBothSides('account')} && has(self.direction) && self.direction == 'both' && has(self.role) && has(self.role.arn)) || self.source.account == self.destination.account`,
    message: 'direction: both across accounts requires a role for each direction: use role.name',
  },
];

/** Rules of failure events. A pair can override the rules and sides of its Defaults. */
const FAILURE_RULES: readonly CelRule[] = [
  ['to', 'source'],
  ['reverseTo', 'destination'],
].map(([field, side]) => ({
  path: [],
  rule: `!(has(self.failures) && has(self.failures.${field}) && has(self.${side}) && has(self.${side}.region)) || self.failures.${field}.contains(':' + self.${side}.region + ':')`,
  message: `failures.${field} is a queue or topic in the Region of the ${side} bucket`,
}));

/**
 * Rules of `src/spec/checks` that the API server can evaluate on a single resource. Violations of rules across several
 * resources appear in the status.
 */
export const CEL_RULES: Record<ResourceKind, readonly CelRule[]> = {
  BucketReplication: [
    ...PAIR_RULES,
    ...SIDE_RULES,
    ...ACCOUNT_REGIONAL_RULES,
    ...FAILURE_RULES,
    ...RETENTION_RULES,
    ...WHOLE_RETENTION_RULES,
    ...BACKFILL_RULES,
    {
      path: [],
      rule: `has(self.defaults) || !(${HAS_BOTH_SIDES} && has(self.direction) && self.direction == 'both') || has(self.source.objectLock) == has(self.destination.objectLock)`,
      message:
        'with direction: both, set objectLock on both sides or on neither: S3 does not replicate from a bucket with Object Lock to one without',
    },
    {
      path: [],
      rule: "has(self.defaults) || !has(self.failures) || has(self.failures.reverseTo) == (has(self.direction) && self.direction == 'both') || (has(self.source) && has(self.destination) && !has(self.failures.reverseTo) && self.source.region == self.destination.region)",
      message: 'failures.reverseTo is for direction: both between two Regions, which requires it',
    },
    {
      path: [],
      rule: '!has(self.failures) || !has(self.rules) || self.rules.all(rule, !has(rule.metrics) || rule.metrics || (has(rule.enabled) && !rule.enabled))',
      message: 'failure events require metrics on each enabled rule',
    },
    {
      path: [],
      rule: "!has(self.failures) || !has(self.failures.events) || !has(self.rules) || self.failures.events.all(event, event in ['failed', 'notTracked']) || self.rules.exists(rule, has(rule.replicationTimeControl) && rule.replicationTimeControl)",
      message: 'missedThreshold and replicatedLate events require a rule with replicationTimeControl',
    },
    {
      path: [],
      rule: `has(self.defaults) || !(${HAS_BOTH_SIDES}) || has(self.source.account) == has(self.destination.account)`,
      message: 'set the account on both sides, the same or a different account, or on neither',
    },
    {
      path: [],
      rule: `has(self.defaults) || !(${HAS_BOTH_SIDES} && has(self.destination.objectOwner)) || has(self.source.account) || has(self.destination.account)`,
      message: 'objectOwner requires an account on both sides',
    },
    {
      path: [],
      rule: 'has(self.defaults) || !has(self.role) || has(self.role.name) || has(self.role.arn) || has(self.role.path) || has(self.role.permissionsBoundary) || has(self.role.tags) || has(self.role.also)',
      message: 'the role has no fields: add name, or remove role to use the default name',
    },
  ],
  Account: [
    {
      path: [],
      rule: notBoth('profile', 'assumeRole'),
      message: 'set profile or assumeRole, not both: a profile can itself assume a role',
    },
    {
      path: [],
      rule: '!has(self.managed) || self.managed || !(has(self.profile) || has(self.assumeRole))',
      message: 'remove profile and assumeRole: replikey does not manage this account',
    },
  ],
  Guardrails: [],
  Defaults: [...PAIR_RULES, ...RETENTION_RULES],
};
