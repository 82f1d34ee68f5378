import { NO_POSITION } from './ids.ts';
import type { Location, Resource } from './resource.ts';

/**
 * What is left of a spec that is not given any more, as the policy of its role tells it. The role is where it is found,
 * so it is what goes last.
 */
export interface Orphan {
  /** The name of the spec as Sids have it. */
  sidName: string;
  /** The name itself, as far as it can be told. */
  specName: string;
  role: { name: string; arn: string; location: Location };
  /** Whether the role goes too: it is ours, and nothing else is in it. */
  deleteRole: boolean;
  sources: LocatedBucket[];
  /** Those of other accounts: within one, the policy of the bucket is not asked. */
  destinations: LocatedBucket[];
  keys: { arn: string; location: Location }[];
}

export interface LocatedBucket {
  bucket: string;
  location: Location;
}

/** A resource that no spec wants, to be pruned of what is left of one. */
export const orphanResource = <S>(
  orphan: Orphan,
  resource: Pick<Resource<S>, 'id' | 'kind' | 'name' | 'location' | 'spec' | 'after'>,
): Resource<S> => ({
  ...resource,
  declaredBy: [orphan.specName],
  position: NO_POSITION,
  pruneOwners: [orphan.sidName],
  orphaned: true,
});
