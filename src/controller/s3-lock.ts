import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import * as z from 'zod';
import type { LeaseRecord, LeaseStore } from './elector.ts';

const RECORD = z.object({
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
export function s3Lock(client: S3Client, { bucket, key }: { bucket: string; key: string }): LeaseStore {
  const name = `s3://${bucket}/${key}`;
  const failed = (what: 'read' | 'written', error: unknown) =>
    new Error(`the lock ${name} cannot be ${what}: ${whyOf(error as Error)}`, { cause: error });
  const put = async (record: LeaseRecord, condition: { IfNoneMatch: string } | { IfMatch: string }) => {
    try {
      const Body = JSON.stringify(record);
      const ContentType = 'application/json';
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body, ContentType, ...condition }));
      return true;
    } catch (error) {
      if (LOST.has(statusOf(error))) return false;
      throw failed('written', error);
    }
  };
  return {
    name,
    async read() {
      try {
        const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        const record = RECORD.parse(JSON.parse((await answer.Body?.transformToString()) ?? ''));
        return { record, version: answer.ETag ?? '' };
      } catch (error) {
        if ((error as Error).name === 'NoSuchKey') return undefined;
        throw failed('read', error);
      }
    },
    create: (record) => put(record, { IfNoneMatch: '*' }),
    update: (record, version) => put(record, { IfMatch: version }),
  };
}

/** Milliseconds until an attempt is given up, so that there is time for others before a lease must have been renewed. */
const TIMEOUT_MS = 5_000;

/**
 * Locks with the ambient credentials: one at the place itself, others beside it. An endpoint of one's own may have no
 * wildcard host names.
 */
export function openS3Lock(
  { bucket, key }: { bucket: string; key: string },
  hasOwnEndpoint: boolean,
  timeoutMs = TIMEOUT_MS,
): (name: string) => LeaseStore {
  const client = new S3Client({
    maxAttempts: 1,
    forcePathStyle: hasOwnEndpoint,
    // The SDK's own default is to wait for ever, and who waits for ever never leads again.
    requestHandler: {
      connectionTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      socketTimeout: timeoutMs,
      throwOnRequestTimeout: true,
    },
  });
  return (name) => s3Lock(client, { bucket, key: name === 'replikey' ? key : `${key}-${name}` });
}

/** Somebody else wrote it, writes it at this moment, or took it away. */
const LOST = new Set([404, 409, 412]);

const whyOf = (error: Error): string =>
  error.name === 'TimeoutError' ? 'there was no answer in time' : `${error.name}: ${error.message}`;

const statusOf = (error: unknown): number =>
  (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
