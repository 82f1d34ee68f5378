import {
  GetObjectCommand,
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

/** The part of a bucket from which a sample was taken. */
export interface SampleCoverage {
  /** Number of versions and delete markers that S3 listed. One under two prefixes may count twice. */
  listed: number;
  /** Whether S3 listed every version under the prefixes. */
  complete: boolean;
}

/** The newest objects of the listed part of a bucket. */
export interface ObjectSample {
  objects: SampledObject[];
  coverage: SampleCoverage;
}

/** Limits of a sample. */
export interface SampleSize {
  /** Number of objects to read; 0 disables sampling. */
  count: number;
  /** Number of pages of 1,000 versions to list under each prefix. */
  pages: number;
}

/** Maximum number of versions and delete markers in a response (S3 API Reference, "ListObjectVersions"). */
const MAX_LISTED_VERSIONS = 1_000;

/**
 * Returns the newest objects under some prefixes of a bucket, each once. S3 lists by key and never by time: the sample
 * contains the newest of the listed versions. Leaves out objects under SSE-C, and versions deleted since the listing.
 *
 * @throws an AWS error if the objects cannot be listed or read.
 */
export async function sampleObjects(
  aws: Aws,
  location: Location,
  bucket: string,
  prefixes: readonly string[],
  { count, pages }: SampleSize,
): Promise<ObjectSample> {
  if (count === 0) return { objects: [], coverage: { listed: 0, complete: false } };
  const { newest, coverage } = await listNewestVersions(aws, location, bucket, prefixes, { count, pages });
  const objects = await Promise.all(
    newest.map(({ Key = '', VersionId }) =>
      readSampledObject(aws, location, bucket, Key, VersionId, { mayLackTags: true }).catch(
        async (error: unknown) => {
          const { httpStatusCode: status } =
            (error as { $metadata?: { httpStatusCode?: number } }).$metadata ?? {};
          // It was deleted after the listing.
          if (status === 404) return undefined;
          if (status === 400 && (await isUnderCustomerKey(aws, location, bucket, Key, VersionId)))
            return undefined;
          throw error;
        },
      ),
    ),
  );
  return { objects: objects.filter((object) => object !== undefined), coverage };
}

/** Lists up to `pages` pages under each prefix. Keeps only the `count` newest versions in memory. */
async function listNewestVersions(
  aws: Aws,
  location: Location,
  bucket: string,
  prefixes: readonly string[],
  { count, pages }: SampleSize,
): Promise<{ newest: ObjectVersion[]; coverage: SampleCoverage }> {
  let newest: ObjectVersion[] = [];
  let listed = 0;
  const completePrefixes: string[] = [];
  const sortedPrefixes = [...new Set(prefixes)].sort();
  const isListed = (prefix: string) => completePrefixes.some((complete) => prefix.startsWith(complete));
  // A prefix precedes the longer prefixes that begin with it, so that a complete listing covers them.
  for (const prefix of sortedPrefixes) {
    if (isListed(prefix)) continue;
    const listing = listVersionPages(aws, location, bucket, prefix, pages);
    for await (const { versions, entries, isLast } of listing) {
      newest = newestVersions([...newest, ...versions], count);
      listed += entries;
      if (isLast) completePrefixes.push(prefix);
    }
  }
  return { newest, coverage: { listed, complete: sortedPrefixes.every(isListed) } };
}

/** Lists the versions under a prefix in order of their keys, page by page. `entries` includes delete markers. */
async function* listVersionPages(
  aws: Aws,
  location: Location,
  bucket: string,
  prefix: string,
  pages: number,
): AsyncGenerator<{ versions: ObjectVersion[]; entries: number; isLast: boolean }> {
  const owner = await aws.accountId(location.account);
  let marker: { KeyMarker?: string; VersionIdMarker?: string } = {};
  for (let number = 0; number < pages; number++) {
    const page = await aws.send(
      location,
      new ListObjectVersionsCommand({
        Bucket: bucket,
        ExpectedBucketOwner: owner,
        Prefix: prefix,
        MaxKeys: MAX_LISTED_VERSIONS,
        ...marker,
      }),
    );
    const { Versions: versions = [], DeleteMarkers: deleteMarkers = [], NextKeyMarker } = page;
    const isLast = page.IsTruncated !== true;
    yield { versions, entries: versions.length + deleteMarkers.length, isLast };
    if (isLast || NextKeyMarker === undefined) return;
    marker = omitUndefined({ KeyMarker: NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker });
  }
}

/** Returns the newest of some versions, each once: a version may be under two prefixes. */
function newestVersions(versions: readonly ObjectVersion[], count: number): ObjectVersion[] {
  const distinct = new Map(versions.map((version) => [`${version.Key} ${version.VersionId}`, version]));
  return [...distinct.values()]
    .sort((a, b) => Number(b.LastModified ?? 0) - Number(a.LastModified ?? 0))
    .slice(0, count);
}

/**
 * Returns whether S3 rejected HEAD because the object is under SSE-C. A response to HEAD has no code (S3 API Reference,
 * "HeadObject"), and S3 also responds with 400 to an expired token, for example. A GET of the same object has the code.
 *
 * @throws the AWS error of the GET, if it has another cause
 */
async function isUnderCustomerKey(
  aws: Aws,
  location: Location,
  Bucket: string,
  Key: string,
  VersionId?: string,
): Promise<boolean> {
  const ExpectedBucketOwner = await aws.accountId(location.account);
  const input = omitUndefined({ Bucket, Key, VersionId, ExpectedBucketOwner, Range: 'bytes=0-0' });
  try {
    const { Body } = await aws.send(location, new GetObjectCommand(input));
    await Body?.transformToByteArray();
    return false;
  } catch (error) {
    const { name, message } = error as Error;
    if (name === 'InvalidRequest' && message.includes('a form of Server Side Encryption')) return true;
    throw error;
  }
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
  /** Coverage of the sources of all pairs together. */
  coverage: SampleCoverage;
}

/** Number of objects that replikey samples of each source. */
const OBJECTS_PER_SOURCE = 50;

/**
 * Counts the newest objects of each source by replication status. Pairs that share a source have one sample.
 *
 * @param pages number of pages of 1,000 versions to list under each prefix
 * @throws an AWS error if the objects cannot be listed or read.
 */
export async function measureReplicationLag(
  aws: Aws,
  pairs: readonly BucketReplication[],
  pages = 1,
): Promise<ReplicationLag> {
  const samples = await Promise.all(
    [...pairsBySource(pairs)].map(([bucket, [first, ...more]]) =>
      sampleObjects(
        aws,
        locationOfSide(first.source),
        bucket,
        [first, ...more].flatMap(({ rules }) => rules.map(({ prefix }) => prefix)),
        { count: OBJECTS_PER_SOURCE, pages },
      ),
    ),
  );
  // Replicas of a reverse rule are not replicated again.
  const objects = samples.flatMap((sample) => sample.objects).filter(({ status }) => status !== 'REPLICA');
  const byStatus: Record<string, number> = {};
  for (const { status = 'none' } of objects) byStatus[status] = (byStatus[status] ?? 0) + 1;
  const [oldest] = objects
    .filter(({ status }) => status === 'PENDING')
    .map(({ lastModified }) => lastModified.toISOString())
    .sort();
  const coverage = {
    listed: samples.reduce((sum, sample) => sum + sample.coverage.listed, 0),
    complete: samples.every((sample) => sample.coverage.complete),
  };
  return { byStatus, ...(oldest === undefined ? {} : { oldestPending: oldest }), coverage };
}

/** Returns the pairs whose source replikey can read, by their source bucket. */
function pairsBySource(
  pairs: readonly BucketReplication[],
): Map<string, [BucketReplication, ...BucketReplication[]]> {
  const result = new Map<string, [BucketReplication, ...BucketReplication[]]>();
  for (const pair of pairs) {
    if (!pair.source.managed) continue;
    const earlier = result.get(pair.source.bucket);
    if (earlier) earlier.push(pair);
    else result.set(pair.source.bucket, [pair]);
  }
  return result;
}
