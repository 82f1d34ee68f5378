import {
  GetBucketEncryptionCommand,
  PutBucketEncryptionCommand,
  type ServerSideEncryption,
  type ServerSideEncryptionRule,
} from '@aws-sdk/client-s3';
import { rejectDroppedElements, requireField } from '../aws/response.ts';
import { bucketResourceId, keyResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import type { Location, Ref, Risk } from '../core/resource.ts';
import { selectsEncryptedObjects, sourceKeyArns } from '../policy/required-statements.ts';
import type { BucketReplication } from '../spec/types.ts';
import { partitionOfRegion } from '../util/arn.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { bucketTransientErrors, ignoreErrors, keyArnOrRef } from './helpers.ts';
import { bucketScope } from './scopes.ts';

/** Default encryption of new objects. Other settings of the same document are foreign. */
export interface S3Encryption {
  bucket: string;
  sseAlgorithm: string;
  kmsMasterKeyId?: string | Ref;
  bucketKeyEnabled: boolean;
}

export interface EncryptionDoc {
  Rules: ServerSideEncryptionRule[];
  /** Account of the bucket, twelve digits; absent in a rendered document. */
  owner?: string;
}

const ELEMENTS: ReadonlySet<string> = new Set([
  'Rule',
  'ApplyServerSideEncryptionByDefault',
  'SSEAlgorithm',
  'KMSMasterKeyID',
  'BucketKeyEnabled',
]);

const ALGORITHMS = { 'SSE-KMS': 'aws:kms', 'DSSE-KMS': 'aws:kms:dsse', 'SSE-S3': 'AES256' } as const;

export const s3Encryption: Kind<S3Encryption, EncryptionDoc, Partial<ServerSideEncryptionRule>> = {
  name: 's3.encryption',
  scope: {
    ...bucketScope,
    facts: ({ Rules }) => ({
      encryption: {
        Rules: Rules.map(({ ApplyServerSideEncryptionByDefault, BucketKeyEnabled }) =>
          omitUndefined({ ApplyServerSideEncryptionByDefault, BucketKeyEnabled }),
        ),
      },
    }),
  },
  permissions: { read: ['s3:GetEncryptionConfiguration'], write: ['s3:PutEncryptionConfiguration'] },

  desired: ({ pair, relatedPairs }) =>
    (['source', 'destination'] as const).map((side) => ({
      id: bucketResourceId('s3.encryption', pair[side].bucket),
      kind: 's3.encryption',
      name: pair[side].bucket,
      location: locationOfSide(pair[side]),
      spec: {
        bucket: pair[side].bucket,
        sseAlgorithm: ALGORITHMS[pair[side].defaultEncryption],
        ...(pair[side].defaultEncryption === 'SSE-S3' ? {} : { kmsMasterKeyId: keyArnOrRef(pair[side]) }),
        bucketKeyEnabled: pair[side].bucketKey,
      },
      context: decryptableKeys(pair[side].bucket, relatedPairs),
      after: [bucketResourceId('s3.bucket', pair[side].bucket), keyResourceId('kms.key', pair[side])],
      declaredBy: [pair.name],
      position: positionOfPath(pair, `spec.${side}.key`),
    })),

  async fetch(aws, location, name) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(location, new GetBucketEncryptionCommand({ Bucket: name, ExpectedBucketOwner: owner })),
      'NoSuchBucket',
      'ServerSideEncryptionConfigurationNotFoundError',
    );
    if (!response) return undefined;
    const { Rules = [] } = requireField(response, 'ServerSideEncryptionConfiguration');
    rejectDroppedElements(Rules, response, ELEMENTS);
    return Rules.length === 0 ? undefined : { Rules, owner };
  },

  parse({ Rules: [rule = {}], owner = '' }, { name, location }) {
    const { ApplyServerSideEncryptionByDefault: byDefault, BucketKeyEnabled, ...foreign } = rule;
    const key = byDefault?.KMSMasterKeyID;
    return {
      spec: {
        bucket: name,
        sseAlgorithm: byDefault?.SSEAlgorithm ?? 'AES256',
        ...(key === undefined ? {} : { kmsMasterKeyId: toKeyArn(key, location, owner) }),
        bucketKeyEnabled: BucketKeyEnabled ?? false,
      },
      attrs: {},
      foreign,
    };
  },

  normalize: (spec) => spec,

  render: ({ spec }, current) => ({
    Rules: [
      {
        ...current?.foreign,
        ApplyServerSideEncryptionByDefault: omitUndefined({
          SSEAlgorithm: spec.sseAlgorithm as ServerSideEncryption,
          KMSMasterKeyID: spec.kmsMasterKeyId as string | undefined,
        }),
        BucketKeyEnabled: spec.bucketKeyEnabled,
      },
    ],
  }),

  operations: () => [{ call: 's3:PutBucketEncryption' }],

  async send(aws, { resource: { name, location }, doc }) {
    await aws.send(
      location,
      new PutBucketEncryptionCommand({
        Bucket: name,
        ExpectedBucketOwner: await aws.accountId(location.account),
        ServerSideEncryptionConfiguration: { Rules: doc?.Rules },
      }),
    );
  },

  response: {
    replacesWholeDocument: true,
    // S3 writes the default of a new bucket, since April 2026 with BlockedEncryptionTypes.
    initialContent: true,
    elements: ELEMENTS,
  },

  check({ resource, current, desired }) {
    const keyBefore = current?.spec.kmsMasterKeyId;
    if (!current || current.spec.sseAlgorithm === 'AES256') return {};
    if (keyBefore === undefined || keyBefore === desired.kmsMasterKeyId) return {};
    const objects = `new objects in ${desired.bucket}`;
    const risk = (message: string): Risk => ({ id: 'change-default-key', message });
    const isStillDecryptable = (resource.context as ReturnType<typeof decryptableKeys>).every((keys) =>
      keys.includes(keyBefore),
    );
    return {
      risks: [
        ...(desired.kmsMasterKeyId === undefined
          ? [
              risk(
                `${objects} would be encrypted with SSE-S3 instead of ${String(keyBefore)}, so that readers need no KMS permission`,
              ),
            ]
          : []),
        ...(isStillDecryptable
          ? []
          : [
              risk(
                `${objects} are encrypted under ${String(keyBefore)} now, which the spec does not declare: pending objects, and objects of S3 Batch Replication, fail unless the role may use this key; declare it in sourceKeys`,
              ),
            ]),
      ],
    };
  },

  explain(path, { bucketKeyEnabled, sseAlgorithm }) {
    if (path === '/bucketKeyEnabled') {
      return `the spec turns the S3 Bucket Key ${bucketKeyEnabled ? 'on' : 'off'} (it determines the encryption context of new objects)`;
    }
    return sseAlgorithm === 'AES256'
      ? 'S3 encrypts new objects with SSE-S3 by default'
      : 'S3 encrypts new objects under the declared key by default';
  },

  transientErrors: bucketTransientErrors,

  auditEvents: bucketAuditEvents({ '': ['PutBucketEncryption', 'DeleteBucketEncryption'] }),
};

/**
 * Returns the keys under which the role of each spec may decrypt objects of a bucket, for specs that replicate its
 * encrypted objects. Empty for a bucket that is only a destination: replicas are encrypted under the key of their rule.
 */
const decryptableKeys = (bucket: string, pairs: readonly BucketReplication[]): (string | Ref)[][] =>
  pairs
    .filter((pair) => pair.source.bucket === bucket && selectsEncryptedObjects(pair))
    .map((pair) => sourceKeyArns(pair, keyArnOrRef));

const BARE_KEY_ID = /^[0-9a-f-]{36}$|^mrk-[0-9a-f]{32}$/;

/**
 * Returns the ARN of a key. S3 returns the key as it was written; a bare id means a key of the bucket's account and
 * Region.
 */
const toKeyArn = (key: string, { region }: Location, owner: string): string =>
  BARE_KEY_ID.test(key) ? `arn:${partitionOfRegion(region)}:kms:${region}:${owner}:key/${key}` : key;
