import type { BucketReplication } from '../spec/types.ts';
import { roleId } from './names.ts';
import { derivedRoleArn } from './permissions.ts';
import { resolve } from './ref.ts';
import type { Handover, Kind, Ref, Resource } from './resource.ts';

/**
 * Part what is wanted by whether there are credentials for its account. What is ours no longer waits for what is
 * theirs: nobody here can say when that is there.
 */
export function part(
  resources: readonly Resource[],
  pairs: readonly BucketReplication[],
): { ours: Resource[]; theirs: Resource[] } {
  const foreign = new Set(
    pairs
      .flatMap(({ source, destination }) => [source, destination])
      .flatMap(({ account, managed }) => (managed ? [] : [account])),
  );
  if (foreign.size === 0) return { ours: [...resources], theirs: [] };
  const theirs = resources.filter(({ at }) => foreign.has(at.account));
  const ids = new Set(theirs.map(({ id }) => id));
  const ours = resources
    .filter(({ id }) => !ids.has(id))
    .map((resource) => ({ ...resource, after: resource.after.filter((id) => !ids.has(id)) }));
  return { ours, theirs };
}

/**
 * What the owners of the other accounts have to do, as ready documents and commands: roles by the ARNs that they have or
 * will have, keys by theirs where they are known.
 */
export function handover(
  theirs: readonly Resource[],
  pairs: readonly BucketReplication[],
  kinds: ReadonlyMap<string, Kind>,
  known: (ref: Ref) => string | undefined,
): Handover[] {
  const sides = pairs.flatMap(({ source, destination }) => [source, destination]);
  const accounts = new Map(sides.map(({ account, accountId }) => [account, accountId ?? '']));
  const roles = new Map(pairs.map((pair) => [roleId(pair), derivedRoleArn(pair)]));
  const readable = (ref: Ref) =>
    roles.get(ref.$ref) ?? known(ref) ?? `(the ARN of ${ref.$ref}, known after apply)`;
  return theirs.flatMap((resource) => {
    const byHand = kinds.get(resource.kind)?.byHand?.(resolve(resource.spec, readable));
    if (!byHand) return [];
    const { id, at } = resource;
    return [{ id, account: accounts.get(at.account) ?? '', ...byHand, pairs: resource.pairs }];
  });
}
