import { formatAwsError, isAccessDenied } from '../aws/errors.ts';
import {
  bucketResourceId,
  DELETION_TAG_PREFIX,
  FAILURE_MARKS,
  locationOfSide,
  NO_POSITION,
  parseDeletionTag,
} from '../core/ids.ts';
import { emptyOrphan, type LocatedNotification, type Orphan } from '../core/orphan.ts';
import type { Aws, Blocked } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { accountOfArn } from '../iam/context.ts';
import { s3Notification, specNameOfEntry } from '../kinds/s3-notification.ts';
import { toSidName } from '../policy/statements.ts';
import type { BucketReplication } from '../spec/types.ts';
import { regionOfArn } from '../util/arn.ts';
import type { ListedRole } from './find-orphans.ts';
import type { LocatedOrphan, ReachableAccount } from './locate-orphans.ts';

/**
 * Returns removed specs, and specs without failure events, with the notification entries that they have left behind. It
 * reads only the buckets of specs whose failure events a role tag records, so that other specs cost no calls.
 */
export async function findNotificationOrphans(
  located: readonly LocatedOrphan[],
  roles: readonly ListedRole[],
  pairs: readonly BucketReplication[],
  accounts: readonly ReachableAccount[],
  aws: Aws,
): Promise<{ orphans: Orphan[]; blocked: Blocked[] }> {
  const recorded = ({ tags }: ListedRole, spec: string) =>
    (parseDeletionTag(tags[DELETION_TAG_PREFIX + spec])?.marks ?? []).some((mark) =>
      FAILURE_MARKS.includes(mark),
    );
  const removed = located.map(({ candidate, orphan }) => ({
    orphan,
    isRecorded: recorded(candidate.role, candidate.spec),
  }));
  const silent = pairs
    .filter(({ failures, policy, source }) => !failures && policy.deletion === 'Remove' && source.managed)
    .map((pair) => ({
      orphan: silentSpec(pair),
      isRecorded: roles.some((role) => recorded(role, pair.name)),
    }));
  const search = async ({ orphan, isRecorded }: { orphan: Orphan; isRecorded: boolean }) => {
    const sources = isRecorded ? orphan.sources : [];
    const searches = await Promise.all(sources.map((source) => findEntries(orphan, source, accounts, aws)));
    return {
      orphan: { ...orphan, notifications: searches.flatMap(({ entries }) => entries ?? []) },
      blocked: searches.flatMap(({ blocked }) => blocked ?? []),
    };
  };
  const results = await Promise.all(
    [...removed, ...silent.filter(({ isRecorded }) => isRecorded)].map(search),
  );
  return {
    orphans: results.map(({ orphan }) => orphan),
    blocked: results.flatMap(({ blocked }) => blocked),
  };
}

/** Returns a spec that declares no failure events any more, as an orphan with nothing else. */
const silentSpec = ({ name, source }: BucketReplication): Orphan => ({
  ...emptyOrphan({
    sidName: toSidName(name),
    specName: name,
    role: { name: '', arn: '', location: locationOfSide(source) },
  }),
  sources: [{ bucket: source.bucket, location: locationOfSide(source) }],
});

async function findEntries(
  { sidName, specName }: Orphan,
  { bucket, location }: Orphan['sources'][number],
  accounts: readonly ReachableAccount[],
  aws: Aws,
): Promise<{ entries?: LocatedNotification; blocked?: Blocked }> {
  try {
    const doc = await s3Notification.fetch(aws, location, bucket);
    const entries = doc?.configurations.filter(
      ({ id = '' }) => toSidName(specNameOfEntry(id) ?? '') === sidName,
    );
    if (!entries || entries.length === 0) return {};
    const targets = [...new Set(entries.flatMap(({ target }) => target ?? []))].flatMap((arn) => {
      const owner = accounts.find(({ id }) => id === accountOfArn(arn));
      return owner ? [{ arn, location: { ...owner.location, region: regionOfArn(arn) } }] : [];
    });
    return { entries: { bucket, location, targets } };
  } catch (error) {
    if (error instanceof UserError || !(error instanceof Error)) throw error;
    const reason = isAccessDenied(error)
      ? `${formatAwsError(error)}; its entry replikey/${specName} may still exist`
      : formatAwsError(error);
    return {
      blocked: {
        id: bucketResourceId(s3Notification.name, bucket),
        why: `cannot search it for the events of ${specName}: ${reason}`,
        pairs: [specName],
        from: NO_POSITION,
      },
    };
  }
}
