import type { BucketReplication, KeyChoice, RoleChoice, Side } from './types.ts';

/**
 * What one spec declares of a key, a role or a bucket holds for all that share it and leave it out; `checks` sees to it
 * that none contradicts. So each resource comes out equal for all of its specs.
 */
export function mergeSharedSettings(pairs: readonly BucketReplication[]): BucketReplication[] {
  const settingsByResource = new Map<string, object>();
  const addSettings = (resourceKey: string, settings: object) =>
    void settingsByResource.set(resourceKey, { ...settingsByResource.get(resourceKey), ...settings });
  for (const pair of pairs) {
    for (const [resourceKey, settings] of keySettingsOf(pair)) addSettings(resourceKey, settings);
    for (const side of [pair.source, pair.destination])
      addSettings(bucketResourceKey(side), bucketSettingsOf(side));
    if ('name' in pair.role) addSettings(roleResourceKey(pair), pair.role);
  }

  const mergeKey = <T extends KeyChoice>(side: Side, choice: T): T =>
    'alias' in choice ? { ...choice, ...settingsByResource.get(keyResourceKey(side, choice.alias)) } : choice;
  const mergeSide = <T extends Side>(side: T): T => ({
    ...side,
    ...settingsByResource.get(bucketResourceKey(side)),
    key: mergeKey(side, side.key),
  });
  return pairs.map((pair) => ({
    ...pair,
    source: mergeSide(pair.source),
    destination: mergeSide(pair.destination),
    sourceKeys: pair.sourceKeys.map((choice) => mergeKey(pair.source, choice)),
    role:
      'name' in pair.role
        ? ({ ...pair.role, ...settingsByResource.get(roleResourceKey(pair)) } as RoleChoice)
        : pair.role,
  }));
}

const keySettingsOf = ({ source, destination, sourceKeys }: BucketReplication): [string, object][] =>
  [
    ...[source, destination].map((side) => ({ side, key: side.key })),
    ...sourceKeys.map((key) => ({ side: source, key })),
  ].flatMap(({ side, key }): [string, object][] =>
    'alias' in key ? [[keyResourceKey(side, key.alias), key]] : [],
  );

const keyResourceKey = (side: Side, alias: string): string =>
  ['key', alias, side.account, side.region].join(' ');
const bucketResourceKey = (side: Side): string => `bucket ${side.bucket}`;
const roleResourceKey = ({ role, source }: BucketReplication): string =>
  ['role', 'name' in role ? role.name : '', source.account].join(' ');

/** What a side may leave out. */
function bucketSettingsOf({ blockPublicAccess, objectOwnership }: Side): object {
  return {
    ...(blockPublicAccess === undefined ? {} : { blockPublicAccess }),
    ...(objectOwnership === undefined ? {} : { objectOwnership }),
  };
}
