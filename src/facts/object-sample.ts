import {
  GetObjectTaggingCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectVersionsCommand,
  type ObjectVersion,
} from '@aws-sdk/client-s3';
import { isAccessDenied } from '../aws/errors.ts';
import { locationOfSide } from '../core/ids.ts';
import type { Aws, Location } from '../core/resource.ts';
import { isKmsAlgorithm } from '../proof/object-cases.ts';
import type { SourceObject } from '../proof/rule-match.ts';
import type { BucketReplication } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';

/** A sampled object with its replication status. */
export interface SampledObject extends SourceObject {
  versionId?: string;
  lastModified: Date;
  /** `COMPLETED`, `PENDING`, `FAILED`, `REPLICA`; absent if no rule selected the object. */
  status?: string;
}

/** S3 lists by key and never by time: the sample contains the newest of the first 1,000 versions under each prefix. */
const MAX_LISTED_VERSIONS = 1_000;

/** Returns the newest objects under some prefixes of a bucket, each once. Leaves out objects under SSE-C. */
export async function sampleObjects(
  aws: Aws,
  location: Location,
  bucket: string,
  prefixes: readonly string[],
  count: number,
): Promise<SampledObject[]> {
  if (count === 0) return [];
  const owner = await aws.accountId(location.account);
  const versions = new Map<string, ObjectVersion>();
  for (const Prefix of new Set(prefixes)) {
    const page = await aws.send(
      location,
      new ListObjectVersionsCommand({
        Bucket: bucket,
        ExpectedBucketOwner: owner,
        Prefix,
        MaxKeys: MAX_LISTED_VERSIONS,
      }),
    );
    for (const version of page.Versions ?? []) versions.set(`${version.Key} ${version.VersionId}`, version);
  }
  const newest = [...versions.values()]
    .sort((a, b) => Number(b.LastModified ?? 0) - Number(a.LastModified ?? 0))
    .slice(0, count);
  const objects = await Promise.all(
    newest.map(({ Key = '', VersionId }) =>
      readSampledObject(aws, location, bucket, Key, VersionId, { mayLackTags: true }).catch(
        (error: unknown) => {
          if (needsCustomerKey(error)) return undefined;
          throw error;
        },
      ),
    ),
  );
  return objects.filter((object) => object !== undefined);
}

/**
 * Returns whether an object cannot be read because it is under SSE-C: without the key, S3 responds to HEAD with 400 and
 * no code (S3 API Reference, "HeadObject").
 */
function needsCustomerKey(error: unknown): boolean {
  const { httpStatusCode } = (error as { $metadata?: { httpStatusCode?: number } }).$metadata ?? {};
  return httpStatusCode === 400;
}

/**
 * Reads one object: its KMS key, Bucket Key flag and replication status, and its tags if it has any.
 *
 * @param mayLackTags whether a denial of the tags leaves them unread: a policy that denies the role may deny the caller too
 * @throws an AWS error if the object cannot be read.
 */
export async function readSampledObject(
  aws: Aws,
  location: Location,
  bucket: string,
  key: string,
  versionId?: string,
  { mayLackTags = false } = {},
): Promise<SampledObject> {
  const input = omitUndefined({
    Bucket: bucket,
    Key: key,
    VersionId: versionId,
    ExpectedBucketOwner: await aws.accountId(location.account),
  });
  const head = await aws.send(location, new HeadObjectCommand(input));
  const readTags = () =>
    aws.send(location, new GetObjectTaggingCommand(input)).catch((error: unknown) => {
      if (mayLackTags && isAccessDenied(error)) return 'denied' as const;
      throw error;
    });
  const tags = (head.TagCount ?? 0) === 0 ? undefined : await readTags();
  return omitUndefined({
    key,
    versionId: head.VersionId ?? versionId,
    lastModified: head.LastModified ?? new Date(0),
    status: head.ReplicationStatus as string | undefined,
    deleteMarker: head.DeleteMarker ?? false,
    tags: tags === 'denied' ? [] : (tags?.TagSet ?? []).map(({ Key, Value }) => `${Key}=${Value}`),
    hasUnreadTags: tags === 'denied' || undefined,
    encryption: objectEncryptionOf(head),
  });
}

function objectEncryptionOf(head: HeadObjectCommandOutput): SampledObject['encryption'] {
  const algorithm: string = head.ServerSideEncryption ?? 'AES256';
  if (!isKmsAlgorithm(algorithm)) return { algorithm: 'AES256' };
  return { algorithm, keyArn: head.SSEKMSKeyId ?? '', bucketKey: head.BucketKeyEnabled ?? false };
}

/** Replication status of the newest objects of some pairs. */
export interface ReplicationLag {
  /** Counts by replication status: `COMPLETED`, `PENDING`, `FAILED`; `none` for objects that no rule selected. */
  byStatus: Record<string, number>;
  /** ISO 8601: last modification of the oldest pending object in the sample. */
  oldestPending?: string;
}

/** Number of objects that replikey samples for each pair. */
const OBJECTS_PER_SOURCE = 50;

/**
 * Counts the newest objects of each pair's source by replication status.
 *
 * @throws an AWS error if the objects cannot be listed or read.
 */
export async function measureReplicationLag(
  aws: Aws,
  pairs: readonly BucketReplication[],
): Promise<ReplicationLag> {
  const samples = await Promise.all(
    pairs
      .filter(({ source }) => source.managed)
      .map(({ source, rules }) =>
        sampleObjects(
          aws,
          locationOfSide(source),
          source.bucket,
          rules.map(({ prefix }) => prefix),
          OBJECTS_PER_SOURCE,
        ),
      ),
  );
  // Replicas of a reverse rule are not replicated again.
  const objects = samples.flat().filter(({ status }) => status !== 'REPLICA');
  const byStatus: Record<string, number> = {};
  for (const { status = 'none' } of objects) byStatus[status] = (byStatus[status] ?? 0) + 1;
  const [oldest] = objects
    .filter(({ status }) => status === 'PENDING')
    .map(({ lastModified }) => lastModified.toISOString())
    .sort();
  return { byStatus, ...(oldest === undefined ? {} : { oldestPending: oldest }) };
}
