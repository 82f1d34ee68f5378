import { ListRolesCommand } from '@aws-sdk/client-iam';
import type { Door } from '../aws/door.ts';
import { defined } from '../canonical.ts';
import { desire } from '../core/desire.ts';
import { part } from '../core/handover.ts';
import { pages } from '../core/pages.ts';
import type { Aws, Kind, Place } from '../core/resource.ts';
import { atlasOf } from '../doctor/atlas.ts';
import { examine } from '../doctor/examine.ts';
import { allBuckets } from '../import/look.ts';
import { keyMadeFor } from '../kinds/kms-key.ts';
import { accountsOf } from '../prune/places.ts';
import type { Specs } from '../spec/types.ts';
import { observe } from '../steps/observe.ts';

/**
 * Read what another plan, or a doctor, may need beside what the plan for these specs needs: whose the things are, and
 * which buckets, roles and aliases there are at all, so that a later plan can tell what is new from what nobody looked at.
 */
export async function survey(specs: Specs, kinds: ReadonlyMap<string, Kind>, door: Door): Promise<void> {
  const { ours } = part(desire(specs.pairs, [...kinds.values()]), specs.pairs);
  const actual = await observe(ours, kinds, door);
  const tags = ours.map(async (resource) => {
    const observation = actual.get(resource.id);
    if (observation?.state !== 'present') return;
    await kinds.get(resource.kind)?.tags?.(door, resource, observation.seen);
  });
  const accounts = await accountsOf(specs, door);
  const everywhere = accounts.map(async ({ at }) => {
    await Promise.all([allBuckets(door, at), allRoles(door, at)]);
  });
  const keys = regionsOf(specs).map((at) => keyMadeFor(door, at, ''));
  const sources = specs.pairs.filter(({ source }) => source.managed).map(({ source }) => source.bucket);
  const doctors = examine(door, sources, {
    atlas: atlasOf(specs, specs.pairs[0]?.source.region ?? 'us-east-1'),
    sample: 0,
    now: new Date(0),
  });
  // What is refused is written down as refused: the plan that needs it says so.
  await Promise.allSettled([...tags, ...everywhere, ...keys, doctors]);
}

async function allRoles(aws: Aws, at: Place): Promise<void> {
  const all = pages(
    (Marker) => aws.send(at, new ListRolesCommand(defined({ MaxItems: 1_000, Marker }))),
    ({ IsTruncated, Marker }) => ({ more: IsTruncated, marker: Marker }),
  );
  // Each page is written down as it comes.
  for await (const _ of all);
}

/** Every Region of every account in which something of ours lies, each once. */
function regionsOf({ pairs }: Specs): Place[] {
  const sides = pairs.flatMap(({ source, destination }) => [source, destination]);
  const places = sides
    .filter(({ managed }) => managed)
    .map(({ account, region }) => defined({ account, region }) as Place);
  return [...new Map(places.map((at) => [JSON.stringify(at), at])).values()];
}
