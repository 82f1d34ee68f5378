import { ListRolesCommand } from '@aws-sdk/client-iam';
import { listJobs } from '../aws/batch-jobs.ts';
import type { AwsClient } from '../aws/client.ts';
import { paginate } from '../aws/paginate.ts';
import { desiredResources } from '../core/desired.ts';
import { factValue } from '../core/facts.ts';
import { splitByAccess } from '../core/handover.ts';
import type { Kind } from '../core/kind.ts';
import { createRefResolver } from '../core/plan.ts';
import { ref } from '../core/ref.ts';
import type { Aws, Location } from '../core/resource.ts';
import { diagnose } from '../doctor/diagnose.ts';
import { addGrants } from '../facts/collect.ts';
import { locationsOf } from '../facts/locations.ts';
import type { OrganizationReader } from '../facts/organization.ts';
import { listBucketNames } from '../import/discover.ts';
import { findKeyByAliasTag } from '../kinds/kms-key.ts';
import { reachableAccounts } from '../prune/locate-orphans.ts';
import { observe } from '../reconcile/observe.ts';
import type { Specs } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';

/**
 * Makes the reads that the plan for these specs needs, and those that another plan or a doctor may need: tags that
 * show the owner, grants of keys, and lists of buckets, roles, aliases and batch jobs. The lists let a later plan distinguish an absent resource
 * from an unread one.
 */
export async function collectSnapshot(
  specs: Specs,
  kinds: ReadonlyMap<string, Kind>,
  aws: AwsClient,
  organization?: OrganizationReader,
): Promise<void> {
  const { managed } = splitByAccess(desiredResources(specs.pairs, [...kinds.values()]), specs.pairs);
  const actual = await observe(managed, kinds, aws);
  const tags = managed.map(async (resource) => {
    const observation = actual.get(resource.id);
    if (observation?.state !== 'present') return;
    await kinds.get(resource.kind)?.fetchTags?.(aws, resource, observation.current);
  });
  const accounts = await reachableAccounts(specs, aws);
  const listings = accounts.map(async ({ location }) => {
    await Promise.all([listBucketNames(aws, location), listRolePages(aws, location)]);
  });
  const keys = managedLocations(specs).map((location) => findKeyByAliasTag(aws, location, ''));
  const jobs = managedLocations(specs).map((location) => listJobs(aws, location));
  const sources = specs.pairs.filter(({ source }) => source.managed).map(({ source }) => source.bucket);
  const locations = locationsOf(specs, specs.pairs[0]?.source.region ?? 'us-east-1');
  const diagnosis = diagnose(aws, sources, {
    locations,
    organization,
    sampleSize: 0,
    now: () => aws.now(),
  });
  const arnOf = createRefResolver(actual);
  const keyArns = managed.flatMap(({ id, kind }) =>
    kinds.get(kind)?.scope.type === 'key' ? (arnOf(ref(id)) ?? []) : [],
  );
  const grants = diagnosis.then(({ facts }) => {
    const namedArns = Object.values(facts.keys).flatMap((fact) => factValue(fact)?.arn ?? []);
    return addGrants(aws, facts, new Set([...keyArns, ...namedArns]), locations);
  });
  // The snapshot records a refused read as an error. A plan that needs the read reports that error.
  await Promise.allSettled([...tags, ...listings, ...keys, ...jobs, grants]);
}

async function listRolePages(aws: Aws, location: Location): Promise<void> {
  const rolePages = paginate(
    (Marker) => aws.send(location, new ListRolesCommand(omitUndefined({ MaxItems: 1_000, Marker }))),
    ({ IsTruncated, Marker }) => ({ hasMore: IsTruncated, marker: Marker }),
  );
  // The recording clients record each page as it arrives.
  for await (const _ of rolePages);
}

/** Returns every account and Region with a managed side of a pair, each once. */
function managedLocations({ pairs }: Specs): Location[] {
  const sides = pairs.flatMap(({ source, destination }) => [source, destination]);
  const locations = sides
    .filter(({ managed }) => managed)
    .map(({ account, region }) => omitUndefined({ account, region }) as Location);
  return [...new Map(locations.map((location) => [JSON.stringify(location), location])).values()];
}
