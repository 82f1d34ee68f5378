import type { AwsClient } from '../aws/client.ts';
import { formatAwsError, isAccessDenied } from '../aws/errors.ts';
import { MANAGED_BY_TAG, SPEC_TAG } from '../core/ids.ts';
import type { Location, Note, Resource } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { alarmResourceId, fetchReplikeyAlarms, orphanedAlarm } from '../kinds/cloudwatch-alarm.ts';
import { toSidName } from '../policy/statements.ts';
import type { BucketReplication } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import type { LocatedOrphan } from './locate-orphans.ts';

/** What decides which alarms are orphans. */
export interface AlarmOrphanSearch {
  desired: readonly Resource[];
  pairs: readonly BucketReplication[];
  /** Removed specs whose permissions prune removes. */
  removed: readonly LocatedOrphan[];
}

/**
 * Finds alarms that replikey created and that no spec declares any more: those of removed specs, and those that a spec
 * with `deletion: Remove` declared before. It looks in the Regions of all specs, and of the buckets of removed ones.
 */
export async function findOrphanAlarms(
  aws: AwsClient,
  search: AlarmOrphanSearch,
): Promise<{ resources: Resource[]; notes: Note[] }> {
  const resources: Resource[] = [];
  const notes: Note[] = [];
  const keyOf = async ({ account, region }: Location, name: string) =>
    [await aws.accountId(account), region, name].join(' ');
  const desired = new Set(
    await Promise.all(search.desired.map(({ location, name }) => keyOf(location, name))),
  );
  const locations = new Map<string, Location>();
  for (const location of searchedLocations(search)) {
    const key = await keyOf(location, '');
    locations.set(key, locations.get(key) ?? location);
  }
  for (const location of locations.values()) {
    try {
      for (const { name, tags } of await fetchReplikeyAlarms(aws, location, async (name) =>
        desired.has(await keyOf(location, name)),
      )) {
        const owners = tags[MANAGED_BY_TAG] === 'replikey' ? (tags[SPEC_TAG] ?? '').split(' ') : [];
        if (owners.length > 0 && owners.every((owner) => isRemovable(owner, search)))
          resources.push(orphanedAlarm(name, location, owners));
      }
    } catch (error) {
      if (error instanceof UserError) throw error;
      // Credentials without permissions for alarms have created none.
      if (isAccessDenied(error) && !search.pairs.some(({ alarms }) => alarms)) continue;
      const message = `replikey cannot look for alarms of removed specs in ${location.region}: ${formatAwsError(error)}`;
      const pairs = [`account ${await aws.accountId(location.account)}`];
      notes.push({ id: alarmResourceId('all', location), message, pairs });
    }
  }
  return { resources, notes };
}

/** Returns the resources with the orphaned alarms. A role and its policy, by which prune finds a spec, change after them. */
export function withOrphanAlarms(
  resources: readonly Resource[],
  alarms: readonly Resource[],
  isOfRole: (resource: Resource) => boolean,
): Resource[] {
  const waiting = (resource: Resource): Resource => {
    const ids = alarms
      .filter(({ pruneOwners = [] }) => pruneOwners.some((owner) => resource.pruneOwners?.includes(owner)))
      .map(({ id }) => id);
    return ids.length > 0 && isOfRole(resource)
      ? { ...resource, after: [...resource.after, ...ids] }
      : resource;
  };
  return alarms.length === 0 ? [...resources] : [...resources.map(waiting), ...alarms];
}

function searchedLocations({ pairs, removed }: AlarmOrphanSearch): Location[] {
  return [
    ...pairs
      .filter(({ source }) => source.managed)
      .flatMap(({ source, destination }) =>
        [source.region, destination.region].map((region) =>
          omitUndefined({ account: source.account, region }),
        ),
      ),
    ...removed.flatMap(({ candidate, regions }) =>
      regions.map((region) => ({ ...candidate.role.location, region })),
    ),
  ] as Location[];
}

/** Returns whether prune removes what a spec does not declare any more. */
function isRemovable(specName: string, { pairs, removed }: AlarmOrphanSearch): boolean {
  const pair = pairs.find(({ name }) => name === specName);
  if (pair) return pair.policy.deletion === 'Remove';
  return removed.some(({ candidate }) => candidate.name === toSidName(specName));
}
