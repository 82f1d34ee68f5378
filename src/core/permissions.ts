import { createHash } from 'node:crypto';
import type { BucketReplication, Rule } from '../spec/types.ts';
import { sortedSet } from './canonical.ts';
import { keyId, roleId } from './names.ts';
import { ref } from './ref.ts';
import type { Ref } from './resource.ts';
import type { Statements } from './statements.ts';

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
export const trustStatements: Statements = {
  ReplikeyAssumeRole: {
    Effect: 'Allow',
    Principal: { Service: 's3.amazonaws.com' },
    Action: 'sts:AssumeRole',
  },
};

/** What the role may do, for all the pairs that share it. */
export function roleStatements(pairs: readonly BucketReplication[]): Statements {
  const statements: Statements = {};
  for (const [bucket, group] of grouped(pairs, (pair) => pair.source.bucket)) {
    const first = group[0];
    const rules = group.flatMap((pair) => pair.rules);
    const name = sidName(bucket);
    statements[`ReplikeySourceBucket${name}`] = {
      Effect: 'Allow',
      // ListBucket: S3 looks a missing object up when it replicates delete markers.
      Action: ['s3:GetReplicationConfiguration', 's3:ListBucket'],
      Resource: bucketArn(bucket, first.source.region),
    };
    statements[`ReplikeySourceObjects${name}`] = {
      Effect: 'Allow',
      // GetObjectVersionForReplication, since GetObjectVersion replicates everything but KMS-encrypted objects.
      Action: ['s3:GetObjectVersionAcl', 's3:GetObjectVersionForReplication', 's3:GetObjectVersionTagging'],
      Resource: objectArns(bucket, first.source.region, rules),
    };
    Object.assign(statements, keyStatement(`ReplikeySourceKey${name}`, group, 'source'));
  }
  for (const [bucket, group] of grouped(pairs, (pair) => pair.destination.bucket)) {
    const first = group[0];
    const name = sidName(bucket);
    for (const { what, action, of } of writes(group)) {
      if (of.length === 0) continue;
      statements[`ReplikeyDestination${what}${name}`] = {
        Effect: 'Allow',
        Action: action,
        Resource: objectArns(bucket, first.destination.region, of),
      };
    }
    Object.assign(statements, keyStatement(`ReplikeyDestinationKey${name}`, group, 'destination'));
  }
  return statements;
}

/**
 * What the policy of a destination bucket grants the roles of other accounts: across accounts both sides must allow.
 * No action on the bucket itself: delivery needs none, though AWS's own sample grants some.
 */
export function bucketStatements(pairs: readonly BucketReplication[]): Statements {
  const statements: Statements = {};
  const groups = grouped(pairs.filter(isAcrossAccounts), (pair) => sidName(pair.source.bucket));
  for (const [name, group] of groups) {
    const { bucket, region } = group[0].destination;
    for (const { what, action, of } of writes(group)) {
      if (of.length === 0) continue;
      statements[`Replikey${what}From${name}`] = {
        Effect: 'Allow',
        Principal: { AWS: refs(group.map(roleArn)) },
        Action: action,
        Resource: objectArns(bucket, region, of),
      };
    }
  }
  return statements;
}

/** What S3 writes as the role, each with the rules that ask for it. */
const writes = (pairs: readonly BucketReplication[]) => {
  const rules = pairs.flatMap((pair) => pair.rules);
  return [
    { what: 'Objects', action: ['s3:ReplicateObject', 's3:ReplicateTags'], of: rules },
    {
      what: 'Deletes',
      action: ['s3:ReplicateDelete'],
      of: rules.filter((rule) => rule.deleteMarkerReplication),
    },
    {
      what: 'Owner',
      action: ['s3:ObjectOwnerOverrideToBucketOwner'],
      of: pairs.filter(overridesOwner).flatMap((pair) => pair.rules),
    },
  ];
};

/** Whether the two sides belong to different accounts; ambient credentials are one account. */
export const isAcrossAccounts = ({ source, destination }: BucketReplication): boolean =>
  source.accountId !== destination.accountId;

/** Whether replicas are handed to the account of the destination. */
export const overridesOwner = (pair: BucketReplication): boolean =>
  isAcrossAccounts(pair) && pair.destination.objectOwner === 'destination';

/** What the policy of a key that we create grants the roles, for all the uses that the pairs make of it. */
export function keyStatements(uses: readonly KeyUse[]): Statements {
  const statements: Statements = {};
  const groups = grouped(
    uses.filter(({ pair }) => selectsEncrypted(pair)),
    ({ side, pair }) => `${side === 'source' ? 'Source' : 'Destination'}${sidName(pair[side].bucket)}`,
  );
  for (const [name, group] of groups) {
    const { side } = group[0];
    statements[`Replikey${name}`] = {
      Effect: 'Allow',
      Principal: { AWS: refs(group.map((use) => use.role)) },
      Action: KEY_ACTIONS[side],
      Resource: '*',
      Condition: keyCondition(
        group.map((use) => use.pair),
        side,
      ),
    };
  }
  return statements;
}

export interface KeyUse {
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
function keyStatement(
  sid: string,
  pairs: readonly BucketReplication[],
  side: 'source' | 'destination',
): Statements {
  const selecting = pairs.filter(selectsEncrypted);
  if (selecting.length === 0) return {};
  const keys = selecting.flatMap((pair) => [
    keyArn(pair[side]),
    ...(side === 'source' ? pair.sourceKeys.map((key) => keyArn({ ...pair.source, key })) : []),
  ]);
  const Condition = keyCondition(selecting, side);
  return { [sid]: { Effect: 'Allow', Action: KEY_ACTIONS[side], Resource: refs(keys), Condition } };
}

const selectsEncrypted = ({ rules }: BucketReplication): boolean =>
  rules.some((rule) => rule.sseKmsEncryptedObjects);

function keyCondition(pairs: readonly BucketReplication[], side: 'source' | 'destination') {
  const [first] = pairs;
  if (!first) throw new Error('a key statement needs a pair');
  const { bucket, region } = first[side];
  return {
    // The suffix is .amazonaws.com in every partition.
    StringEquals: { 'kms:ViaService': `s3.${region}.amazonaws.com` },
    StringLike: {
      'kms:EncryptionContext:aws:s3:arn': sortedSet([
        bucketArn(bucket, region),
        ...objectArns(
          bucket,
          region,
          pairs.flatMap((pair) => pair.rules.filter((rule) => rule.sseKmsEncryptedObjects)),
        ),
      ]),
    },
  };
}

/** A key's ARN, or the reference to it while only its alias is known. */
export function keyArn(side: BucketReplication['source']): string | Ref {
  return 'arn' in side.key ? side.key.arn : ref(keyId(side));
}

/** The role's ARN, or the reference to it while only its name is known. */
export function roleArn(pair: BucketReplication): string | Ref {
  if ('arn' in pair.role) return pair.role.arn;
  // A role of an account that is not managed cannot be read.
  return pair.source.managed ? ref(roleId(pair)) : derivedRoleArn(pair);
}

/** The ARN of a role, as it follows from its name and its account. */
export function derivedRoleArn({ role, source }: BucketReplication): string {
  if ('arn' in role) return role.arn;
  return `arn:${partition(source.region)}:iam::${source.accountId}:role${role.path ?? '/'}${role.name}`;
}

export const bucketArn = (bucket: string, region: string): string =>
  `arn:${partition(region)}:s3:::${bucket}`;

/** Object ARNs under the rules' prefixes; a prefix that another one covers is left out. */
function objectArns(bucket: string, region: string, rules: readonly Rule[]): string[] {
  const patterns = sortedSet(rules.map((rule) => patternOf(rule.prefix)));
  const widest = patterns.filter(
    (pattern) => !patterns.some((other) => other !== pattern && pattern.startsWith(other)),
  );
  return widest.map((pattern) => `${bucketArn(bucket, region)}/${pattern}*`);
}

/**
 * A key prefix as a pattern of a policy, up to the first character that IAM and KMS refuse in one (beyond U+00FF): what
 * follows it cannot be said, so the pattern is wider than the rule there. `*`, `?` and `$` are meant as they stand;
 * policy variables say so.
 */
const patternOf = (prefix: string): string =>
  (/^[\u0020-\u00ff]*/.exec(prefix)?.[0] ?? '').replace(/[*?$]/g, (character) => `\${${character}}`);

export function partition(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  if (region.startsWith('us-gov-')) return 'aws-us-gov';
  return 'aws';
}

/**
 * A bucket's name in a Sid, which may hold letters and digits only: `acme-tax` becomes `AcmeTax`. Where that could
 * stand for another name too, a short hash follows.
 */
export function sidName(bucket: string): string {
  const camel = bucket
    .split(/[-.]+/)
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join('');
  const back = camel.replace(/(?!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
  return back === bucket ? camel : camel + createHash('sha256').update(bucket).digest('hex').slice(0, 8);
}

function refs(values: readonly (string | Ref)[]): string[] {
  const byText = new Map(values.map((value) => [JSON.stringify(value), value]));
  // A statement's type knows strings; references stand in their place until they are resolved.
  return [...byText.values()] as string[];
}

function grouped<T>(items: readonly T[], key: (item: T) => string): Map<string, [T, ...T[]]> {
  const groups = new Map<string, [T, ...T[]]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}
