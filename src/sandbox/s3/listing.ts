import type { Handlers } from '../call.ts';
import type { BucketState, VersionState } from '../state.ts';
import { ownerId } from './buckets.ts';
import { bucketOf } from './requests.ts';

export const listingHandlers: Handlers = {
  ListObjectsV2(call, input) {
    const bucket = bucketOf(call, input, 's3:ListBucket');
    const after =
      input.ContinuationToken === undefined
        ? input.StartAfter
        : Buffer.from(input.ContinuationToken, 'base64url').toString();
    const { contents, prefixes, next } = listKeys(bucket, input, after);
    return {
      Name: bucket.name,
      ...common(input, contents, prefixes, bucket),
      KeyCount: contents.length + prefixes.length,
      IsTruncated: next !== undefined,
      ContinuationToken: input.ContinuationToken,
      NextContinuationToken: next === undefined ? undefined : Buffer.from(next).toString('base64url'),
      StartAfter: input.StartAfter,
    };
  },

  ListObjects(call, input) {
    const bucket = bucketOf(call, input, 's3:ListBucket');
    const { contents, prefixes, next } = listKeys(bucket, input, input.Marker);
    return {
      Name: bucket.name,
      ...common(input, contents, prefixes, bucket),
      Marker: input.Marker ?? '',
      IsTruncated: next !== undefined,
      NextMarker: input.Delimiter === undefined ? undefined : next,
    };
  },

  ListObjectVersions(call, input) {
    const bucket = bucketOf(call, input, 's3:ListBucketVersions');
    const max = input.MaxKeys ?? 1000;
    const encode = encoder(input.EncodingType);
    const versions: object[] = [];
    const markers: object[] = [];
    const prefixes: string[] = [];
    let count = 0;
    let next: { key: string; version: string } | undefined;
    const all = sorted(bucket, input.Prefix).flatMap((key) =>
      (bucket.objects.get(key) ?? []).map((version, index) => ({ version, isLatest: index === 0 })),
    );
    const start = all.findIndex(({ version }) =>
      isAfter(version, all, input.KeyMarker, input.VersionIdMarker),
    );
    let last: VersionState | undefined;
    for (const { version, isLatest } of start < 0 ? [] : all.slice(start)) {
      const group = groupOf(version.key, input.Prefix, input.Delimiter);
      if (group !== undefined && (prefixes.includes(group) || (input.KeyMarker ?? '').startsWith(group)))
        continue;
      if (count === max) {
        next = { key: last?.key ?? '', version: last?.versionId ?? '' };
        break;
      }
      count += 1;
      last = version;
      if (group !== undefined) prefixes.push(group);
      else {
        const entry = {
          Key: encode(version.key),
          VersionId: version.versionId,
          IsLatest: isLatest,
          LastModified: new Date(version.modified),
          Owner: { ID: ownerId(bucket.owner) },
        };
        if (version.deleteMarker) markers.push(entry);
        else versions.push({ ...entry, ...facts(version) });
      }
    }
    return {
      Name: bucket.name,
      Prefix: encode(input.Prefix ?? ''),
      KeyMarker: encode(input.KeyMarker ?? ''),
      VersionIdMarker: input.VersionIdMarker ?? '',
      MaxKeys: max,
      Delimiter: input.Delimiter === undefined ? undefined : encode(input.Delimiter),
      EncodingType: input.EncodingType,
      IsTruncated: next !== undefined,
      NextKeyMarker: next && encode(next.key),
      NextVersionIdMarker: next?.version,
      Versions: versions,
      DeleteMarkers: markers,
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

/** Keys after a marker, with those that share a delimiter rolled up; `next` is the marker of the next page. */
function listKeys(
  bucket: BucketState,
  { Prefix, Delimiter, MaxKeys = 1000 }: ListRequest,
  after: string | undefined,
) {
  const contents: VersionState[] = [];
  const prefixes: string[] = [];
  let last: string | undefined;
  for (const key of sorted(bucket, Prefix)) {
    const [version] = bucket.objects.get(key) ?? [];
    if (!version || version.deleteMarker) continue;
    const group = groupOf(key, Prefix, Delimiter);
    const marker = group ?? key;
    if (after !== undefined && (marker <= after || (group === undefined && key <= after))) continue;
    if (group !== undefined && prefixes.includes(group)) continue;
    if (contents.length + prefixes.length === MaxKeys) return { contents, prefixes, next: last };
    if (group === undefined) contents.push(version);
    else prefixes.push(group);
    last = marker;
  }
  return { contents, prefixes, next: undefined };
}

/** By UTF-8 bytes, as S3 sorts. */
function sorted(bucket: BucketState, prefix = ''): string[] {
  return [...bucket.objects.keys()]
    .filter((key) => key.startsWith(prefix))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function groupOf(key: string, prefix = '', delimiter: string | undefined): string | undefined {
  if (!delimiter) return undefined;
  const end = key.indexOf(delimiter, prefix.length);
  return end < 0 ? undefined : key.slice(0, end + delimiter.length);
}

function isAfter(
  version: VersionState,
  all: { version: VersionState }[],
  keyMarker: string | undefined,
  versionMarker: string | undefined,
): boolean {
  if (!keyMarker) return true;
  if (version.key !== keyMarker) return Buffer.compare(Buffer.from(version.key), Buffer.from(keyMarker)) > 0;
  if (!versionMarker) return false;
  const same = all.filter((one) => one.version.key === keyMarker).map((one) => one.version);
  const marked = same.findIndex((one) => one.versionId === versionMarker);
  return same.indexOf(version) > marked;
}

function common(input: ListRequest, contents: VersionState[], prefixes: string[], bucket: BucketState) {
  const encode = encoder(input.EncodingType);
  return {
    Prefix: encode(input.Prefix ?? ''),
    Delimiter: input.Delimiter === undefined ? undefined : encode(input.Delimiter),
    MaxKeys: input.MaxKeys ?? 1000,
    EncodingType: input.EncodingType,
    Contents: contents.map((version) => ({
      Key: encode(version.key),
      LastModified: new Date(version.modified),
      Owner: { ID: ownerId(bucket.owner) },
      ...facts(version),
    })),
    CommonPrefixes: prefixes.map((Prefix) => ({ Prefix: encode(Prefix) })),
  };
}

const facts = (version: VersionState) => ({
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

/** Keys may hold characters that XML cannot: clients ask for them URL-encoded. */
const encoder = (type: string | undefined) => (text: string) =>
  type === 'url' ? encodeURIComponent(text).replaceAll('%2F', '/').replaceAll('%20', '+') : text;
