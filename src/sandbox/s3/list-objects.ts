import type { Handlers } from '../call.ts';
import { LISTED_ELEMENTS } from '../protocol/rest-xml.ts';
import type { BucketState, VersionState } from '../state.ts';
import {
  addBucketRegionHeader,
  canonicalUserIdOf,
  getAuthorizedBucket,
  invalidArgumentError,
} from './access.ts';

export const listingHandlers: Handlers = {
  ListObjectsV2(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:ListBucket');
    addBucketRegionHeader(call, bucket);
    const encode = createKeyEncoder(input.EncodingType);
    const { contents, prefixes, next, maxKeys } = listKeys(
      bucket,
      input,
      input.ContinuationToken === undefined
        ? input.StartAfter
        : decodeContinuationToken(input.ContinuationToken),
    );
    return {
      ...toListOutput(bucket, input, prefixes, maxKeys),
      Contents: contents.map((version) => ({
        ...toEntryOutput(version, encode),
        // fact: localstack/s3.list_objects_v2/test_list_objects_v2_with_prefix — no Owner unless the request asks for it
        ...(input.FetchOwner ? { Owner: objectOwnerOf(bucket, version) } : {}),
      })),
      KeyCount: contents.length + prefixes.length,
      IsTruncated: next !== undefined,
      ContinuationToken: input.ContinuationToken,
      NextContinuationToken: next === undefined ? undefined : encodeContinuationToken(next),
      StartAfter: input.StartAfter && encode(input.StartAfter),
    };
  },

  ListObjects(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:ListBucket');
    addBucketRegionHeader(call, bucket);
    const encode = createKeyEncoder(input.EncodingType);
    const { contents, prefixes, next, maxKeys } = listKeys(bucket, input, input.Marker);
    return {
      ...toListOutput(bucket, input, prefixes, maxKeys),
      Contents: contents.map((version) => ({
        ...toEntryOutput(version, encode),
        Owner: objectOwnerOf(bucket, version),
      })),
      Marker: encode(input.Marker ?? ''),
      IsTruncated: next !== undefined,
      // S3 API Reference, ListObjects: S3 returns NextMarker only if the request has a delimiter.
      NextMarker: !input.Delimiter || next === undefined ? undefined : encode(next),
    };
  },

  ListObjectVersions(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:ListBucketVersions');
    const maxKeys = pageSizeOf(input.MaxKeys, 'maxKeys');
    const encode = createKeyEncoder(input.EncodingType);
    if (input.VersionIdMarker !== undefined && !input.KeyMarker) {
      throw invalidArgumentError(
        'A version-id marker cannot be specified without a key marker.',
        'version-id-marker',
        input.VersionIdMarker,
      );
    }
    const versions: object[] = [];
    const deleteMarkers: object[] = [];
    // S3 lists versions and delete markers in one order (S3 API Reference, ListObjectVersions, "Sample Response").
    const listed: string[] = [];
    const prefixes: string[] = [];
    let count = 0;
    /** Marker of the next page: the last version, or the last common prefix, which has no version. */
    let next: { key: string; version?: string } | undefined;
    let last: typeof next;
    const entries = sortedKeysOf(bucket, input.Prefix).flatMap((key) =>
      (bucket.objects.get(key) ?? []).map((version, index) => ({ version, isLatest: index === 0 })),
    );
    const start = entries.findIndex(({ version }) =>
      isAfterMarker(version, entries, input.KeyMarker, input.VersionIdMarker),
    );
    for (const { version, isLatest } of start < 0 ? [] : entries.slice(start)) {
      const commonPrefix = commonPrefixOf(version.key, input.Prefix, input.Delimiter);
      if (
        commonPrefix !== undefined &&
        (prefixes.includes(commonPrefix) || (input.KeyMarker ?? '').startsWith(commonPrefix))
      )
        continue;
      if (count === maxKeys) {
        next = last;
        break;
      }
      count += 1;
      last =
        commonPrefix === undefined ? { key: version.key, version: version.versionId } : { key: commonPrefix };
      if (commonPrefix !== undefined) prefixes.push(commonPrefix);
      else {
        const entry = {
          Key: encode(version.key),
          VersionId: version.versionId,
          IsLatest: isLatest,
          LastModified: new Date(version.modified),
          Owner: objectOwnerOf(bucket, version),
        };
        listed.push(version.deleteMarker ? 'DeleteMarker' : 'Version');
        if (version.deleteMarker) deleteMarkers.push(entry);
        else versions.push({ ...entry, ...toEntryOutput(version, encode) });
      }
    }
    return {
      Name: bucket.name,
      Prefix: encode(input.Prefix ?? ''),
      KeyMarker: encode(input.KeyMarker ?? ''),
      VersionIdMarker: input.VersionIdMarker ?? '',
      MaxKeys: maxKeys,
      Delimiter: input.Delimiter ? encode(input.Delimiter) : undefined,
      EncodingType: input.EncodingType,
      IsTruncated: next !== undefined,
      NextKeyMarker: next && encode(next.key),
      NextVersionIdMarker: next?.version,
      Versions: versions,
      DeleteMarkers: deleteMarkers,
      [LISTED_ELEMENTS]: listed,
      CommonPrefixes: prefixes.map((Prefix) => ({ Prefix: encode(Prefix) })),
    };
  },
};

interface ListRequest {
  Prefix?: string;
  Delimiter?: string;
  MaxKeys?: number;
  EncodingType?: string;
}

/**
 * Returns the keys after a marker. Keys with a common prefix up to the delimiter become one entry of `prefixes`. `next`
 * is the marker of the next page.
 */
function listKeys(
  bucket: BucketState,
  { Prefix, Delimiter, MaxKeys }: ListRequest,
  startAfter: string | undefined,
) {
  const maxKeys = pageSizeOf(MaxKeys, 'maxKeys');
  const contents: VersionState[] = [];
  const prefixes: string[] = [];
  let lastMarker: string | undefined;
  for (const key of sortedKeysOf(bucket, Prefix)) {
    const [version] = bucket.objects.get(key) ?? [];
    if (!version || version.deleteMarker) continue;
    const commonPrefix = commonPrefixOf(key, Prefix, Delimiter);
    const marker = commonPrefix ?? key;
    if (
      startAfter !== undefined &&
      (marker <= startAfter || (commonPrefix === undefined && key <= startAfter))
    )
      continue;
    if (commonPrefix !== undefined && prefixes.includes(commonPrefix)) continue;
    if (contents.length + prefixes.length === maxKeys)
      return { contents, prefixes, next: lastMarker, maxKeys };
    if (commonPrefix === undefined) contents.push(version);
    else prefixes.push(commonPrefix);
    lastMarker = marker;
  }
  return { contents, prefixes, next: undefined, maxKeys };
}

/** Returns the keys with a prefix, sorted by UTF-8 bytes as in S3. */
function sortedKeysOf(bucket: BucketState, prefix = ''): string[] {
  return [...bucket.objects.keys()]
    .filter((key) => key.startsWith(prefix))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Returns the common prefix of a key, up to the delimiter; undefined if the rest of the key does not contain it. */
export function commonPrefixOf(key: string, prefix = '', delimiter: string | undefined): string | undefined {
  if (!delimiter) return undefined;
  const end = key.indexOf(delimiter, prefix.length);
  return end < 0 ? undefined : key.slice(0, end + delimiter.length);
}

function isAfterMarker(
  version: VersionState,
  entries: { version: VersionState }[],
  keyMarker: string | undefined,
  versionMarker: string | undefined,
): boolean {
  if (!keyMarker) return true;
  if (version.key !== keyMarker) return Buffer.compare(Buffer.from(version.key), Buffer.from(keyMarker)) > 0;
  if (!versionMarker) return false;
  const keyVersions = entries
    .filter((entry) => entry.version.key === keyMarker)
    .map((entry) => entry.version);
  const markerIndex = keyVersions.findIndex((candidate) => candidate.versionId === versionMarker);
  return keyVersions.indexOf(version) > markerIndex;
}

function toListOutput(bucket: BucketState, input: ListRequest, commonPrefixes: string[], maxKeys: number) {
  const encode = createKeyEncoder(input.EncodingType);
  return {
    Name: bucket.name,
    Prefix: encode(input.Prefix ?? ''),
    Delimiter: input.Delimiter ? encode(input.Delimiter) : undefined,
    MaxKeys: maxKeys,
    EncodingType: input.EncodingType,
    CommonPrefixes: commonPrefixes.map((Prefix) => ({ Prefix: encode(Prefix) })),
  };
}

const toEntryOutput = (version: VersionState, encode: (text: string) => string) => ({
  Key: encode(version.key),
  LastModified: new Date(version.modified),
  ETag: version.etag,
  Size: version.size,
  StorageClass: version.storageClass ?? 'STANDARD',
  ...(version.checksum && {
    ChecksumAlgorithm: [version.checksum.algorithm],
    ChecksumType: version.checksum.type,
  }),
});

/** Returns the owner of an object. S3 returns no display name since November 2025. */
export const objectOwnerOf = (bucket: BucketState, { owner }: { owner?: string }) => ({
  ID: canonicalUserIdOf(owner ?? bucket.owner),
});

/**
 * Returns the size of a page: at most 1,000 entries.
 *
 * @throws AwsError InvalidArgument for a negative number.
 */
export function pageSizeOf(requested: number | undefined, argumentName: string): number {
  if (requested !== undefined) checkListArgument(requested, argumentName, String(requested));
  return Math.min(requested ?? 1000, 1000);
}

/**
 * Checks a count or a marker of the query (moto's test_multipart_list_parts_invalid_argument).
 *
 * @throws AwsError InvalidArgument unless the number is an integer between 0 and 2³¹-1.
 */
export function checkListArgument(value: number, argumentName: string, text: string): void {
  if (!Number.isInteger(value) || Math.abs(value) > 2_147_483_647) {
    throw invalidArgumentError(
      `Provided ${argumentName} not an integer or within integer range`,
      argumentName,
      text,
    );
  }
  if (value < 0) {
    throw invalidArgumentError(
      `Argument ${argumentName} must be an integer between 0 and 2147483647`,
      argumentName,
      text,
    );
  }
}

const encodeContinuationToken = (key: string): string => Buffer.from(key).toString('base64');

function decodeContinuationToken(token: string): string {
  const key = Buffer.from(token, 'base64').toString();
  if (token !== '' && encodeContinuationToken(key) === token) return key;
  throw invalidArgumentError('The continuation token provided is incorrect', 'continuation-token');
}

/**
 * Returns the function that encodes keys in a list. A key can contain characters that XML cannot represent, so clients
 * can request URL encoding (S3 API Reference, ListObjectsV2: `test_file(3).png` appears as `test_file%283%29.png`).
 *
 * @throws AwsError InvalidArgument for another encoding.
 */
export function createKeyEncoder(encodingType: string | undefined): (text: string) => string {
  if (encodingType === undefined) return (text) => text;
  if (encodingType !== 'url')
    throw invalidArgumentError('Invalid Encoding Method specified in Request', 'encoding-type', encodingType);
  // Like a form: `+` for a space, and letters, digits and `-_.*` as they are. S3 keeps the slash in addition.
  return (text) => new URLSearchParams([['', text]]).toString().slice(1).replaceAll('%2F', '/');
}
