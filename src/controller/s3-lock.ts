import type { Readable } from 'node:stream';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import * as z from 'zod';
import { redactError } from '../aws/errors.ts';
import { boundedBody } from '../aws/response.ts';
import { type Connection, hasCustomEndpoint } from '../aws/sdk-clients.ts';
import type { LeaseRecord, LeaseStore } from './leader-election.ts';

const LEASE_RECORD_SCHEMA = z.object({
  holder: z.string(),
  durationSeconds: z.number(),
  acquired: z.string(),
  renewed: z.string(),
  transitions: z.number(),
});

/**
 * Stores a lease outside Kubernetes: an S3 object with conditional writes. S3 has supported conditional writes since
 * 2024 (`If-None-Match`, and `If-Match`); its reads are strongly consistent.
 */
export function createS3Lock(
  client: S3Client,
  { bucket, key }: { bucket: string; key: string },
  timeoutMs = LOCK_TIMEOUT_MS,
): LeaseStore {
  const name = `s3://${bucket}/${key}`;
  const lockError = (action: 'read' | 'write', error: unknown) =>
    new Error(`cannot ${action} lock ${name}: ${lockErrorReason(redactError(error) as Error)}`, {
      cause: error,
    });
  const putRecord = async (record: LeaseRecord, condition: { IfNoneMatch: string } | { IfMatch: string }) => {
    try {
      const Body = JSON.stringify(record);
      const ContentType = 'application/json';
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body, ContentType, ...condition }));
      return true;
    } catch (error) {
      if (CONFLICT_STATUSES.has(httpStatusOf(error))) return false;
      throw lockError('write', error);
    }
  };
  return {
    name,
    async read() {
      try {
        const response = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        if ((response.ContentLength ?? 0) > MAX_RECORD_BYTES) throw new Error('the object is not a lock');
        const bytes = await boundedBody(timeoutMs)(response.Body as Readable);
        const record = LEASE_RECORD_SCHEMA.parse(JSON.parse(Buffer.from(bytes).toString()));
        return { record, version: response.ETag ?? '' };
      } catch (error) {
        if ((error as Error).name === 'NoSuchKey') return undefined;
        throw lockError('read', error);
      }
    },
    create: (record) => putRecord(record, { IfNoneMatch: '*' }),
    update: (record, version) => putRecord(record, { IfMatch: version }),
  };
}

/** A record has about 200 bytes. Another object under the key of the lock may have any size. */
const MAX_RECORD_BYTES = 4_096;

/**
 * Timeout of an attempt in milliseconds. It leaves time for further attempts before the renewal deadline of a lease.
 */
const LOCK_TIMEOUT_MS = 5_000;

/**
 * Opens locks with the ambient credentials, or with those of a connection, such as an embedded sandbox. The lock
 * `replikey` is at the key itself; other locks append their name to the key. A custom endpoint may have no wildcard host
 * names, so it gets path-style requests.
 *
 * @param connection `fallbackRegion` is the Region of requests if the environment and the profile name none
 */
export function openS3Lock(
  { bucket, key }: { bucket: string; key: string },
  {
    timeoutMs = LOCK_TIMEOUT_MS,
    fallbackRegion = 'us-east-1',
    ...connection
  }: Pick<Connection, 'endpoint' | 'credentials' | 'timeoutMs'> & { fallbackRegion?: string } = {},
): (name: string) => LeaseStore {
  const ambientRegion = new S3Client({}).config.region;
  const client = new S3Client({
    ...connection,
    maxAttempts: 1,
    // The bucket of the lock may be in any Region of the partition.
    region: () => ambientRegion().catch(() => fallbackRegion),
    followRegionRedirects: true,
    ...(hasCustomEndpoint(connection) ? { forcePathStyle: true } : {}),
    // By default the SDK waits without a timeout, and a process that waits without a timeout never leads again.
    requestHandler: {
      connectionTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      socketTimeout: timeoutMs,
      throwOnRequestTimeout: true,
    },
  });
  return (name) =>
    createS3Lock(client, { bucket, key: name === 'replikey' ? key : `${key}-${name}` }, timeoutMs);
}

/** Another process wrote the object, writes it at this moment, or deleted it. */
const CONFLICT_STATUSES = new Set([404, 409, 412]);

const lockErrorReason = (error: Error): string =>
  error.name === 'TimeoutError' ? 'S3 did not respond in time' : `${error.name}: ${error.message}`;

const httpStatusOf = (error: unknown): number =>
  (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
