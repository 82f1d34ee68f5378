import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';
import type { RequestLog } from '../../src/sandbox/admin-api.ts';
import { createRawClient } from '../sandbox/raw-request.ts';
import type { Client, Driver, OperationName, Settings } from './client.ts';
import type { Observer } from './observer.ts';
import type { LocalhostProxy } from './proxy.ts';

/** What a check has: a client, a Region, and the sandbox. */
export interface Context {
  client: Client;
  operations: Required<Driver['operations']>;
  /** Settings of the client: endpoint by IP address, Region of the buckets. */
  settings: Settings;
  observer: Observer;
  log: RequestLog;
  proxy: LocalhostProxy;
  /** A bucket with versioning, for this client and this Region. */
  bucket: string;
  /**
   * A bucket of this Region with the objects of `LISTED_KEYS`, and with `LARGE_KEY`: the large file, uploaded in parts under
   * SSE-KMS.
   */
  sharedBucket: string;
  kmsKey: { arn: string; alias: string };
  /** Files with random bytes; `large` has three parts. */
  files: { small: string; large: string };
  /** Returns the path of a new file. */
  newFile(): string;
  /** Advances the clock of the sandbox; default: one second. Versions of one second have one time. */
  advanceClock(seconds?: number): void;
}

export interface Check {
  name: string;
  /** The operations that a client needs for the check. */
  operations: OperationName[];
  /** What the check verifies, apart from the exit without an error. */
  verifies: string;
  run(context: Context): Promise<void>;
}

/** A name with characters that clients must escape in paths, in signatures, and in XML. */
const KEY = 'Tax/année 2026+1/100% “A&B” <1>.pdf';

/** More keys than a page has (1,000), with names that clients must decode. */
export const LISTED_KEYS = [
  ...Array.from({ length: 1100 }, (_, n) => `list/${String(n).padStart(4, '0')}.txt`),
  'list/a b.txt',
  'list/a+b.txt',
  'list/50%25.txt',
  'list/<&">.txt',
  'list/税.txt',
];

export const LARGE_KEY = `large/${KEY}`;

export const checks: Check[] = [
  {
    name: 'create a bucket',
    operations: ['createBucket'],
    verifies: 'the Region of the bucket',
    async run({ operations, settings, observer, bucket }) {
      const name = `${bucket}-new`;
      await operations.createBucket(settings, { bucket: name });
      expect(await observer.regionOf(name)).toBe(settings.region);
    },
  },
  {
    // GetBucketLocation works from any Region; HeadBucket returns x-amz-bucket-region with any status, and to anonymous
    // callers too (S3 API Reference, "HeadBucket"; aws-facts.md, "bucket Region").
    name: 'find the Region',
    operations: ['regionOf'],
    verifies: 'the Region that a client of us-east-1 finds',
    async run({ operations, settings, bucket }) {
      expect(await operations.regionOf({ ...settings, region: 'us-east-1' }, { bucket })).toBe(
        settings.region,
      );
    },
  },
  {
    name: 'put',
    operations: ['put'],
    verifies: 'bytes, ETag, encryption with SSE-S3',
    async run({ operations, settings, observer, bucket, files }) {
      await operations.put(settings, { bucket, key: KEY, file: files.small });
      const stored = await observer.get(bucket, KEY);
      const bytes = await readFile(files.small);
      expect(sha256(stored.body)).toBe(sha256(bytes));
      // S3 encrypts with SSE-S3 by default; the ETag is then the MD5 (S3 API Reference, "Object", ETag).
      expect(stored.headers['x-amz-server-side-encryption']).toBe('AES256');
      expect(stored.headers.etag).toBe(`"${createHash('md5').update(bytes).digest('hex')}"`);
    },
  },
  {
    name: 'ranged get',
    operations: ['getRange'],
    verifies: 'bytes, a request with Range',
    async run({ operations, settings, observer, log, bucket, files, newFile }) {
      const bytes = await readFile(files.small);
      await observer.put(bucket, 'ranged', bytes);
      const file = newFile();
      await operations.getRange(settings, { bucket, key: 'ranged', file, start: 1000, end: bytes.length });
      expect(sha256(await readFile(file))).toBe(sha256(bytes.subarray(1000)));
      // S3 returns 206 for a range (S3 API Reference, "GetObject").
      expect(statusesOf(log, 'GetObject')).toContain(206);
    },
  },
  {
    name: 'multipart upload under SSE-KMS',
    operations: ['putMultipart'],
    verifies: 'bytes, number of parts, ETag, KMS key, multipart requests',
    async run({ operations, settings, observer, log, bucket, files, kmsKey }) {
      const key = `multipart/${KEY}`;
      await operations.putMultipart(settings, {
        bucket,
        key,
        file: files.large,
        keyId: keyIdOf(settings, kmsKey),
      });
      const stored = await observer.get(bucket, key);
      expect(sha256(stored.body)).toBe(sha256(await readFile(files.large)));
      // The ETag of an upload in parts ends in the number of parts (S3 API Reference, "Object", ETag).
      expect(stored.headers.etag).toMatch(/^"[0-9a-f]{32}-3"$/);
      expect(stored.headers['x-amz-server-side-encryption']).toBe('aws:kms');
      expect(stored.headers['x-amz-server-side-encryption-aws-kms-key-id']).toBe(kmsKey.arn);
      expect(statusesOf(log, 'UploadPart')).toEqual([200, 200, 200]);
      expect(statusesOf(log, 'CompleteMultipartUpload')).toEqual([200]);
    },
  },
  {
    name: 'download',
    operations: ['get'],
    verifies: 'bytes of an object that was uploaded in parts under SSE-KMS',
    async run({ operations, settings, sharedBucket, files, newFile }) {
      const file = newFile();
      await operations.get(settings, { bucket: sharedBucket, key: LARGE_KEY, file });
      expect(sha256(await readFile(file))).toBe(sha256(await readFile(files.large)));
    },
  },
  {
    name: 'copy',
    operations: ['copy'],
    verifies: 'bytes, encryption of the copy',
    async run({ operations, settings, observer, sharedBucket, bucket, files }) {
      const key = `copy/${KEY}`;
      await operations.copy(settings, { bucket: sharedBucket, key: LARGE_KEY, toBucket: bucket, toKey: key });
      const copy = await observer.get(bucket, key);
      expect(sha256(copy.body)).toBe(sha256(await readFile(files.large)));
      // A copy takes the encryption of its bucket, not of its source (S3 API Reference, "CopyObject").
      expect(copy.headers['x-amz-server-side-encryption']).toBe('AES256');
    },
  },
  {
    // A page has at most 1,000 keys (S3 API Reference, "ListObjectsV2").
    name: 'list',
    operations: ['list'],
    verifies: `${LISTED_KEYS.length.toLocaleString('en')} keys of two pages, with spaces, \`+\`, \`%\`, \`&\`, \`<\` and characters beyond ASCII`,
    async run({ operations, settings, log, sharedBucket }) {
      const keys = await operations.list(settings, { bucket: sharedBucket, prefix: 'list/' });
      expect([...keys].sort()).toEqual([...LISTED_KEYS].sort());
      expect([...statusesOf(log, 'ListObjectsV2'), ...statusesOf(log, 'ListObjects')]).toEqual([200, 200]);
    },
  },
  {
    name: 'list versions',
    operations: ['listVersions'],
    verifies: 'two versions of a key and a delete marker',
    async run({ client, operations, settings, observer, bucket, advanceClock }) {
      const prefix = 'versions/';
      for (const body of ['first', 'second']) {
        await observer.put(bucket, `${prefix}${KEY}`, Buffer.from(body));
        advanceClock();
      }
      await observer.put(bucket, `${prefix}deleted`, Buffer.from('third'));
      advanceClock();
      await observer.delete(bucket, `${prefix}deleted`);
      const stored = (await observer.listVersions(bucket, prefix)).filter(
        ({ isDeleteMarker }) => !(client.hidesDeleteMarkers && isDeleteMarker),
      );
      const listed = await operations.listVersions(settings, { bucket, prefix });
      expect(listed.length).toBe(stored.length);
      expect(stored).toEqual(
        expect.arrayContaining(listed.map((version) => expect.objectContaining(version))),
      );
      expect(new Set(listed.map((version) => JSON.stringify(version))).size).toBe(stored.length);
    },
  },
  {
    name: 'delete',
    operations: ['delete'],
    verifies: 'a delete marker, and that the version remains',
    async run({ operations, settings, observer, bucket }) {
      const key = `deleted/${KEY}`;
      const versionId = await observer.put(bucket, key, Buffer.from('kept'));
      await operations.delete(settings, { bucket, key });
      expect(await observer.listVersions(bucket, key)).toMatchObject([
        { versionId: expect.not.stringMatching(versionId), isLatest: true, isDeleteMarker: true },
        { versionId, isLatest: false, isDeleteMarker: false },
      ]);
    },
  },
  {
    name: 'delete a version',
    operations: ['deleteVersion'],
    verifies: 'that only this version is removed, without a delete marker',
    async run({ operations, settings, observer, bucket, advanceClock }) {
      const key = `removed/${KEY}`;
      const kept = await observer.put(bucket, key, Buffer.from('kept'));
      advanceClock();
      const removed = await observer.put(bucket, key, Buffer.from('removed'));
      advanceClock();
      await observer.put(bucket, key, Buffer.from('newest'));
      const versions = await observer.listVersions(bucket, key);
      const lastModified = versions.find(({ versionId }) => versionId === removed)?.lastModified ?? '';
      await operations.deleteVersion(settings, { bucket, key, versionId: removed, lastModified });
      expect(await observer.listVersions(bucket, key)).toEqual(
        versions.filter(({ versionId }) => versionId !== removed),
      );
      expect((await observer.get(bucket, key, kept)).text).toBe('kept');
    },
  },
  {
    name: 'presigned GET',
    operations: ['presignGet'],
    verifies: 'bytes for a request without other credentials',
    async run({ client, operations, settings, observer, bucket }) {
      await observer.put(bucket, KEY, Buffer.from('signed'));
      const url = new URL(await operations.presignGet(settings, { bucket, key: KEY }));
      const send = createRawClient(url.origin, { account: 'anonymous' });
      const response = await send('GET', url.pathname + url.search);
      if (client.signsUrlsWithVersion2 && settings.region === 'eu-central-1') {
        // Regions since 2014 support Signature Version 4 alone (S3 User Guide, "Authenticating Requests (AWS Signature
        // Version 2)"; error InvalidRequest in S3 API Reference, "Error responses").
        expect(response.status).toBe(400);
        expect(response.text).toContain('<Code>InvalidRequest</Code>');
      } else expect(response, response.text).toMatchObject({ status: 200, text: 'signed' });
    },
  },
  {
    name: 'presigned PUT',
    operations: ['presignPut'],
    verifies: 'the stored bytes of a request without other credentials',
    async run({ operations, settings, observer, bucket }) {
      const key = `presigned/${KEY}`;
      const url = new URL(await operations.presignPut(settings, { bucket, key }));
      const send = createRawClient(url.origin, { account: 'anonymous' });
      const response = await send('PUT', url.pathname + url.search, { body: 'signed' });
      expect(response, response.text).toMatchObject({ status: 200 });
      expect((await observer.get(bucket, key)).text).toBe('signed');
    },
  },
  {
    name: 'virtual-hosted addressing',
    operations: ['put', 'get'],
    verifies: 'bytes written and read at `bucket.localhost`',
    async run({ operations, settings, observer, proxy, bucket, files, newFile }) {
      const { port } = new URL(settings.endpoint);
      const virtual = { region: settings.region, endpoint: `http://localhost:${port}`, proxy: proxy.url };
      const key = `virtual/${KEY}`;
      const bytes = await readFile(files.small);
      proxy.hosts.length = 0;
      await operations.put(virtual, { bucket, key, file: files.small });
      expect(sha256((await observer.get(bucket, key)).body)).toBe(sha256(bytes));
      const file = newFile();
      await operations.get(virtual, { bucket, key, file });
      expect(sha256(await readFile(file))).toBe(sha256(bytes));
      expect(new Set(proxy.hosts)).toEqual(new Set([`${bucket}.localhost:${port}`]));
    },
  },
];

/** Returns the operations that a check needs and the client does not have. */
export const missingOperations = (check: Check, { without }: Client): OperationName[] =>
  check.operations.filter((operation) => without[operation] !== undefined);

/** S3 accepts key id, ARN and alias (S3 API Reference, "PutObject"): an alias in us-east-1, a key id elsewhere. */
const keyIdOf = ({ region }: Settings, { arn, alias }: Context['kmsKey']): string =>
  region === 'us-east-1' ? alias : (arn.split('/').at(-1) ?? '');

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const statusesOf = (log: RequestLog, operation: string): (number | undefined)[] =>
  log.entries.filter((entry) => entry.operation === operation).map(({ status }) => status);
