import {
  GetBucketEncryptionCommand,
  PutBucketEncryptionCommand,
  type ServerSideEncryption,
  type ServerSideEncryptionRule,
} from '@aws-sdk/client-s3';
import { bucketResourceId, keyResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Kind, Ref, Resource, Risk } from '../core/resource.ts';
import { keyArnOrRef, selectsEncryptedObjects, sourceKeyArns } from '../policy/replication-policies.ts';
import type { BucketReplication } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { bucketTransientErrors } from './transient-errors.ts';

/** Default encryption of new objects. What else S3 keeps in the same document is carried through. */
export interface S3Encryption {
  bucket: string;
  sseAlgorithm: string;
  kmsMasterKeyId?: string | Ref;
  bucketKeyEnabled: boolean;
}

const SSE_ALGORITHMS = { 'SSE-KMS': 'aws:kms', 'DSSE-KMS': 'aws:kms:dsse', 'SSE-S3': 'AES256' } as const;

export const s3Encryption: Kind<S3Encryption> = {
  name: 's3.encryption',
  permissions: { read: ['s3:GetEncryptionConfiguration'], write: ['s3:PutEncryptionConfiguration'] },

  desired: ({ pair, relatedPairs: pairs }) =>
    (['source', 'destination'] as const).map((side) => ({
      id: bucketResourceId('s3.encryption', pair[side].bucket),
      kind: 's3.encryption',
      location: locationOfSide(pair[side]),
      spec: {
        bucket: pair[side].bucket,
        sseAlgorithm: SSE_ALGORITHMS[pair[side].defaultEncryption],
        ...(pair[side].defaultEncryption === 'SSE-S3' ? {} : { kmsMasterKeyId: keyArnOrRef(pair[side]) }),
        bucketKeyEnabled: pair[side].bucketKey,
      },
      context: usableKeysOf(pair[side].bucket, pairs),
      after: [bucketResourceId('s3.bucket', pair[side].bucket), keyResourceId(pair[side])],
      declaredBy: [pair.name],
      position: positionOfPath(pair, `spec.${side}.key`),
    })),

  normalize: (spec) => spec,

  async read(aws, { location, spec }) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(location, new GetBucketEncryptionCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner })),
      'NoSuchBucket',
      'ServerSideEncryptionConfigurationNotFoundError',
    );
    const [rule] = response?.ServerSideEncryptionConfiguration?.Rules ?? [];
    if (!rule) return undefined;
    const { ApplyServerSideEncryptionByDefault: byDefault, BucketKeyEnabled, ...foreign } = rule;
    const key = byDefault?.KMSMasterKeyID;
    return {
      spec: {
        bucket: spec.bucket,
        sseAlgorithm: byDefault?.SSEAlgorithm ?? 'AES256',
        ...(key === undefined
          ? {}
          : { kmsMasterKeyId: normalizeKeyArn(key, location.region, owner, spec.kmsMasterKeyId) }),
        bucketKeyEnabled: BucketKeyEnabled ?? false,
      },
      attrs: {},
      foreign,
    };
  },

  operations: () => ['s3:PutBucketEncryption'],

  async write(aws, { location, spec }, current) {
    // A bucket that this run made has a default since, with the BlockedEncryptionTypes that S3 puts on new buckets
    // since April 2026: a put without them could lose them.
    const latest = current ?? (await s3Encryption.read(aws, { location, spec } as Resource<S3Encryption>));
    const rule: ServerSideEncryptionRule = {
      ...(latest?.foreign as Partial<ServerSideEncryptionRule> | undefined),
      ApplyServerSideEncryptionByDefault: omitUndefined({
        SSEAlgorithm: spec.sseAlgorithm as ServerSideEncryption,
        KMSMasterKeyID: spec.kmsMasterKeyId as string | undefined,
      }),
      BucketKeyEnabled: spec.bucketKeyEnabled,
    };
    await aws.send(
      location,
      new PutBucketEncryptionCommand({
        Bucket: spec.bucket,
        ExpectedBucketOwner: await aws.accountId(location.account),
        ServerSideEncryptionConfiguration: { Rules: [rule] },
      }),
    );
  },

  explain(path, { bucketKeyEnabled, sseAlgorithm }) {
    if (path === '/bucketKeyEnabled') {
      return `the S3 Bucket Key is declared ${bucketKeyEnabled ? 'on' : 'off'} (it decides the encryption context of new objects)`;
    }
    return sseAlgorithm === 'AES256'
      ? 'new objects are encrypted by S3 alone by default'
      : 'new objects are encrypted under the declared key by default';
  },

  risks(desired, current, usableKeySets) {
    const currentKey = current.spec.kmsMasterKeyId;
    if (
      current.spec.sseAlgorithm === 'AES256' ||
      currentKey === undefined ||
      currentKey === desired.kmsMasterKeyId
    )
      return [];
    const currentState = `new objects in ${desired.bucket} are encrypted under ${String(currentKey)} now`;
    const risk = (message: string): Risk => ({ id: 'change-default-key', message });
    const remainsUsable = (usableKeySets as ReturnType<typeof usableKeysOf>).every((keys) =>
      keys.includes(currentKey),
    );
    return [
      ...(desired.kmsMasterKeyId === undefined
        ? [risk(`${currentState}, and would be by S3 alone: whoever may read them needs no key then`)]
        : []),
      ...(remainsUsable
        ? []
        : [
            risk(
              `${currentState}, a key that is not declared: those still to be replicated, also by S3 Batch Replication, fail unless the role may use it; sourceKeys declares it`,
            ),
          ]),
    ];
  },

  facts: ({ bucket, sseAlgorithm, kmsMasterKeyId, bucketKeyEnabled }, { location }) => ({
    buckets: {
      [bucket]: {
        region: location.region,
        encryption: {
          Rules: [
            {
              ApplyServerSideEncryptionByDefault: omitUndefined({
                SSEAlgorithm: sseAlgorithm,
                KMSMasterKeyID: kmsMasterKeyId as string | undefined,
              }),
              BucketKeyEnabled: bucketKeyEnabled,
            },
          ],
        },
      },
    },
  }),

  transientErrors: bucketTransientErrors,

  auditEvents: bucketAuditEvents({ '': ['PutBucketEncryption', 'DeleteBucketEncryption'] }),
};

/**
 * For each spec that replicates encrypted objects of a bucket, the keys under which its role may decrypt them. Nothing
 * of a bucket that is a destination alone: replicas lie under the key of their rule.
 */
const usableKeysOf = (bucket: string, pairs: readonly BucketReplication[]): (string | Ref)[][] =>
  pairs.filter((pair) => pair.source.bucket === bucket && selectsEncryptedObjects(pair)).map(sourceKeyArns);

/** S3 gives the key back as it was spelled; a bare id means a key of this account and Region. */
function normalizeKeyArn(
  keyIdOrArn: string,
  region: string,
  owner: string,
  desired: string | Ref | undefined,
): string {
  if (!/^[0-9a-f-]{36}$|^mrk-[0-9a-f]{32}$/.test(keyIdOrArn)) return keyIdOrArn;
  const partition = typeof desired === 'string' ? desired.split(':')[1] : 'aws';
  return `arn:${partition}:kms:${region}:${owner}:key/${keyIdOrArn}`;
}
