import type { BucketReplication, KeyChoice, RoleChoice, Side } from './types.ts';

/**
 * What one spec declares of a key, a role or a bucket holds for all that share it and leave it out; `checks` sees to it
 * that none contradicts. So each resource comes out equal for all of its specs.
 */
export function shareSettings(pairs: readonly BucketReplication[]): BucketReplication[] {
  const declared = new Map<string, object>();
  const declare = (thing: string, settings: object) =>
    void declared.set(thing, { ...declared.get(thing), ...settings });
  for (const pair of pairs) {
    for (const [thing, settings] of keysOf(pair)) declare(thing, settings);
    for (const side of [pair.source, pair.destination]) declare(bucketOf(side), settingsOf(side));
    if ('name' in pair.role) declare(roleOf(pair), pair.role);
  }

  const key = <T extends KeyChoice>(side: Side, choice: T): T =>
    'alias' in choice ? { ...choice, ...declared.get(keyOf(side, choice.alias)) } : choice;
  const side = <T extends Side>(one: T): T => ({
    ...one,
    ...declared.get(bucketOf(one)),
    key: key(one, one.key),
  });
  return pairs.map((pair) => ({
    ...pair,
    source: side(pair.source),
    destination: side(pair.destination),
    sourceKeys: pair.sourceKeys.map((choice) => key(pair.source, choice)),
    role: 'name' in pair.role ? ({ ...pair.role, ...declared.get(roleOf(pair)) } as RoleChoice) : pair.role,
  }));
}

const keysOf = ({ source, destination, sourceKeys }: BucketReplication): [string, object][] =>
  [
    ...[source, destination].map((side) => ({ side, key: side.key })),
    ...sourceKeys.map((key) => ({ side: source, key })),
  ].flatMap(({ side, key }): [string, object][] => ('alias' in key ? [[keyOf(side, key.alias), key]] : []));

const keyOf = (side: Side, alias: string): string => ['key', alias, side.account, side.region].join(' ');
const bucketOf = (side: Side): string => `bucket ${side.bucket}`;
const roleOf = ({ role, source }: BucketReplication): string =>
  ['role', 'name' in role ? role.name : '', source.account].join(' ');

/** What a side may leave out. */
function settingsOf({ blockPublicAccess, objectOwnership }: Side): object {
  return {
    ...(blockPublicAccess === undefined ? {} : { blockPublicAccess }),
    ...(objectOwnership === undefined ? {} : { objectOwnership }),
  };
}
