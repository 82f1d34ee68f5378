import {
  GetObjectTaggingCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectVersionsCommand,
  type ObjectVersion,
} from '@aws-sdk/client-s3';
import { defined } from '../canonical.ts';
import type { Aws, Place } from '../core/resource.ts';
import { isKms } from '../proof/cases.ts';
import type { SourceObject } from '../proof/matching.ts';

/** An object that was looked at, and what became of its replication. */
export interface SampledObject extends SourceObject {
  versionId?: string;
  lastModified: Date;
  /** `COMPLETED`, `PENDING`, `FAILED`, `REPLICA`; absent where no rule took it. */
  status?: string;
}

/** S3 lists by key and never by time: the newest of at most so many under each prefix are looked at. */
const LISTED = 1_000;

/** The most recent objects under some prefixes of a bucket, each looked at once. */
export async function sampleObjects(
  aws: Aws,
  at: Place,
  bucket: string,
  prefixes: readonly string[],
  count: number,
): Promise<SampledObject[]> {
  if (count === 0) return [];
  const owner = await aws.accountId(at.account);
  const listed = new Map<string, ObjectVersion>();
  for (const Prefix of new Set(prefixes)) {
    const page = await aws.send(
      at,
      new ListObjectVersionsCommand({ Bucket: bucket, ExpectedBucketOwner: owner, Prefix, MaxKeys: LISTED }),
    );
    for (const version of page.Versions ?? []) listed.set(`${version.Key} ${version.VersionId}`, version);
  }
  const newest = [...listed.values()]
    .sort((a, b) => Number(b.LastModified ?? 0) - Number(a.LastModified ?? 0))
    .slice(0, count);
  return Promise.all(newest.map(({ Key = '', VersionId }) => lookAt(aws, at, bucket, Key, VersionId)));
}

/**
 * Look at one object: its key, its Bucket Key flag, its status, and its tags where it has any.
 *
 * @throws an error of AWS where it cannot be read.
 */
export async function lookAt(
  aws: Aws,
  at: Place,
  bucket: string,
  key: string,
  versionId?: string,
): Promise<SampledObject> {
  const input = defined({
    Bucket: bucket,
    Key: key,
    VersionId: versionId,
    ExpectedBucketOwner: await aws.accountId(at.account),
  });
  const head = await aws.send(at, new HeadObjectCommand(input));
  const tags =
    (head.TagCount ?? 0) === 0 ? undefined : await aws.send(at, new GetObjectTaggingCommand(input));
  return defined({
    key,
    versionId: head.VersionId ?? versionId,
    lastModified: head.LastModified ?? new Date(0),
    status: head.ReplicationStatus as string | undefined,
    deleteMarker: head.DeleteMarker ?? false,
    tags: (tags?.TagSet ?? []).map(({ Key, Value }) => `${Key}=${Value}`),
    encryption: encryptionOf(head),
  });
}

function encryptionOf(head: HeadObjectCommandOutput): SampledObject['encryption'] {
  const algorithm: string = head.ServerSideEncryption ?? 'AES256';
  if (!isKms(algorithm)) return { algorithm: 'AES256' };
  return { algorithm, keyArn: head.SSEKMSKeyId ?? '', bucketKey: head.BucketKeyEnabled ?? false };
}
