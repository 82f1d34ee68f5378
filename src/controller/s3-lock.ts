import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import * as z from 'zod';
import type { LeaseRecord, LeaseStore } from './leader-election.ts';

const LEASE_RECORD_SCHEMA = z.object({
  holder: z.string(),
  durationSeconds: z.number(),
  acquired: z.string(),
  renewed: z.string(),
  transitions: z.number(),
});

/**
 * A lease outside Kubernetes: an object that is written only if it is as it was read. S3 has compared on writes since
 * 2024 (`If-None-Match`, and `If-Match`); its answers are strongly consistent.
 */
export function createS3Lock(client: S3Client, { bucket, key }: { bucket: string; key: string }): LeaseStore {
  const name = `s3://${bucket}/${key}`;
  const lockError = (action: 'read' | 'written', error: unknown) =>
    new Error(`the lock ${name} cannot be ${action}: ${lockErrorReason(error as Error)}`, { cause: error });
  const putRecord = async (record: LeaseRecord, condition: { IfNoneMatch: string } | { IfMatch: string }) => {
    try {
      const Body = JSON.stringify(record);
      const ContentType = 'application/json';
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body, ContentType, ...condition }));
      return true;
    } catch (error) {
      if (CONFLICT_STATUSES.has(httpStatusOf(error))) return false;
      throw lockError('written', error);
    }
  };
  return {
    name,
    async read() {
      try {
        const response = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        const record = LEASE_RECORD_SCHEMA.parse(
          JSON.parse((await response.Body?.transformToString()) ?? ''),
        );
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

/** Milliseconds until an attempt is given up, so that there is time for others before a lease must have been renewed. */
const LOCK_TIMEOUT_MS = 5_000;

/**
 * Locks with the ambient credentials: one at the place itself, others beside it. An endpoint of one's own may have no
 * wildcard host names.
 */
export function openS3Lock(
  { bucket, key }: { bucket: string; key: string },
  hasCustomEndpoint: boolean,
  timeoutMs = LOCK_TIMEOUT_MS,
): (name: string) => LeaseStore {
  const client = new S3Client({
    maxAttempts: 1,
    forcePathStyle: hasCustomEndpoint,
    // The SDK's own default is to wait for ever, and who waits for ever never leads again.
    requestHandler: {
      connectionTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      socketTimeout: timeoutMs,
      throwOnRequestTimeout: true,
    },
  });
  return (name) => createS3Lock(client, { bucket, key: name === 'replikey' ? key : `${key}-${name}` });
}

/** Somebody else wrote it, writes it at this moment, or took it away. */
const CONFLICT_STATUSES = new Set([404, 409, 412]);

const lockErrorReason = (error: Error): string =>
  error.name === 'TimeoutError' ? 'there was no answer in time' : `${error.name}: ${error.message}`;

const httpStatusOf = (error: unknown): number =>
  (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
