import type { ResourceKind } from './resources.ts';

/** Validation rule across fields, in the Common Expression Language (CEL) of the API server. */
export interface CelRule {
  /** Path within the spec of the mapping to which the rule applies; `[]` stands for each item of a list. */
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
    message: 'both a name and an ARN are given: a name is created when absent, an ARN must exist',
  },
  {
    path: [...basePath, 'role'],
    rule: '!has(self.arn) || !(has(self.path) || has(self.permissionsBoundary) || has(self.tags))',
    message: 'a role that is given by ARN is never altered: remove path, permissionsBoundary and tags',
  },
  {
    path: [...basePath, 'rules', '[]'],
    rule: 'has(self.prefix) != has(self.filter)',
    message: 'exactly one of prefix and filter says which objects are replicated; prefix: "" is every object',
  },
  {
    path: [...basePath, 'rules', '[]', 'filter'],
    rule: 'has(self.prefix) || (has(self.tags) && size(self.tags) > 0)',
    message: 'a filter has a prefix or tags',
  },
  {
    path: [...basePath, 'rules', '[]', 'filter'],
    rule: '!has(self.tags) || size(self.tags) <= 10',
    message: 'an object has at most 10 tags, so that a rule which asks for more never matches',
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
      message: 'an account is named on both sides, the same one or another, or on none',
    },
  ],
  Account: [
    {
      path: [],
      rule: notBoth('profile', 'assumeRole'),
      message: 'both profile and assumeRole are given: a profile can assume a role',
    },
    {
      path: [],
      rule: '!has(self.managed) || self.managed || !(has(self.profile) || has(self.assumeRole))',
      message: 'credentials are given for an account that is not managed',
    },
  ],
  Guardrails: [],
  Defaults: pairRules([]),
};
