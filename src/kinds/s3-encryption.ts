import {
  GetBucketEncryptionCommand,
  PutBucketEncryptionCommand,
  type ServerSideEncryption,
  type ServerSideEncryptionRule,
} from '@aws-sdk/client-s3';
import { defined } from '../canonical.ts';
import { bucketId, keyId, place, position } from '../core/names.ts';
import { keyArn, selectsEncrypted, sourceKeyArns } from '../core/permissions.ts';
import type { Kind, Ref, Resource, Risk } from '../core/resource.ts';
import type { BucketReplication } from '../spec/types.ts';
import { orAbsent } from './absent.ts';
import { bucketSettles } from './bucket-settles.ts';
import { bucketTrail } from './trail.ts';

/** Default encryption of new objects. What else S3 keeps in the same document is carried through. */
export interface S3Encryption {
  bucket: string;
  sseAlgorithm: string;
  kmsMasterKeyId?: string | Ref;
  bucketKeyEnabled: boolean;
}

const ALGORITHMS = { 'SSE-KMS': 'aws:kms', 'DSSE-KMS': 'aws:kms:dsse', 'SSE-S3': 'AES256' } as const;

export const s3Encryption: Kind<S3Encryption> = {
  name: 's3.encryption',
  actions: { read: ['s3:GetEncryptionConfiguration'], write: ['s3:PutEncryptionConfiguration'] },

  want: ({ pair, pairs }) =>
    (['source', 'destination'] as const).map((side) => ({
      id: bucketId('s3.encryption', pair[side].bucket),
      kind: 's3.encryption',
      at: place(pair[side]),
      spec: {
        bucket: pair[side].bucket,
        sseAlgorithm: ALGORITHMS[pair[side].defaultEncryption],
        ...(pair[side].defaultEncryption === 'SSE-S3' ? {} : { kmsMasterKeyId: keyArn(pair[side]) }),
        bucketKeyEnabled: pair[side].bucketKey,
      },
      beside: usableKeys(pair[side].bucket, pairs),
      after: [bucketId('s3.bucket', pair[side].bucket), keyId(pair[side])],
      pairs: [pair.name],
      from: position(pair, `spec.${side}.key`),
    })),

  canonical: (spec) => spec,

  async read(aws, { at, spec }) {
    const owner = await aws.accountId(at.account);
    const answer = await orAbsent(
      aws.send(at, new GetBucketEncryptionCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner })),
      'NoSuchBucket',
      'ServerSideEncryptionConfigurationNotFoundError',
    );
    const [rule] = answer?.ServerSideEncryptionConfiguration?.Rules ?? [];
    if (!rule) return undefined;
    const { ApplyServerSideEncryptionByDefault: byDefault, BucketKeyEnabled, ...rest } = rule;
    const key = byDefault?.KMSMasterKeyID;
    return {
      spec: {
        bucket: spec.bucket,
        sseAlgorithm: byDefault?.SSEAlgorithm ?? 'AES256',
        ...(key === undefined ? {} : { kmsMasterKeyId: asArn(key, at.region, owner, spec.kmsMasterKeyId) }),
        bucketKeyEnabled: BucketKeyEnabled ?? false,
      },
      attrs: {},
      rest,
    };
  },

  calls: () => ['s3:PutBucketEncryption'],

  async write(aws, { at, spec }, was) {
    // A bucket that this run made has a default since, with the BlockedEncryptionTypes that S3 puts on new buckets
    // since April 2026: a put without them could lose them.
    const before = was ?? (await s3Encryption.read(aws, { at, spec } as Resource<S3Encryption>));
    const rule: ServerSideEncryptionRule = {
      ...(before?.rest as Partial<ServerSideEncryptionRule> | undefined),
      ApplyServerSideEncryptionByDefault: defined({
        SSEAlgorithm: spec.sseAlgorithm as ServerSideEncryption,
        KMSMasterKeyID: spec.kmsMasterKeyId as string | undefined,
      }),
      BucketKeyEnabled: spec.bucketKeyEnabled,
    };
    await aws.send(
      at,
      new PutBucketEncryptionCommand({
        Bucket: spec.bucket,
        ExpectedBucketOwner: await aws.accountId(at.account),
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

  risks(desired, seen, usable) {
    const before = seen.spec.kmsMasterKeyId;
    if (seen.spec.sseAlgorithm === 'AES256' || before === undefined || before === desired.kmsMasterKeyId)
      return [];
    const now = `new objects in ${desired.bucket} are encrypted under ${String(before)} now`;
    const risk = (message: string): Risk => ({ id: 'change-default-key', message });
    const stays = (usable as ReturnType<typeof usableKeys>).every((keys) => keys.includes(before));
    return [
      ...(desired.kmsMasterKeyId === undefined
        ? [risk(`${now}, and would be by S3 alone: whoever may read them needs no key then`)]
        : []),
      ...(stays
        ? []
        : [
            risk(
              `${now}, a key that is not declared: those still to be replicated, also by S3 Batch Replication, fail unless the role may use it; sourceKeys declares it`,
            ),
          ]),
    ];
  },

  facts: ({ bucket, sseAlgorithm, kmsMasterKeyId, bucketKeyEnabled }, { at }) => ({
    buckets: {
      [bucket]: {
        region: at.region,
        encryption: {
          Rules: [
            {
              ApplyServerSideEncryptionByDefault: defined({
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

  settles: bucketSettles,

  trail: bucketTrail({ '': ['PutBucketEncryption', 'DeleteBucketEncryption'] }),
};

/**
 * For each spec that replicates encrypted objects of a bucket, the keys under which its role may decrypt them. Nothing
 * of a bucket that is a destination alone: replicas lie under the key of their rule.
 */
const usableKeys = (bucket: string, pairs: readonly BucketReplication[]): (string | Ref)[][] =>
  pairs.filter((pair) => pair.source.bucket === bucket && selectsEncrypted(pair)).map(sourceKeyArns);

/** S3 gives the key back as it was spelled; a bare id means a key of this account and Region. */
function asArn(key: string, region: string, owner: string, desired: string | Ref | undefined): string {
  if (!/^[0-9a-f-]{36}$|^mrk-[0-9a-f]{32}$/.test(key)) return key;
  const partition = typeof desired === 'string' ? desired.split(':')[1] : 'aws';
  return `arn:${partition}:kms:${region}:${owner}:key/${key}`;
}
