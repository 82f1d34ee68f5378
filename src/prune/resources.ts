import type { Leftover } from '../core/leftover.ts';
import type { Actual, Id, Kind, Resource } from '../core/resource.ts';
import { sidName } from '../core/statements.ts';
import type { BucketReplication } from '../spec/types.ts';

/** Of which specs the rules go, and of which the permissions, too. */
export interface Going {
  rules: readonly Leftover[];
  permissions: readonly Leftover[];
}

/**
 * What is wanted and what is left, each thing once. What is wanted is told what may be taken away from it: of specs that
 * are gone, and of those that want it themselves, where they all say so, the rules that they declare no more.
 */
export function withLeftovers(
  wanted: readonly Resource[],
  going: Going,
  pairs: readonly BucketReplication[],
  kinds: ReadonlyMap<string, Kind>,
  actual: Actual,
): Resource[] {
  const removing = new Set(pairs.flatMap(({ name, policy }) => (policy.deletion === 'Remove' ? name : [])));
  const isFirst = ({ kind }: Resource) => kinds.get(kind)?.prunedFirst === true;
  const byId = new Map<Id, Resource>();
  for (const resource of wanted) {
    const own = isFirst(resource) && resource.pairs.every((name) => removing.has(name)) ? resource.pairs : [];
    const gone = isFirst(resource) ? going.rules : going.permissions;
    const prune = [...new Set([...own.map(sidName), ...gone.map(({ name }) => name)])];
    byId.set(resource.id, prune.length > 0 ? { ...resource, prune } : resource);
  }
  const aliases = new Map(wanted.flatMap((resource) => sameAs(resource, actual)));
  const rules = new Set(wanted.filter(isFirst).map(({ id }) => id));
  for (const kind of kinds.values()) {
    const left = kind.prunedFirst ? going.rules : going.permissions;
    for (const resource of left.flatMap((of) => kind.left?.(of) ?? [])) {
      const id = aliases.get(resource.id) ?? resource.id;
      // Rules that are wanted come after the permissions that they use: these are taken away in a stage of their own.
      const after = resource.after.map((one) => aliases.get(one) ?? one).filter((one) => !rules.has(one));
      byId.set(id, both(byId.get(id), { ...resource, after }));
    }
  }
  return [...byId.values()];
}

/** What is left is found by ARN, though it may be wanted by another name: an alias. */
function sameAs({ id, kind }: Resource, actual: Actual): [Id, Id][] {
  const observation = actual.get(id);
  const arn = observation?.state === 'present' ? observation.seen.attrs.arn : undefined;
  return arn === undefined ? [] : [[`${kind}/${arn}`, id]];
}

function both(known: Resource | undefined, left: Resource): Resource {
  if (!known) return left;
  const after = [...new Set([...known.after, ...left.after])];
  if (!known.gone) return { ...known, after };
  const pairs = [...new Set([...known.pairs, ...left.pairs])];
  return { ...known, after, pairs, prune: [...new Set([...(known.prune ?? []), ...(left.prune ?? [])])] };
}
