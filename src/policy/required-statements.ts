import { isRedrive } from '../core/ids.ts';
import type { Ref } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import {
  type KeyUse,
  keysOfReencryption,
  keyUsesOf,
  type ReencryptedSide,
  sourceKeySides,
} from '../spec/key-uses.ts';
import type { BucketReplication, Rule, Side } from '../spec/types.ts';
import { bucketArn, regionOfArn } from '../util/arn.ts';
import { toSortedSet } from '../util/canonical-json.ts';
import { type Statements, toSidName } from './statements.ts';

/**
 * The permissions that replication needs, derived from the declared pairs. They contain only actions that a setting
 * requires, key ARNs instead of aliases, and the Region of each side in `kms:ViaService`.
 *
 * The encryption context of an object is fixed when the object is written: the bucket's ARN with an S3 Bucket Key, the
 * object's ARN without. A request header can override the bucket's default, and a replica keeps the setting of its
 * source. Both forms can therefore occur on both sides, and the policies allow both. A policy that allows only one form
 * makes replication fail silently for the objects with the other form.
 */

/**
 * The trust policy: S3 may assume the role, without conditions. AWS does not document whether S3 sends `aws:SourceArn`
 * here. A condition on a key that is not sent would stop every replication.
 */
export const trustPolicyStatements: Statements = {
  ReplikeyAssumeRole: {
    Effect: 'Allow',
    Principal: { Service: 's3.amazonaws.com' },
    Action: 'sts:AssumeRole',
  },
};

/** The trust policy of the role of batch jobs (S3 User Guide, "Configuring an IAM role for S3 Batch Replication"). */
export const batchTrustStatements: Statements = {
  ReplikeyAssumeRole: {
    Effect: 'Allow',
    Principal: { Service: 'batchoperations.s3.amazonaws.com' },
    Action: 'sts:AssumeRole',
  },
};

/**
 * Returns the permissions of the role of batch jobs, for all pairs that share it. The job only starts the replication of
 * objects, which S3 copies as the role of replication. S3 keeps the generated manifest, so no bucket is needed for it.
 *
 * S3 User Guide, "Configuring an IAM role for S3 Batch Replication".
 */
export function batchRoleStatements(pairs: readonly BucketReplication[]): Statements {
  return Object.assign({}, ...pairs.map(pairBatchStatements)) as Statements;
}

function pairBatchStatements(pair: BucketReplication): Statements {
  const { bucket, region } = pair.source;
  const { backfill } = pair;
  if (!backfill) return {};
  const { report } = backfill;
  const subject = isRedrive(pair.name) ? 'Redrive' : 'Backfill';
  return {
    [statementSid(`${subject}Objects`, pair)]: {
      Effect: 'Allow',
      Action: 's3:InitiateReplication',
      Resource: objectArnPatterns(bucket, region, backfill.prefixes),
    },
    [statementSid(`${subject}Bucket`, pair)]: {
      Effect: 'Allow',
      Action: ['s3:GetReplicationConfiguration', 's3:PutInventoryConfiguration'],
      Resource: bucketArn(bucket, region),
    },
    ...(report && {
      [statementSid(`${subject}Report`, pair)]: {
        Effect: 'Allow',
        Action: 's3:PutObject',
        Resource: objectArnPatterns(report.bucket, region, [report.prefix]),
      },
    }),
  };
}

/**
 * Returns the permissions of a role of batch jobs for re-encryptions. AWS states neither which key needs which action nor
 * which condition keys S3 sends to KMS, so all keys get all actions, without a condition.
 *
 * S3 User Guide, "Updating server-side encryption for existing data", Required permissions. S3 generates the manifest as for
 * a backfill.
 */
export const reencryptRoleStatements = (sides: readonly ReencryptedSide[], keyArnOf: KeyArnOf): Statements =>
  Object.fromEntries(
    sides.flatMap((reencrypted): [string, Statement][] => {
      const { side } = reencrypted;
      const bucket = bucketArn(side.bucket, side.region);
      const sid = (subject: string) => reencryptSid(subject, reencrypted);
      return [
        [
          sid('Objects'),
          {
            Effect: 'Allow',
            Action: ['s3:PutObject', 's3:UpdateObjectEncryption'],
            Resource: `${bucket}/*`,
          },
        ],
        [sid('Bucket'), { Effect: 'Allow', Action: 's3:PutInventoryConfiguration', Resource: bucket }],
        [
          sid('Key'),
          {
            Effect: 'Allow',
            Action: REENCRYPT_KEY_ACTIONS,
            Resource: toUniqueArns(keysOfReencryption(reencrypted).map(keyArnOf)),
          },
        ],
      ];
    }),
  );

/** Returns the statements that the policy of a key grants to the roles of batch jobs for re-encryptions. */
export const reencryptKeyStatements = (
  uses: readonly (ReencryptedSide & { roleArn: string | Ref })[],
): Statements =>
  Object.fromEntries(
    uses.map((use): [string, Statement] => [
      reencryptSid('Key', use),
      {
        Effect: 'Allow',
        Principal: { AWS: toUniqueArns([use.roleArn]) },
        Action: REENCRYPT_KEY_ACTIONS,
        Resource: '*',
      },
    ]),
  );

const REENCRYPT_KEY_ACTIONS = ['kms:Decrypt', 'kms:Encrypt', 'kms:GenerateDataKey', 'kms:ReEncrypt*'];

const reencryptSid = (subject: string, { pair, name }: ReencryptedSide): string =>
  statementSid(`Reencrypt${name === 'source' ? 'Source' : 'Destination'}${subject}`, pair);

/**
 * Returns the permissions of a role, for all pairs that share it. Each spec has its own statements, named after the
 * spec. A run with only some of the specs therefore keeps the statements of the others.
 */
export function rolePolicyStatements(pairs: readonly BucketReplication[], keyArnOf: KeyArnOf): Statements {
  return Object.assign({}, ...pairs.map((pair) => pairRoleStatements(pair, keyArnOf))) as Statements;
}

/** Returns the ARN of the key of a side, or a reference to it while only the alias is known. */
export type KeyArnOf = (side: Side) => string | Ref;

/**
 * GetObjectVersionForReplication, because GetObjectVersion does not replicate KMS-encrypted objects. Retention and legal
 * hold, because without them every object fails as soon as the bucket gets Object Lock. Annotations,
 * because S3 replicates them only with this permission.
 */
const SOURCE_OBJECT_ACTIONS = [
  's3:GetObjectLegalHold',
  's3:GetObjectRetention',
  's3:GetObjectVersionAcl',
  's3:GetObjectVersionAnnotationForReplication',
  's3:GetObjectVersionForReplication',
  's3:GetObjectVersionTagging',
];

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
      Action: SOURCE_OBJECT_ACTIONS,
      Resource: objectArnPatterns(bucket, region, prefixesOf(pair.rules)),
    },
    ...roleKeyStatement(pair, 'source', sourceKeyArns(pair, keyArnOf)),
    ...destinationWriteStatements(pair, {}),
    ...roleKeyStatement(pair, 'destination', [pair.destination, ...relatedSides(pair)].map(keyArnOf)),
    ...roleKeyStatement(
      pair,
      'replaced',
      keyUsesOf(pair).flatMap(({ role, side }) => (role === 'replaced' ? keyArnOf(side) : [])),
    ),
  };
}

/**
 * Returns the statements that a destination bucket policy grants to roles of other accounts: across accounts both sides
 * must allow. They contain no action on the bucket itself. Delivery needs none, although AWS's own sample grants some.
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

/** Returns the grants for the writes of S3 under the role: only those that at least one rule requires. */
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
        Resource: objectArnPatterns(bucket, region, prefixesOf(rules)),
      },
    ]),
  );
}

/** Returns whether the two sides belong to different accounts; ambient credentials are one account. */
export const isCrossAccount = ({ source, destination }: BucketReplication): boolean =>
  source.accountId !== destination.accountId;

/**
 * Returns whether S3 changes the owner of replicas to the account of the destination. Within one account, this concerns
 * objects that another account owns, and a rule must name the id of the account.
 */
export const overridesOwner = ({ destination }: BucketReplication): boolean =>
  destination.accountId !== undefined && destination.objectOwner === 'destination';

/**
 * Returns the statements that the policy of a key created by replikey grants to the roles, for all uses by the pairs.
 */
export function keyPolicyStatements(uses: readonly RoleKeyUse[]): Statements {
  return Object.fromEntries(
    uses
      .filter(({ pair }) => selectsEncryptedObjects(pair))
      .map(({ pair, side, role }) => [
        statementSid(KEY_SUBJECTS[side], pair),
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
  side: KeyUse['role'];
  role: string | Ref;
}

const KEY_SUBJECTS = {
  source: 'SourceKey',
  destination: 'DestinationKey',
  replaced: 'ReplacedKey',
} as const;

/**
 * Reading requires `kms:Decrypt`. Writing without a Bucket Key requires `kms:Encrypt`. With a Bucket Key, S3 creates
 * and checks the bucket's key, which also requires `kms:GenerateDataKey` and `kms:Decrypt`. AWS does not document whether
 * S3 reads an existing replica when it replicates a change of its tags or its retention, so the role may still decrypt
 * replicas under a replaced key.
 */
const KEY_ACTIONS = {
  source: ['kms:Decrypt'],
  destination: ['kms:Decrypt', 'kms:Encrypt', 'kms:GenerateDataKey'],
  replaced: ['kms:Decrypt'],
};

/** Returns the statement for the keys of a side; empty when no rule selects KMS-encrypted objects. */
function roleKeyStatement(
  pair: BucketReplication,
  use: KeyUse['role'],
  keyArns: readonly (string | Ref)[],
): Statements {
  if (keyArns.length === 0 || !selectsEncryptedObjects(pair)) return {};
  return {
    [statementSid(KEY_SUBJECTS[use], pair)]: {
      Effect: 'Allow',
      Action: KEY_ACTIONS[use],
      Resource: toUniqueArns(keyArns),
      Condition: kmsKeyCondition(pair, use),
    },
  };
}

/** Returns the keys under which the role may decrypt, if a rule selects KMS-encrypted objects. */
export const sourceKeyArns = (pair: BucketReplication, keyArnOf: KeyArnOf): (string | Ref)[] =>
  sourceKeySides(pair).map(keyArnOf);

/**
 * Returns the destination with each key, beside its own, under which S3 encrypts replicas: those that are related to
 * the additional source keys. AWS does not document the permissions that related keys require; the role gets those of
 * a replica key.
 */
export const relatedSides = ({ destination }: BucketReplication): Side[] =>
  (destination.relatedKeys ?? []).map((key) => ({ ...destination, key }));

export const selectsEncryptedObjects = ({ rules }: BucketReplication): boolean =>
  rules.some((rule) => rule.sseKmsEncryptedObjects);

function kmsKeyCondition(pair: BucketReplication, use: KeyUse['role']) {
  const { bucket, region } = pair[use === 'source' ? 'source' : 'destination'];
  const rules = pair.rules.filter((rule) => rule.sseKmsEncryptedObjects);
  return {
    // The suffix is .amazonaws.com in every partition.
    StringEquals: { 'kms:ViaService': `s3.${region}.amazonaws.com` },
    StringLike: {
      'kms:EncryptionContext:aws:s3:arn': toSortedSet([
        bucketArn(bucket, region),
        ...objectArnPatterns(bucket, region, prefixesOf(rules)),
      ]),
    },
  };
}

const statementSid = (subject: string, pair: BucketReplication): string =>
  `Replikey${subject}${toSidName(pair.name)}`;

const prefixesOf = (rules: readonly Rule[]): string[] => rules.map(({ prefix }) => prefix);

/** Returns object ARNs under prefixes. A prefix that another prefix covers is omitted. */
function objectArnPatterns(bucket: string, region: string, prefixes: readonly string[]): string[] {
  const prefixPatterns = toSortedSet(prefixes.map(prefixToPattern));
  const widestPatterns = prefixPatterns.filter(
    (pattern) => !prefixPatterns.some((other) => other !== pattern && pattern.startsWith(other)),
  );
  return widestPatterns.map((pattern) => `${bucketArn(bucket, region)}/${pattern}*`);
}

/**
 * Returns a key prefix as a policy pattern, cut before the first character outside U+0020 to U+00FF. IAM and KMS reject
 * characters beyond U+00FF in a pattern. After a cut, the pattern is wider than the rule. `*`, `?` and `$` become
 * policy variables, because they are literal in a prefix.
 */
export const prefixToPattern = (prefix: string): string =>
  (/^[\u0020-\u00ff]*/.exec(prefix)?.[0] ?? '').replace(/[*?$]/g, (character) => `\${${character}}`);

function toUniqueArns(values: readonly (string | Ref)[]): string[] {
  const byText = new Map(values.map((value) => [JSON.stringify(value), value]));
  // The type of a statement has only strings. References take their place until they are resolved.
  return [...byText.values()] as string[];
}

/** What a rule that no spec declares needs. */
export interface ForeignRuleNeeds {
  prefix: string;
  /** ARN. */
  destination: string;
  /** ARN of the replica key, if the rule selects KMS-encrypted objects. */
  replicaKey?: string;
  replicatesDeletes: boolean;
  overridesOwner: boolean;
}

/**
 * Returns the grants for rules of a source bucket that no spec declares and that replicate as the role of a pair. They
 * belong to the spec of the pair. With a principal, they are those of a resource policy.
 *
 * @param keyArns keys of encrypted source objects
 */
export function foreignRuleStatements(
  pair: BucketReplication,
  rules: readonly ForeignRuleNeeds[],
  keyArns: readonly (string | Ref)[],
  principal: Pick<Statement, 'Principal'> = {},
): Statements {
  const source = bucketArn(pair.source.bucket, pair.source.region);
  const encrypted = rules.filter(({ replicaKey }) => replicaKey !== undefined);
  const replicaKeys = toSortedSet(encrypted.flatMap(({ replicaKey }) => replicaKey ?? []));
  const patterns = (bucketOf: (rule: ForeignRuleNeeds) => string, selected: readonly ForeignRuleNeeds[]) =>
    toSortedSet(selected.map((rule) => `${bucketOf(rule)}/${prefixToPattern(rule.prefix)}*`));
  const toDestination = ({ destination }: ForeignRuleNeeds) => destination;
  const keyCondition = (bucketOf: (rule: ForeignRuleNeeds) => string, regions: readonly string[]) => ({
    StringEquals: { 'kms:ViaService': regions.map((region) => `s3.${region}.amazonaws.com`) },
    StringLike: {
      'kms:EncryptionContext:aws:s3:arn': toSortedSet([
        ...encrypted.map(bucketOf),
        ...patterns(bucketOf, encrypted),
      ]),
    },
  });
  const grants: [
    subject: string,
    rules: readonly ForeignRuleNeeds[],
    statement: Omit<Statement, 'Effect'>,
  ][] = [
    [
      'SourceObjects',
      rules,
      {
        Action: SOURCE_OBJECT_ACTIONS,
        Resource: patterns(() => source, rules),
      },
    ],
    [
      'SourceKey',
      encrypted,
      {
        Action: KEY_ACTIONS.source,
        Resource: toUniqueArns(keyArns),
        Condition: keyCondition(() => source, [pair.source.region]),
      },
    ],
    [
      'DestinationKey',
      encrypted,
      {
        Action: KEY_ACTIONS.destination,
        Resource: replicaKeys,
        Condition: keyCondition(toDestination, toSortedSet(replicaKeys.map(regionOfArn))),
      },
    ],
  ];
  const writes: [subject: string, action: string[], rules: readonly ForeignRuleNeeds[]][] = [
    ['DestinationObjects', ['s3:ReplicateObject', 's3:ReplicateTags'], rules],
    ['DestinationDeletes', ['s3:ReplicateDelete'], rules.filter((rule) => rule.replicatesDeletes)],
    [
      'DestinationOwner',
      ['s3:ObjectOwnerOverrideToBucketOwner'],
      rules.filter((rule) => rule.overridesOwner),
    ],
  ];
  for (const [subject, Action, selected] of writes)
    grants.push([subject, selected, { Action, Resource: patterns(toDestination, selected) }]);
  return Object.fromEntries(
    grants
      .filter(([, selected]) => selected.length > 0)
      .map(([subject, , statement]) => [
        statementSid(`Foreign${subject}`, pair),
        { Effect: 'Allow', ...principal, ...statement },
      ]),
  );
}
