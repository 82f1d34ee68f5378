import type { ResourceKind } from './resources.ts';

/** Validation rule across fields, in the Common Expression Language (CEL) of the API server. */
export interface CelRule {
  /** Path within the spec of the mapping to which the rule applies; `[]` means each item of a list. */
  path: string[];
  rule: string;
  message: string;
}

const isTrue = (field: string): string => `(has(self.${field}) && self.${field})`;
const notBoth = (field: string, otherField: string): string =>
  `!(has(self.${field}) && has(self.${otherField}))`;
const HAS_TAGS = 'has(self.filter) && has(self.filter.tags) && size(self.filter.tags) > 0';

const pairRules = (basePath: string[]): CelRule[] => [
  {
    path: [...basePath, 'role'],
    rule: notBoth('name', 'arn'),
    message:
      'set name or arn, not both: replikey creates a missing role by name, and a role given by ARN must exist',
  },
  {
    path: [...basePath, 'role'],
    rule: '!has(self.arn) || !(has(self.path) || has(self.permissionsBoundary) || has(self.tags) || has(self.also))',
    message: 'replikey never changes a role given by ARN: remove path, permissionsBoundary, tags and also',
  },
  {
    path: [...basePath, 'rules', '[]'],
    rule: 'has(self.prefix) != has(self.filter)',
    message: 'set exactly one of prefix and filter; prefix: "" selects all objects',
  },
  {
    path: [...basePath, 'rules', '[]', 'filter'],
    rule: 'has(self.prefix) || (has(self.tags) && size(self.tags) > 0)',
    message: 'a filter needs a prefix or tags',
  },
  {
    path: [...basePath, 'rules', '[]', 'filter'],
    rule: '!has(self.tags) || size(self.tags) <= 10',
    message: 'at most 10 tags: an object cannot have more, so the rule would never match',
  },
  {
    path: [...basePath, 'rules', '[]'],
    rule: `!${isTrue('deleteMarkerReplication')} || !(${HAS_TAGS})`,
    message: 'delete markers have no tags, so a rule that filters by tags cannot replicate them',
  },
  {
    path: [...basePath, 'rules', '[]'],
    rule: `!${isTrue('replicationTimeControl')} || !has(self.metrics) || self.metrics`,
    message: 'replicationTimeControl needs metrics',
  },
];

/**
 * Rules of `src/spec/checks` that the API server can evaluate on a single resource. Violations of rules across several
 * resources appear in the status.
 */
export const CEL_RULES: Record<ResourceKind, readonly CelRule[]> = {
  BucketReplication: [
    ...pairRules([]),
    {
      path: [],
      rule: '!(has(self.source) && has(self.source.bucket) && has(self.destination) && has(self.destination.bucket)) || self.source.bucket != self.destination.bucket',
      message: 'a bucket cannot replicate to itself',
    },
    {
      path: [],
      rule: 'has(self.defaults) || (has(self.source) && has(self.source.account)) == (has(self.destination) && has(self.destination.account))',
      message: 'set the account on both sides, the same or a different account, or on neither',
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
  Defaults: pairRules([]),
};
