import type { Ref } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import type { BucketReplication, Rule, Side } from '../spec/types.ts';
import { bucketArn } from '../util/arn.ts';
import { toSortedSet } from '../util/canonical-json.ts';
import { type Statements, toSidName } from './statements.ts';

/**
 * The permissions that replication needs, derived from what the pairs declare: no action that no setting asks for,
 * key ARNs and never aliases, the Region of each side in `kms:ViaService`.
 *
 * The encryption context of an object is decided when it is written: the bucket's ARN with an S3 Bucket Key, the
 * object's ARN without. A request header can override the bucket's default, and a replica keeps the setting of its
 * source, so both forms can occur on both sides and both are allowed; allowing one only is how replication fails
 * silently for the other half of the objects.
 */

/** Who may assume the role: S3, without conditions. Whether S3 sends `aws:SourceArn` here is not documented, and a
 * condition on a key that is not sent would stop every replication. */
export const trustPolicyStatements: Statements = {
  ReplikeyAssumeRole: {
    Effect: 'Allow',
    Principal: { Service: 's3.amazonaws.com' },
    Action: 'sts:AssumeRole',
  },
};

/**
 * What the role may do, for all the pairs that share it. Each spec has statements of its own, named after it: a run that
 * is given some of the specs leaves what the others need as it is.
 */
export function rolePolicyStatements(pairs: readonly BucketReplication[], keyArnOf: KeyArnOf): Statements {
  return Object.assign({}, ...pairs.map((pair) => pairRoleStatements(pair, keyArnOf))) as Statements;
}

/** The ARN of the key of a side, or the reference to it while only the alias is known. */
export type KeyArnOf = (side: Side) => string | Ref;

function pairRoleStatements(pair: BucketReplication, keyArnOf: KeyArnOf): Statements {
  const { bucket, region } = pair.source;
  return {
    [statementSid('SourceBucket', pair)]: {
      Effect: 'Allow',
      // ListBucket: S3 looks a missing object up when it replicates delete markers.
      Action: ['s3:GetReplicationConfiguration', 's3:ListBucket'],
      Resource: bucketArn(bucket, region),
    },
    [statementSid('SourceObjects', pair)]: {
      Effect: 'Allow',
      // GetObjectVersionForReplication, since GetObjectVersion replicates everything but KMS-encrypted objects.
      Action: ['s3:GetObjectVersionAcl', 's3:GetObjectVersionForReplication', 's3:GetObjectVersionTagging'],
      Resource: objectArnPatterns(bucket, region, pair.rules),
    },
    ...roleKeyStatement(pair, 'source', sourceKeyArns(pair, keyArnOf)),
    ...destinationWriteStatements(pair, {}),
    ...roleKeyStatement(pair, 'destination', [keyArnOf(pair.destination)]),
  };
}

/**
 * What the policy of a destination bucket grants the roles of other accounts: across accounts both sides must allow.
 * No action on the bucket itself: delivery needs none, though AWS's own sample grants some.
 */
export function bucketPolicyStatements(
  pairs: readonly BucketReplication[],
  roleArnOf: (pair: BucketReplication) => string | Ref,
): Statements {
  const statements = pairs
    .filter(isCrossAccount)
    .map((pair) => destinationWriteStatements(pair, { Principal: { AWS: toUniqueArns([roleArnOf(pair)]) } }));
  return Object.assign({}, ...statements) as Statements;
}

/** What S3 writes as the role: only what some rule asks for. */
function destinationWriteStatements(
  pair: BucketReplication,
  principal: Pick<Statement, 'Principal'>,
): Statements {
  const { bucket, region } = pair.destination;
  const grants = [
    { subject: 'Objects', action: ['s3:ReplicateObject', 's3:ReplicateTags'], rules: pair.rules },
    {
      subject: 'Deletes',
      action: ['s3:ReplicateDelete'],
      rules: pair.rules.filter((rule) => rule.deleteMarkerReplication),
    },
    {
      subject: 'Owner',
      action: ['s3:ObjectOwnerOverrideToBucketOwner'],
      rules: overridesOwner(pair) ? pair.rules : [],
    },
  ] as const;
  const requiredGrants = grants.filter(({ rules }) => rules.length > 0);
  return Object.fromEntries(
    requiredGrants.map(({ subject, action, rules }) => [
      statementSid(`Destination${subject}`, pair),
      {
        Effect: 'Allow',
        ...principal,
        Action: [...action],
        Resource: objectArnPatterns(bucket, region, rules),
      },
    ]),
  );
}

/** Whether the two sides belong to different accounts; ambient credentials are one account. */
export const isCrossAccount = ({ source, destination }: BucketReplication): boolean =>
  source.accountId !== destination.accountId;

/** Whether replicas are handed to the account of the destination. */
export const overridesOwner = (pair: BucketReplication): boolean =>
  isCrossAccount(pair) && pair.destination.objectOwner === 'destination';

/** What the policy of a key that we create grants the roles, for all the uses that the pairs make of it. */
export function keyPolicyStatements(uses: readonly RoleKeyUse[]): Statements {
  return Object.fromEntries(
    uses
      .filter(({ pair }) => selectsEncryptedObjects(pair))
      .map(({ pair, side, role }) => [
        statementSid(side === 'source' ? 'SourceKey' : 'DestinationKey', pair),
        {
          Effect: 'Allow',
          Principal: { AWS: toUniqueArns([role]) },
          Action: KEY_ACTIONS[side],
          Resource: '*',
          Condition: kmsKeyCondition(pair, side),
        },
      ]),
  );
}

export interface RoleKeyUse {
  pair: BucketReplication;
  side: 'source' | 'destination';
  role: string | Ref;
}

/**
 * Reading needs `kms:Decrypt`. Writing without a Bucket Key needs `kms:Encrypt`; with one S3 makes and checks the
 * bucket's key, which needs `kms:GenerateDataKey` and `kms:Decrypt` too.
 */
const KEY_ACTIONS = {
  source: ['kms:Decrypt'],
  destination: ['kms:Decrypt', 'kms:Encrypt', 'kms:GenerateDataKey'],
};

/** Nothing where no rule selects encrypted objects. */
function roleKeyStatement(
  pair: BucketReplication,
  side: 'source' | 'destination',
  keyArns: readonly (string | Ref)[],
): Statements {
  if (!selectsEncryptedObjects(pair)) return {};
  return {
    [statementSid(side === 'source' ? 'SourceKey' : 'DestinationKey', pair)]: {
      Effect: 'Allow',
      Action: KEY_ACTIONS[side],
      Resource: toUniqueArns(keyArns),
      Condition: kmsKeyCondition(pair, side),
    },
  };
}

/** The keys under which the role may decrypt, where some rule selects encrypted objects. */
export const sourceKeyArns = (
  { source, sourceKeys }: BucketReplication,
  keyArnOf: KeyArnOf,
): (string | Ref)[] => [source.key, ...sourceKeys].map((key) => keyArnOf({ ...source, key }));

export const selectsEncryptedObjects = ({ rules }: BucketReplication): boolean =>
  rules.some((rule) => rule.sseKmsEncryptedObjects);

function kmsKeyCondition(pair: BucketReplication, side: 'source' | 'destination') {
  const { bucket, region } = pair[side];
  const rules = pair.rules.filter((rule) => rule.sseKmsEncryptedObjects);
  return {
    // The suffix is .amazonaws.com in every partition.
    StringEquals: { 'kms:ViaService': `s3.${region}.amazonaws.com` },
    StringLike: {
      'kms:EncryptionContext:aws:s3:arn': toSortedSet([
        bucketArn(bucket, region),
        ...objectArnPatterns(bucket, region, rules),
      ]),
    },
  };
}

const statementSid = (subject: string, pair: BucketReplication): string =>
  `Replikey${subject}${toSidName(pair.name)}`;

/** Object ARNs under the rules' prefixes; a prefix that another one covers is left out. */
function objectArnPatterns(bucket: string, region: string, rules: readonly Rule[]): string[] {
  const prefixPatterns = toSortedSet(rules.map((rule) => prefixToPattern(rule.prefix)));
  const widestPatterns = prefixPatterns.filter(
    (pattern) => !prefixPatterns.some((other) => other !== pattern && pattern.startsWith(other)),
  );
  return widestPatterns.map((pattern) => `${bucketArn(bucket, region)}/${pattern}*`);
}

/**
 * A key prefix as a pattern of a policy, up to the first character that IAM and KMS refuse in one (beyond U+00FF): what
 * follows it cannot be said, so the pattern is wider than the rule there. `*`, `?` and `$` are meant as they stand;
 * policy variables say so.
 */
export const prefixToPattern = (prefix: string): string =>
  (/^[\u0020-\u00ff]*/.exec(prefix)?.[0] ?? '').replace(/[*?$]/g, (character) => `\${${character}}`);

function toUniqueArns(values: readonly (string | Ref)[]): string[] {
  const byText = new Map(values.map((value) => [JSON.stringify(value), value]));
  // A statement's type knows strings; references stand in their place until they are resolved.
  return [...byText.values()] as string[];
}
