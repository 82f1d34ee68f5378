import type { AuditEvents, Kind } from '../core/kind.ts';
import { bucketAuditEvents, keyAuditEvents, roleAuditEvents } from './cloudtrail-events.ts';
import { cloudwatchAlarm } from './cloudwatch-alarm.ts';
import { iamRole } from './iam-role.ts';
import { iamRolePolicy } from './iam-role-policy.ts';
import { fetchKeyIdentifiers, kmsKey } from './kms-key.ts';
import { kmsKeyPolicy } from './kms-key-policy.ts';
import { s3Backfill } from './s3-backfill.ts';
import { s3Bucket } from './s3-bucket.ts';
import { s3BucketPolicy } from './s3-bucket-policy.ts';
import { s3Encryption } from './s3-encryption.ts';
import { s3Notification } from './s3-notification.ts';
import { s3ObjectLock } from './s3-object-lock.ts';
import { s3Ownership } from './s3-ownership.ts';
import { s3PublicAccess } from './s3-public-access.ts';
import { s3Reencryption } from './s3-reencryption.ts';
import { s3Replication } from './s3-replication.ts';
import { s3Versioning } from './s3-versioning.ts';
import { snsTopicPolicy } from './sns-topic-policy.ts';
import { sqsQueuePolicy } from './sqs-queue-policy.ts';

/** Every kind. A new kind is a file and a line here; no other code distinguishes kinds by name. */
const ALL_KINDS = [
  kmsKey,
  kmsKeyPolicy,
  iamRole,
  iamRolePolicy,
  s3Bucket,
  s3Versioning,
  s3Encryption,
  s3PublicAccess,
  s3Ownership,
  s3ObjectLock,
  s3BucketPolicy,
  s3Replication,
  sqsQueuePolicy,
  snsTopicPolicy,
  s3Notification,
  cloudwatchAlarm,
  s3Backfill,
  s3Reencryption,
] as unknown as readonly Kind[];

export const kinds: ReadonlyMap<string, Kind> = new Map(ALL_KINDS.map((kind) => [kind.name, kind]));

/** How CloudTrail events refer to a bucket, role or key, whichever document of it they change. */
export const auditSubjects: Record<'bucket' | 'role' | 'key', Omit<AuditEvents, 'eventNamesByPath'>> = {
  bucket: bucketAuditEvents({}),
  role: roleAuditEvents({}),
  key: keyAuditEvents({}, fetchKeyIdentifiers),
};
