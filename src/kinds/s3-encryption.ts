import {
  GetBucketEncryptionCommand,
  PutBucketEncryptionCommand,
  type ServerSideEncryption,
  type ServerSideEncryptionRule,
} from '@aws-sdk/client-s3';
import { rejectDroppedElements, requireField } from '../aws/response.ts';
import { bucketResourceId, keyResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Change, Kind } from '../core/kind.ts';
import { isRef, ref } from '../core/ref.ts';
import type { Aws, Id, Location, Ref, Risk } from '../core/resource.ts';
import { selectsEncryptedObjects, sourceKeyArns } from '../policy/required-statements.ts';
import type { BucketReplication } from '../spec/types.ts';
import { partitionOfRegion, regionOfArn } from '../util/arn.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { bucketTransientErrors, ignoreErrors, keyArnOrRef } from './helpers.ts';
import { describeKey } from './kms-key.ts';
import { bucketScope } from './scopes.ts';

/** Default encryption of new objects. Other settings of the same document are foreign. */
export interface S3Encryption {
  bucket: string;
  sseAlgorithm: string;
  kmsMasterKeyId?: string | Ref;
  bucketKeyEnabled: boolean;
}

/** More input for `check`. */
interface DefaultEncryptionContext {
  /** ARN of the bucket; a reference if the bucket does not exist yet. */
  bucket: string | Ref;
  /** Id of the replication configuration, if the bucket is a source. */
  replication: Id[];
  decryptableKeys: (string | Ref)[][];
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
      context: {
        bucket: ref(bucketResourceId('s3.bucket', pair[side].bucket)),
        replication: relatedPairs.some(({ source }) => source.bucket === pair[side].bucket)
          ? [bucketResourceId('s3.replication', pair[side].bucket)]
          : [],
        decryptableKeys: decryptableKeys(pair[side].bucket, relatedPairs),
      } satisfies DefaultEncryptionContext,
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
    const resolved = await Promise.all(Rules.map((rule) => withKeyOfAlias(aws, location, rule)));
    return Rules.length === 0 ? undefined : { Rules: resolved, owner };
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

  check(change) {
    const { bucket, replication } = change.resource.context as DefaultEncryptionContext;
    // The bucket is new: it contains no object, and it has no users and no rules.
    if (!change.current && isRef(bucket)) return {};
    return { risks: risksOfEncryption(change), follows: endsKms(change) ? undefined : replication };
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

/** Returns a rule with the key that an alias names, which may be the declared key. An unreadable alias stays. */
async function withKeyOfAlias(
  aws: Aws,
  location: Location,
  rule: ServerSideEncryptionRule,
): Promise<ServerSideEncryptionRule> {
  const { ApplyServerSideEncryptionByDefault: byDefault } = rule;
  const name = byDefault?.KMSMasterKeyID;
  if (byDefault === undefined || name === undefined || !/(^|:)alias\//.test(name)) return rule;
  const region = name.startsWith('arn:') ? regionOfArn(name) : location.region;
  const key = await ignoreErrors(describeKey(aws, { ...location, region }, name), 'AccessDeniedException');
  if (key?.Arn === undefined) return rule;
  return { ...rule, ApplyServerSideEncryptionByDefault: { ...byDefault, KMSMasterKeyID: key.Arn } };
}

type EncryptionChange = Change<S3Encryption, EncryptionDoc, Partial<ServerSideEncryptionRule>>;

/**
 * Returns whether new objects are no longer encrypted with KMS. Every rule selects objects with SSE-S3, so the objects
 * that are written between this change and a change of the rules are selected by the rules before it and after it. In
 * every other change the rules come first: the new rules have the permissions for objects of the old encryption, but the
 * rules in effect may not select objects of the new one. So one order is right for all rules of the bucket.
 */
const endsKms = ({ current, desired }: EncryptionChange): boolean =>
  desired.sseAlgorithm === ALGORITHMS['SSE-S3'] && current?.spec.sseAlgorithm !== ALGORITHMS['SSE-S3'];

/** Returns the risk of a change of an existing bucket: of its algorithm, or of its key. */
function risksOfEncryption({ resource, current, desired }: EncryptionChange): Risk[] {
  if (!current) return [];
  const { sseAlgorithm, kmsMasterKeyId } = current.spec;
  const isSameKey = kmsMasterKeyId === desired.kmsMasterKeyId;
  if (sseAlgorithm === desired.sseAlgorithm && isSameKey) return [];
  const pendingObjects = pendingObjectsRisk(resource.context as DefaultEncryptionContext, kmsMasterKeyId);
  // A key of the customer instead of the key that AWS manages takes permissions from readers, as another algorithm does.
  if (sseAlgorithm === desired.sseAlgorithm && kmsMasterKeyId !== undefined)
    return pendingObjects === undefined || isSameKey
      ? []
      : [{ id: 'change-default-key', message: `new objects in ${desired.bucket} ${pendingObjects}` }];
  const message = `new objects in ${desired.bucket} would be encrypted with ${nameOfEncryption(desired)} instead of ${nameOfEncryption(current.spec)}, ${consequenceOf(desired, isSameKey)}`;
  return [
    {
      id: 'change-default-encryption',
      message: pendingObjects === undefined || isSameKey ? message : `${message}; they ${pendingObjects}`,
      ...(isInitial(current.spec) ? { isInitial: true } : {}),
    },
  ];
}

/** Returns whether a default encryption is the one that S3 gives to a new bucket. */
const isInitial = ({ sseAlgorithm, bucketKeyEnabled }: S3Encryption): boolean =>
  sseAlgorithm === ALGORITHMS['SSE-S3'] && !bucketKeyEnabled;

/** Returns who is affected by another algorithm. */
function consequenceOf({ sseAlgorithm }: S3Encryption, isSameKey: boolean): string {
  if (sseAlgorithm === ALGORITHMS['SSE-S3']) return 'so that readers need no KMS permission';
  return isSameKey
    ? 'so that clients and policies that require the other algorithm fail'
    : 'so that writers without kms:GenerateDataKey and readers without kms:Decrypt for this key fail, for example in other accounts';
}

const nameOfEncryption = ({ sseAlgorithm, kmsMasterKeyId }: S3Encryption): string => {
  if (sseAlgorithm === ALGORITHMS['SSE-S3']) return 'SSE-S3';
  const name = sseAlgorithm === ALGORITHMS['DSSE-KMS'] ? 'DSSE-KMS' : 'SSE-KMS';
  if (kmsMasterKeyId === undefined) return `${name} under the AWS managed key`;
  return `${name} under ${isRef(kmsMasterKeyId) ? 'a new key' : kmsMasterKeyId}`;
};

/** Returns why objects in flight may fail after a change of the key; undefined if the role may use the old key. */
function pendingObjectsRisk(
  { decryptableKeys }: DefaultEncryptionContext,
  keyBefore: string | Ref | undefined,
): string | undefined {
  if (keyBefore === undefined || decryptableKeys.every((keys) => keys.includes(keyBefore))) return undefined;
  return `are encrypted under ${String(keyBefore)} now, which the spec does not declare: pending objects, and objects of S3 Batch Replication, fail unless the role may use this key; declare it in source.key.replaces`;
}

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
export const toKeyArn = (key: string, { region }: Location, owner: string): string =>
  BARE_KEY_ID.test(key) ? `arn:${partitionOfRegion(region)}:kms:${region}:${owner}:key/${key}` : key;
