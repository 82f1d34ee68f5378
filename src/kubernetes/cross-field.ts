import type { ResourceKind } from './resources.ts';

/** What must hold of fields together, in the Common Expression Language of the API server. */
export interface CrossField {
  /** The mapping within the spec that it speaks of; `[]`: each item of a list. */
  at: string[];
  rule: string;
  message: string;
}

const on = (field: string): string => `(has(self.${field}) && self.${field})`;
const notBoth = (one: string, other: string): string => `!(has(self.${one}) && has(self.${other}))`;
const TAGS = 'has(self.filter) && has(self.filter.tags) && size(self.filter.tags) > 0';

const pair = (at: string[]): CrossField[] => [
  {
    at: [...at, 'role'],
    rule: notBoth('name', 'arn'),
    message: 'both a name and an ARN are given: a name is created when absent, an ARN must exist',
  },
  {
    at: [...at, 'role'],
    rule: '!has(self.arn) || !(has(self.path) || has(self.permissionsBoundary) || has(self.tags))',
    message: 'a role that is given by ARN is never altered: remove path, permissionsBoundary and tags',
  },
  {
    at: [...at, 'rules', '[]'],
    rule: 'has(self.prefix) != has(self.filter)',
    message: 'exactly one of prefix and filter says which objects are replicated; prefix: "" is every object',
  },
  {
    at: [...at, 'rules', '[]', 'filter'],
    rule: 'has(self.prefix) || (has(self.tags) && size(self.tags) > 0)',
    message: 'a filter has a prefix or tags',
  },
  {
    at: [...at, 'rules', '[]', 'filter'],
    rule: '!has(self.tags) || size(self.tags) <= 10',
    message: 'an object has at most 10 tags, so that a rule which asks for more never matches',
  },
  {
    at: [...at, 'rules', '[]'],
    rule: `!${on('deleteMarkerReplication')} || !(${TAGS})`,
    message: 'delete markers have no tags, so a rule that filters by tags cannot replicate them',
  },
  {
    at: [...at, 'rules', '[]'],
    rule: `!${on('replicationTimeControl')} || !has(self.metrics) || self.metrics`,
    message: 'replicationTimeControl needs metrics',
  },
];

/** As `src/spec/checks` has them, where they can be judged of one resource alone: what needs others waits for the status. */
export const CROSS_FIELD: Record<ResourceKind, readonly CrossField[]> = {
  BucketReplication: [
    ...pair([]),
    {
      at: [],
      rule: '!(has(self.source) && has(self.source.bucket) && has(self.destination) && has(self.destination.bucket)) || self.source.bucket != self.destination.bucket',
      message: 'a bucket cannot replicate to itself',
    },
    {
      at: [],
      rule: 'has(self.defaults) || (has(self.source) && has(self.source.account)) == (has(self.destination) && has(self.destination.account))',
      message: 'an account is named on both sides, the same one or another, or on none',
    },
  ],
  Account: [
    {
      at: [],
      rule: notBoth('profile', 'assumeRole'),
      message: 'both profile and assumeRole are given: a profile can assume a role',
    },
    {
      at: [],
      rule: '!has(self.managed) || self.managed || !(has(self.profile) || has(self.assumeRole))',
      message: 'credentials are given for an account that is not managed',
    },
  ],
  Guardrails: [],
  Defaults: pair([]),
};
