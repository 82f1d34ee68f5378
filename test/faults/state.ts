import type { Sandbox } from '../../src/sandbox/server.ts';
import { stateOf } from '../support/state.ts';

type NamedState = { name: string; [field: string]: unknown };

/** The state of a sandbox in the form of `stateOf`, without the expiries of retained permissions. */
export interface State {
  buckets: NamedState[];
  roles: NamedState[];
  keys: NamedState[];
}

export const readState = (sandbox: Sandbox): State =>
  JSON.parse(JSON.stringify(stateOf(sandbox)), (_, value: unknown) =>
    typeof value === 'string' && value.includes('ReplikeyUntil') ? withoutExpiries(value) : value,
  );

/** Returns a policy with its statements in an order that does not depend on the time. */
function withoutExpiries(policy: string): string {
  const text = policy
    .replaceAll(/(?<=ReplikeyUntil)\d{12}x[0-9a-f]{6}/g, 'LATER')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'LATER');
  const { Statement, ...rest } = JSON.parse(text) as { Statement: object[] };
  const sorted = Statement.map((item) => JSON.stringify(item)).sort();
  return JSON.stringify({ ...rest, Statement: sorted.map((item) => JSON.parse(item)) });
}

/** Readers of one resource, by kind. They use the memory of the sandbox, not replikey. */
const RESOURCE_READERS: Record<string, (state: State, name: string) => unknown> = {
  's3.bucket': ({ buckets }, name) => pick(findByName(buckets, name), 'name', 'region', 'owner'),
  's3.versioning': ({ buckets }, name) => findByName(buckets, name)?.versioning,
  's3.encryption': ({ buckets }, name) => findByName(buckets, name)?.encryption,
  's3.replication': ({ buckets }, name) => findByName(buckets, name)?.replication,
  's3.public-access': ({ buckets }, name) => findByName(buckets, name)?.publicAccessBlock,
  's3.ownership': ({ buckets }, name) => findByName(buckets, name)?.ownership,
  's3.bucket-policy': ({ buckets }, name) => findByName(buckets, name)?.policy,
  'kms.key': ({ keys }, name) => pick(keyOf(keys, name), 'name', 'description', 'rotation', 'state'),
  'kms.key-policy': ({ keys }, name) => keyOf(keys, name)?.policy,
  'iam.role': ({ roles }, name) => pick(findByName(roles, name), 'name', 'trust', 'tags'),
  'iam.role-policy': ({ roles }, name) =>
    (findByName(roles, name)?.inline as Record<string, string> | undefined)?.replikey,
};

/** Returns a resource as declared: retained permissions are removed later, as housekeeping. */
export function resourceStateOf(state: State, id: string): unknown {
  const slash = id.indexOf('/');
  const readResource = RESOURCE_READERS[id.slice(0, slash)];
  if (!readResource) throw new Error(`no reader for ${id}`);
  const resource = readResource(state, id.slice(slash + 1)) ?? 'absent';
  return typeof resource === 'string' && resource.startsWith('{') ? withoutRetained(resource) : resource;
}

function withoutRetained(policy: string): string {
  const { Statement, ...rest } = JSON.parse(policy) as { Statement: { Sid?: string }[] };
  const declared = Statement.filter(({ Sid }) => !Sid?.startsWith('ReplikeyUntil'));
  return JSON.stringify({ ...rest, Statement: declared });
}

/** Returns the foreign resources, rules, statements and tags of the resources that exist before and after the run. */
export function foreignStateOf(state: State, before: State, expected: State): unknown {
  const remaining = (what: keyof State): NamedState[] =>
    before[what]
      .filter(({ name }) => findByName(expected[what], name))
      .map(({ name }) => findByName(state[what], name) ?? { name, isMissing: true });
  return {
    buckets: remaining('buckets').map((bucket) => {
      if (bucket.name === 'foreign') return bucket;
      const { Rules = [] } = (bucket.replication ?? {}) as { Rules?: { ID?: string }[] };
      const { versioning: _, encryption: __, ...rest } = bucket;
      return {
        ...rest,
        replication: Rules.filter(({ ID = '' }) => !ID.startsWith('replikey/')),
        policy: foreignStatementsOf(bucket.policy),
        tags: foreignTagsOf((bucket.tags ?? []) as { Key: string }[]),
      };
    }),
    roles: remaining('roles').map((role) => {
      if (role.name === 'foreign') return role;
      const { replikey: _, ...inline } = (role.inline ?? {}) as Record<string, string>;
      const tags = Object.entries((role.tags ?? {}) as object).map(([Key, Value]) => ({ Key, Value }));
      return { ...role, trust: foreignStatementsOf(role.trust), inline, tags: foreignTagsOf(tags) };
    }),
    keys: remaining('keys').map(({ name, arn, policy }) => ({
      name,
      arn,
      policy: foreignStatementsOf(policy),
    })),
  };
}

/** Returns resources that existed neither before nor in the goal, except keys without an alias: the next run finds them. */
export const unexpectedResources = (state: State, before: State, goal: State): string[] =>
  (['buckets', 'roles', 'keys'] as const).flatMap((what) => {
    const expectedNames = new Set(
      [...before[what], ...goal[what], { name: 'an orphan' }].map(({ name }) => name),
    );
    return state[what].map(({ name }) => name).filter((name) => !expectedNames.has(name));
  });

const findByName = (list: NamedState[], name: string): NamedState | undefined =>
  list.find((state) => state.name === name);

/** `alias/acme-tax@us-east-1` */
const keyOf = (keys: NamedState[], name: string): NamedState | undefined => {
  const [alias, region] = name.split('@');
  return keys.find((key) => key.name === alias && key.region === region);
};

const pick = (from: NamedState | undefined, ...fields: string[]): unknown =>
  from && Object.fromEntries(fields.map((field) => [field, from[field]]));

/** The tag `team` of a role is declared. */
const foreignTagsOf = (tags: { Key: string }[]) =>
  tags.filter(({ Key }) => !Key.startsWith('replikey:') && Key !== 'team');

const foreignStatementsOf = (policy: unknown): unknown[] =>
  (
    JSON.parse((policy as string | undefined) ?? '{"Statement":[]}') as { Statement: { Sid?: string }[] }
  ).Statement.filter(({ Sid }) => !Sid?.startsWith('Replikey'));
