import type { Handlers } from '../call.ts';
import type { BucketState, VersionState } from '../state.ts';
import { getAuthorizedBucket } from './access.ts';
import { canonicalUserIdOf } from './buckets.ts';

export const listingHandlers: Handlers = {
  ListObjectsV2(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:ListBucket');
    const startAfter =
      input.ContinuationToken === undefined
        ? input.StartAfter
        : Buffer.from(input.ContinuationToken, 'base64url').toString();
    const { contents, prefixes, next } = listKeys(bucket, input, startAfter);
    return {
      Name: bucket.name,
      ...toListOutput(input, contents, prefixes, bucket),
      KeyCount: contents.length + prefixes.length,
      IsTruncated: next !== undefined,
      ContinuationToken: input.ContinuationToken,
      NextContinuationToken: next === undefined ? undefined : Buffer.from(next).toString('base64url'),
      StartAfter: input.StartAfter,
    };
  },

  ListObjects(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:ListBucket');
    const { contents, prefixes, next } = listKeys(bucket, input, input.Marker);
    return {
      Name: bucket.name,
      ...toListOutput(input, contents, prefixes, bucket),
      Marker: input.Marker ?? '',
      IsTruncated: next !== undefined,
      NextMarker: input.Delimiter === undefined ? undefined : next,
    };
  },

  ListObjectVersions(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:ListBucketVersions');
    const maxKeys = input.MaxKeys ?? 1000;
    const encode = createKeyEncoder(input.EncodingType);
    const versions: object[] = [];
    const deleteMarkers: object[] = [];
    const prefixes: string[] = [];
    let count = 0;
    let next: { key: string; version: string } | undefined;
    const entries = sortedKeysOf(bucket, input.Prefix).flatMap((key) =>
      (bucket.objects.get(key) ?? []).map((version, index) => ({ version, isLatest: index === 0 })),
    );
    const start = entries.findIndex(({ version }) =>
      isAfterMarker(version, entries, input.KeyMarker, input.VersionIdMarker),
    );
    let lastVersion: VersionState | undefined;
    for (const { version, isLatest } of start < 0 ? [] : entries.slice(start)) {
      const commonPrefix = commonPrefixOf(version.key, input.Prefix, input.Delimiter);
      if (
        commonPrefix !== undefined &&
        (prefixes.includes(commonPrefix) || (input.KeyMarker ?? '').startsWith(commonPrefix))
      )
        continue;
      if (count === maxKeys) {
        next = { key: lastVersion?.key ?? '', version: lastVersion?.versionId ?? '' };
        break;
      }
      count += 1;
      lastVersion = version;
      if (commonPrefix !== undefined) prefixes.push(commonPrefix);
      else {
        const entry = {
          Key: encode(version.key),
          VersionId: version.versionId,
          IsLatest: isLatest,
          LastModified: new Date(version.modified),
          Owner: { ID: canonicalUserIdOf(bucket.owner) },
        };
        if (version.deleteMarker) deleteMarkers.push(entry);
        else versions.push({ ...entry, ...toEntryOutput(version) });
      }
    }
    return {
      Name: bucket.name,
      Prefix: encode(input.Prefix ?? ''),
      KeyMarker: encode(input.KeyMarker ?? ''),
      VersionIdMarker: input.VersionIdMarker ?? '',
      MaxKeys: maxKeys,
      Delimiter: input.Delimiter === undefined ? undefined : encode(input.Delimiter),
      EncodingType: input.EncodingType,
      IsTruncated: next !== undefined,
      NextKeyMarker: next && encode(next.key),
      NextVersionIdMarker: next?.version,
      Versions: versions,
      DeleteMarkers: deleteMarkers,
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
  { Prefix, Delimiter, MaxKeys = 1000 }: ListRequest,
  startAfter: string | undefined,
) {
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
    if (contents.length + prefixes.length === MaxKeys) return { contents, prefixes, next: lastMarker };
    if (commonPrefix === undefined) contents.push(version);
    else prefixes.push(commonPrefix);
    lastMarker = marker;
  }
  return { contents, prefixes, next: undefined };
}

/** Returns the keys with a prefix, sorted by UTF-8 bytes as in S3. */
function sortedKeysOf(bucket: BucketState, prefix = ''): string[] {
  return [...bucket.objects.keys()]
    .filter((key) => key.startsWith(prefix))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function commonPrefixOf(key: string, prefix = '', delimiter: string | undefined): string | undefined {
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

function toListOutput(
  input: ListRequest,
  contents: VersionState[],
  commonPrefixes: string[],
  bucket: BucketState,
) {
  const encode = createKeyEncoder(input.EncodingType);
  return {
    Prefix: encode(input.Prefix ?? ''),
    Delimiter: input.Delimiter === undefined ? undefined : encode(input.Delimiter),
    MaxKeys: input.MaxKeys ?? 1000,
    EncodingType: input.EncodingType,
    Contents: contents.map((version) => ({
      Key: encode(version.key),
      LastModified: new Date(version.modified),
      Owner: { ID: canonicalUserIdOf(bucket.owner) },
      ...toEntryOutput(version),
    })),
    CommonPrefixes: commonPrefixes.map((Prefix) => ({ Prefix: encode(Prefix) })),
  };
}

const toEntryOutput = (version: VersionState) => ({
  ETag: version.etag,
  Size: version.size,
  StorageClass: version.storageClass ?? 'STANDARD',
  ...(Object.keys(version.checksums).length > 0
    ? {
        ChecksumAlgorithm: Object.keys(version.checksums).map((name) => name.slice('Checksum'.length)),
        ChecksumType: 'FULL_OBJECT',
      }
    : {}),
});

/**
 * Returns the function that encodes keys in a list. A key can contain characters that XML cannot represent, so clients
 * can request URL encoding.
 */
const createKeyEncoder = (encodingType: string | undefined) => (text: string) =>
  encodingType === 'url' ? encodeURIComponent(text).replaceAll('%2F', '/').replaceAll('%20', '+') : text;
