import type { ReplicationRule } from '@aws-sdk/client-s3';
import { type BucketFacts, type Facts, factValue } from '../core/facts.ts';
import { accountOfArn } from '../iam/context.ts';
import { bucketArn, partitionOfArn } from '../util/arn.ts';

/** One rule, and what stands around it. */
export interface RuleContext {
  facts: Facts;
  source: RuleBucket;
  /** ARN of the role that S3 assumes. */
  role: string;
  rule: ReplicationRule;
  /** All rules of the configuration, itself among them. */
  rules: readonly ReplicationRule[];
  /** Absent where it does not exist, or cannot be read. */
  destination?: RuleBucket;
  destinationName: string;
  /** Who S3 asks as. */
  session: RoleSession;
}

/** A session of the role, as a request names it. */
export interface RoleSession {
  /** ARN. */
  principal: string;
  /** Twelve digits: the role's. */
  account: string;
}

function roleSessionOf(role: string): RoleSession {
  const account = accountOfArn(role);
  const name = role.slice(role.lastIndexOf('/') + 1);
  return {
    principal: `arn:${partitionOfArn(role)}:sts::${account}:assumed-role/${name}/s3-replication`,
    account,
  };
}

export interface RuleBucket extends BucketFacts {
  name: string;
  /** ARN. */
  arn: string;
  /** Twelve digits: as observed, or the role's where nobody says otherwise. */
  account: string;
}

export function ruleBucketOf(facts: Facts, name: string, defaultAccount: string): RuleBucket | undefined {
  const bucketFacts = factValue(facts.buckets[name]);
  return (
    bucketFacts && {
      ...bucketFacts,
      name,
      arn: bucketArn(name, bucketFacts.region),
      account: bucketFacts.account ?? defaultAccount,
    }
  );
}

export function ruleContextOf(
  facts: Facts,
  source: RuleBucket,
  { Role, Rules }: { Role: string; Rules: ReplicationRule[] },
  rule: ReplicationRule,
): RuleContext {
  const destinationName = destinationBucketOf(rule);
  // S3 lets the destination of another account be said in the rule; without a word it is the source's own.
  const destination = ruleBucketOf(facts, destinationName, rule.Destination?.Account ?? source.account);
  return {
    facts,
    source,
    role: Role,
    rule,
    rules: Rules,
    destinationName,
    session: roleSessionOf(Role),
    ...(destination === undefined ? {} : { destination }),
  };
}

export const destinationBucketOf = (rule: ReplicationRule): string =>
  (rule.Destination?.Bucket ?? '').split(':::')[1] ?? '';

export const rulePrefixOf = ({ Filter, Prefix }: ReplicationRule): string =>
  Filter?.And?.Prefix ?? Filter?.Prefix ?? Prefix ?? '';

/** Tags that an object must all have, as `key=value`. */
export const ruleTagsOf = ({ Filter }: ReplicationRule): string[] =>
  (Filter?.And?.Tags ?? (Filter?.Tag ? [Filter.Tag] : [])).map(({ Key, Value }) => `${Key}=${Value}`);

export const selectsKmsObjects = (rule: ReplicationRule): boolean =>
  rule.SourceSelectionCriteria?.SseKmsEncryptedObjects?.Status === 'Enabled';

/** Under the old form delete markers are always replicated, under the new one only where a rule says so. */
export const replicatesDeleteMarkers = (rule: ReplicationRule): boolean =>
  rule.Filter === undefined || rule.DeleteMarkerReplication?.Status === 'Enabled';

export const changesOwner = ({ rule, source, destination }: RuleContext): boolean =>
  rule.Destination?.AccessControlTranslation?.Owner === 'Destination' &&
  destination !== undefined &&
  destination.account !== source.account;

/** The ARN of a key as a bucket's default or a rule speaks of it: by ARN, by id, by alias, or not at all. */
export function resolveKeyArn(name: string | undefined, { region, account, arn }: RuleBucket): string {
  if (name?.startsWith('arn:')) return name;
  const arnPrefix = `arn:${partitionOfArn(arn)}:kms:${region}:${account}`;
  if (name === undefined) return `${arnPrefix}:alias/aws/s3`;
  return name.startsWith('alias/') ? `${arnPrefix}:${name}` : `${arnPrefix}:key/${name}`;
}

/**
 * The replica key as S3 has KMS look it up: an alias or a bare id in the account of the role, and in the destination's
 * Region. Absent where the rule names none.
 */
export function replicaKeyArn({ rule, role, destination }: RuleContext): string | undefined {
  const name = rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  if (name === undefined || !destination) return undefined;
  return resolveKeyArn(name, { ...destination, account: accountOfArn(role) });
}
