import { derivedRoleArn, keyResourceId, roleResourceId } from '../core/ids.ts';
import { ref } from '../core/ref.ts';
import type { Id, Ref } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import type { BucketReplication, Rule } from '../spec/types.ts';
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
export function rolePolicyStatements(pairs: readonly BucketReplication[]): Statements {
  return Object.assign({}, ...pairs.map(pairRoleStatements)) as Statements;
}

function pairRoleStatements(pair: BucketReplication): Statements {
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
    ...roleKeyStatement(pair, 'source'),
    ...destinationWriteStatements(pair, {}),
    ...roleKeyStatement(pair, 'destination'),
  };
}

/**
 * What the policy of a destination bucket grants the roles of other accounts: across accounts both sides must allow.
 * No action on the bucket itself: delivery needs none, though AWS's own sample grants some.
 */
export function bucketPolicyStatements(pairs: readonly BucketReplication[]): Statements {
  const statements = pairs
    .filter(isCrossAccount)
    .map((pair) =>
      destinationWriteStatements(pair, { Principal: { AWS: toUniqueArns([roleArnOrRef(pair)]) } }),
    );
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
function roleKeyStatement(pair: BucketReplication, side: 'source' | 'destination'): Statements {
  if (!selectsEncryptedObjects(pair)) return {};
  return {
    [statementSid(side === 'source' ? 'SourceKey' : 'DestinationKey', pair)]: {
      Effect: 'Allow',
      Action: KEY_ACTIONS[side],
      Resource: toUniqueArns(side === 'source' ? sourceKeyArns(pair) : [keyArnOrRef(pair.destination)]),
      Condition: kmsKeyCondition(pair, side),
    },
  };
}

/** The keys under which the role may decrypt, where some rule selects encrypted objects. */
export const sourceKeyArns = ({ source, sourceKeys }: BucketReplication): (string | Ref)[] =>
  [source.key, ...sourceKeys].map((key) => keyArnOrRef({ ...source, key }));

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

/** A key's ARN, or the reference to it while only its alias is known. */
export function keyArnOrRef(side: BucketReplication['source']): string | Ref {
  return 'arn' in side.key ? side.key.arn : ref(keyResourceId(side));
}

/** The role's ARN, or the reference to it while only its name is known. */
export function roleArnOrRef(pair: BucketReplication): string | Ref {
  if ('arn' in pair.role) return pair.role.arn;
  // A role of an account that is not managed cannot be read.
  return pair.source.managed ? ref(roleResourceId(pair)) : derivedRoleArn(pair);
}

/** Roles by ARN that must be there before a policy names them; one by name is referred to anyhow. */
export const externalRoleIds = (pairs: readonly BucketReplication[]): Id[] =>
  pairs.filter(({ role, source }) => 'arn' in role && source.managed).map((pair) => roleResourceId(pair));

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
