import type { Sandbox } from '../../src/sandbox/server.ts';
import { stateOf } from '../support/state.ts';

type Named = { name: string; [field: string]: unknown };

/** What a sandbox holds, as `stateOf` tells it. */
export interface State {
  buckets: Named[];
  roles: Named[];
  keys: Named[];
}

export const stateNow = (sandbox: Sandbox): State => stateOf(sandbox) as State;

/** What is there of one resource, by its kind: read from the sandbox's memory, and not through what is tested. */
const PIECES: Record<string, (state: State, name: string) => unknown> = {
  's3.bucket': ({ buckets }, name) => pick(named(buckets, name), 'name', 'region', 'owner'),
  's3.versioning': ({ buckets }, name) => named(buckets, name)?.versioning,
  's3.encryption': ({ buckets }, name) => named(buckets, name)?.encryption,
  's3.replication': ({ buckets }, name) => named(buckets, name)?.replication,
  's3.public-access': ({ buckets }, name) => named(buckets, name)?.publicAccessBlock,
  's3.ownership': ({ buckets }, name) => named(buckets, name)?.ownership,
  's3.bucket-policy': ({ buckets }, name) => named(buckets, name)?.policy,
  'kms.key': ({ keys }, name) => pick(keyOf(keys, name), 'name', 'description', 'rotation', 'state'),
  'kms.key-policy': ({ keys }, name) => keyOf(keys, name)?.policy,
  'iam.role': ({ roles }, name) => pick(named(roles, name), 'name', 'trust', 'tags'),
  'iam.role-policy': ({ roles }, name) =>
    (named(roles, name)?.inline as Record<string, string> | undefined)?.replikey,
};

export function pieceOf(state: State, id: string): unknown {
  const at = id.indexOf('/');
  const piece = PIECES[id.slice(0, at)];
  if (!piece) throw new Error(`nothing is known of ${id}`);
  return piece(state, id.slice(at + 1)) ?? 'not there';
}

/** What others have in a sandbox, of all that is there before and shall be after: things, rules, statements and tags. */
export function foreignIn(state: State, before: State, goal: State): unknown {
  const stay = (what: keyof State): Named[] =>
    before[what]
      .filter(({ name }) => named(goal[what], name))
      .map(({ name }) => named(state[what], name) ?? { name, gone: true });
  return {
    buckets: stay('buckets').map((bucket) => {
      if (bucket.name === 'theirs') return bucket;
      const { Rules = [] } = (bucket.replication ?? {}) as { Rules?: { ID?: string }[] };
      const { versioning: _, encryption: __, ...rest } = bucket;
      return {
        ...rest,
        replication: Rules.filter(({ ID = '' }) => !ID.startsWith('replikey/')),
        policy: theirStatements(bucket.policy),
        tags: theirTags((bucket.tags ?? []) as { Key: string }[]),
      };
    }),
    roles: stay('roles').map((role) => {
      if (role.name === 'theirs') return role;
      const { replikey: _, ...inline } = (role.inline ?? {}) as Record<string, string>;
      const tags = Object.entries((role.tags ?? {}) as object).map(([Key, Value]) => ({ Key, Value }));
      return { ...role, trust: theirStatements(role.trust), inline, tags: theirTags(tags) };
    }),
    keys: stay('keys').map(({ name, arn, policy }) => ({
      name,
      arn,
      policy: theirStatements(policy),
    })),
  };
}

/** Things that are there though they neither were nor shall be; a key without a name is found by the next run. */
export const strangers = (state: State, before: State, goal: State): string[] =>
  (['buckets', 'roles', 'keys'] as const).flatMap((what) => {
    const known = new Set([...before[what], ...goal[what], { name: 'an orphan' }].map(({ name }) => name));
    return state[what].map(({ name }) => name).filter((name) => !known.has(name));
  });

const named = (list: Named[], name: string): Named | undefined => list.find((one) => one.name === name);

/** `alias/acme-tax@us-east-1` */
const keyOf = (keys: Named[], name: string): Named | undefined => {
  const [alias, region] = name.split('@');
  return keys.find((key) => key.name === alias && key.region === region);
};

const pick = (from: Named | undefined, ...fields: string[]): unknown =>
  from && Object.fromEntries(fields.map((field) => [field, from[field]]));

/** The tag `team` of a role is declared. */
const theirTags = (tags: { Key: string }[]) =>
  tags.filter(({ Key }) => !Key.startsWith('replikey:') && Key !== 'team');

const theirStatements = (policy: unknown): unknown[] =>
  (
    JSON.parse((policy as string | undefined) ?? '{"Statement":[]}') as { Statement: { Sid?: string }[] }
  ).Statement.filter(({ Sid }) => !Sid?.startsWith('Replikey'));
