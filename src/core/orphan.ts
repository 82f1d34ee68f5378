import { NO_POSITION } from './ids.ts';
import type { Location, Resource } from './resource.ts';

/**
 * An orphan: the resources that a removed spec left behind, as found in the policy of its role. Prune finds orphans
 * through the role, so the role is removed last.
 */
export interface Orphan {
  /** The name of the spec as it appears in Sids. */
  sidName: string;
  /** The name of the spec, as far as it is known. */
  specName: string;
  role: { name: string; arn: string; location: Location };
  /** Whether the role is deleted too: replikey created it, and it contains nothing else. */
  deleteRole: boolean;
  sources: LocatedBucket[];
  /** Destinations in other accounts: within one account, S3 does not need the bucket policy. */
  destinations: LocatedBucket[];
  keys: { arn: string; location: Location }[];
  /** Source buckets with entries of the spec in their notification configurations. */
  notifications: LocatedNotification[];
  /** Source buckets with jobs of the spec that wait for an approval. Absent: none. */
  waitingJobs?: LocatedBucket[];
}

export interface LocatedNotification extends LocatedBucket {
  /** The queues and topics of its entries, by ARN. */
  targets: { arn: string; location: Location }[];
}

export interface LocatedBucket {
  bucket: string;
  location: Location;
}

/** Returns an orphan without buckets and keys. */
export const emptyOrphan = ({
  sidName,
  specName,
  role: { name, arn, location },
}: Pick<Orphan, 'sidName' | 'specName' | 'role'>): Orphan => ({
  sidName,
  specName,
  role: { name, arn, location },
  deleteRole: false,
  sources: [],
  destinations: [],
  keys: [],
  notifications: [],
});

/** Returns a resource that no spec declares, from which prune removes the orphan's entries. */
export const orphanResource = <S>(
  orphan: Orphan,
  resource: Pick<Resource<S>, 'id' | 'kind' | 'name' | 'location' | 'spec' | 'after' | 'details'>,
): Resource<S> => ({
  ...resource,
  declaredBy: [orphan.specName],
  position: NO_POSITION,
  pruneOwners: [orphan.sidName],
  orphaned: true,
});
