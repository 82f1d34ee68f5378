import type { ReplicationRule } from '@aws-sdk/client-s3';
import { type BucketFacts, known, type Observed } from '../core/observed.ts';
import { bucketArn } from '../core/permissions.ts';
import { accountOf } from '../iam/context.ts';

/** One rule, and what stands around it. */
export interface RuleWorld {
  observed: Observed;
  source: Bucket;
  /** ARN of the role that S3 assumes. */
  role: string;
  rule: ReplicationRule;
  /** All rules of the configuration, itself among them. */
  rules: readonly ReplicationRule[];
  /** Absent where it does not exist, or cannot be read. */
  destination?: Bucket;
  destinationName: string;
  /** Who S3 asks as. */
  session: Session;
}

/** A session of the role, as a request names it. */
export interface Session {
  /** ARN. */
  principal: string;
  /** Twelve digits: the role's. */
  account: string;
}

function sessionOf(role: string): Session {
  const [, partition] = role.split(':', 2);
  const account = accountOf(role);
  const name = role.slice(role.lastIndexOf('/') + 1);
  return { principal: `arn:${partition}:sts::${account}:assumed-role/${name}/s3-replication`, account };
}

export interface Bucket extends BucketFacts {
  name: string;
  /** ARN. */
  arn: string;
  /** Twelve digits: as observed, or the role's where nobody says otherwise. */
  account: string;
}

export function bucketOf(observed: Observed, name: string, otherwise: string): Bucket | undefined {
  const facts = known(observed.buckets[name]);
  return facts && { ...facts, name, arn: bucketArn(name, facts.region), account: facts.account ?? otherwise };
}

export function worldOf(
  observed: Observed,
  source: Bucket,
  { Role, Rules }: { Role: string; Rules: ReplicationRule[] },
  rule: ReplicationRule,
): RuleWorld {
  const destinationName = destinationOf(rule);
  // S3 lets the destination of another account be said in the rule; without a word it is the source's own.
  const destination = bucketOf(observed, destinationName, rule.Destination?.Account ?? source.account);
  return {
    observed,
    source,
    role: Role,
    rule,
    rules: Rules,
    destinationName,
    session: sessionOf(Role),
    ...(destination === undefined ? {} : { destination }),
  };
}

export const destinationOf = (rule: ReplicationRule): string =>
  (rule.Destination?.Bucket ?? '').split(':::')[1] ?? '';

export const prefixOf = ({ Filter, Prefix }: ReplicationRule): string =>
  Filter?.And?.Prefix ?? Filter?.Prefix ?? Prefix ?? '';

/** Tags that an object must all have, as `key=value`. */
export const tagsOf = ({ Filter }: ReplicationRule): string[] =>
  (Filter?.And?.Tags ?? (Filter?.Tag ? [Filter.Tag] : [])).map(({ Key, Value }) => `${Key}=${Value}`);

export const selectsEncrypted = (rule: ReplicationRule): boolean =>
  rule.SourceSelectionCriteria?.SseKmsEncryptedObjects?.Status === 'Enabled';

/** Under the old form delete markers are always replicated, under the new one only where a rule says so. */
export const replicatesDeletes = (rule: ReplicationRule): boolean =>
  rule.Filter === undefined || rule.DeleteMarkerReplication?.Status === 'Enabled';

export const changesOwner = ({ rule, source, destination }: RuleWorld): boolean =>
  rule.Destination?.AccessControlTranslation?.Owner === 'Destination' &&
  destination !== undefined &&
  destination.account !== source.account;

/** The ARN of a key as a bucket's default or a rule speaks of it: by ARN, by id, by alias, or not at all. */
export function keyArnOf(name: string | undefined, { region, account, arn }: Bucket): string {
  if (name?.startsWith('arn:')) return name;
  const partition = arn.split(':')[1];
  const of = `arn:${partition}:kms:${region}:${account}`;
  if (name === undefined) return `${of}:alias/aws/s3`;
  return name.startsWith('alias/') ? `${of}:${name}` : `${of}:key/${name}`;
}

/**
 * The replica key as S3 has KMS look it up: an alias or a bare id in the account of the role, and in the destination's
 * Region. Absent where the rule names none.
 */
export function replicaKeyArn({ rule, role, destination }: RuleWorld): string | undefined {
  const name = rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  if (name === undefined || !destination) return undefined;
  return keyArnOf(name, { ...destination, account: accountOf(role) });
}
