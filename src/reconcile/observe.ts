import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import { countElementsIn, UnknownElementsError } from '../aws/response.ts';
import { ownerKey, type TagsById } from '../core/adoption.ts';
import type { Kind } from '../core/kind.ts';
import { requireKind } from '../core/plan.ts';
import type { ActualState, Aws, Current, Id, Observation, PlanContent, Resource } from '../core/resource.ts';
import { UserError } from '../errors.ts';

/**
 * Reads all resources concurrently. Reads that several kinds share are sent once. A resource that cannot be read is
 * unknown, with the reason, and does not stop the others.
 *
 * @throws UserError when no credentials work, because then nothing can be observed.
 */
export async function observe(
  resources: readonly Resource[],
  kinds: ReadonlyMap<string, Kind>,
  aws: AwsClient,
  signal?: AbortSignal,
): Promise<ActualState> {
  const cachedAws = aws.withCache();
  const observeWithId = async (resource: Resource): Promise<[Id, Observation]> => [
    resource.id,
    await observeResource(resource, kinds, cachedAws, signal),
  ];
  const observations = await Promise.all(resources.map(observeWithId));
  await cachedAws.verifyAccounts();
  return new Map(observations);
}

/** Reads one resource. */
export async function observeResource(
  resource: Resource,
  kinds: ReadonlyMap<string, Kind>,
  aws: Aws,
  signal?: AbortSignal,
): Promise<Observation> {
  const kind = requireKind(kinds, resource);
  try {
    const doc = await kind.fetch(aws, resource.location, resource.name, resource.details);
    if (doc === undefined) return { state: 'absent' };
    const current = kind.parse(doc, resource);
    rejectUnknownElements(kind, doc, resource, current);
    return { state: 'present', current };
  } catch (error) {
    if (error instanceof UserError || signal?.aborted) throw error;
    return {
      state: 'unknown',
      reason: `cannot be read: ${formatAwsError(error)}`,
      error,
    };
  }
}

/**
 * Rejects a document with elements that a write would drop: those that the document loses when it is parsed and
 * rendered without a change. replikey therefore refuses an element that an SDK update introduces until `parse`
 * understands it. A foreign entry keeps its elements, so the count finds a managed entry with the same element.
 *
 * @throws UnknownElementsError
 */
function rejectUnknownElements(kind: Kind, doc: unknown, resource: Resource, current: Current): void {
  const { elements } = kind.response;
  if (!elements) return;
  const unchanged = kind.render({ ...resource, spec: current.spec }, current);
  const kept = countElementsIn(unchanged);
  const dropped = [...countElementsIn(doc)]
    .filter(([name, count]) => count > (kept.get(name) ?? 0) && !elements.has(name))
    .map(([name]) => name);
  if (dropped.length > 0) throw new UnknownElementsError(dropped);
}

/**
 * Reads the tags of existing buckets, keys and roles that a plan changes. It reads no others, so that a pass without
 * changes costs no calls. Undefined when the tags cannot be read.
 */
export async function readTags(
  plan: PlanContent,
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  aws: Aws,
): Promise<TagsById> {
  const changedOwners = new Set(plan.waves.flat().map(ownerKey));
  const ownerResources = resources.flatMap((resource) => {
    const kind = kinds.get(resource.kind);
    const observation = actual.get(resource.id);
    const isPresentAndChanging = observation?.state === 'present' && changedOwners.has(ownerKey(resource));
    return kind?.fetchTags && isPresentAndChanging ? [{ resource, kind, current: observation.current }] : [];
  });
  const reads = ownerResources.map(
    async ({ resource, kind, current }): Promise<[Id, Record<string, string> | undefined]> => [
      resource.id,
      await kind.fetchTags?.(aws, resource, current).catch(() => undefined),
    ],
  );
  return new Map(await Promise.all(reads));
}
