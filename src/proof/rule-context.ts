import type { ReplicationRule } from '@aws-sdk/client-s3';
import { type BucketFacts, type Facts, factValue, isUnread } from '../core/facts.ts';
import { accountOfArn } from '../iam/context.ts';
import { usesRelatedKey } from '../spec/rule-fields.ts';
import { bucketArn, nameInArn, partitionOfArn, regionOfArn, relatedKeyArn } from '../util/arn.ts';

/** A replication rule with its role, buckets and facts. */
export interface RuleContext {
  facts: Facts;
  source: RuleBucket;
  /** ARN of the role that S3 assumes. */
  role: string;
  rule: ReplicationRule;
  /** All rules of the configuration, including this rule. */
  rules: readonly ReplicationRule[];
  /** Absent if the bucket does not exist or cannot be read. */
  destination?: RuleBucket;
  /**
   * The destination as the rule describes it, if it could not be read: the policies of the role alone may deny what S3
   * needs there. Its Region is that of the replica key; empty without one.
   */
  unreadDestination?: RuleBucket;
  destinationName: string;
  /** The session in which S3 makes its requests. */
  session: RoleSession;
  /**
   * The time of AWS, in milliseconds since 1970, for a proof of the present state. Absent for a state of a plan, which
   * the proof decides before retained permissions end.
   */
  nowMs?: number;
}

/** A session of the role, as a request names it. */
export interface RoleSession {
  /** ARN. */
  principal: string;
  /** The name that S3 gives the session. */
  name: string;
  /** Account id of the role (12 digits). */
  account: string;
}

const SESSION_NAME = 's3-replication';

function roleSessionOf(role: string): RoleSession {
  const account = accountOfArn(role);
  return {
    principal: `arn:${partitionOfArn(role)}:sts::${account}:assumed-role/${nameInArn(role)}/${SESSION_NAME}`,
    name: SESSION_NAME,
    account,
  };
}

export interface RuleBucket extends BucketFacts {
  name: string;
  /** ARN. */
  arn: string;
  /** Account id (12 digits): as observed, or a default if the facts contain none. */
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
  // A rule can name the account of its destination. Without it, the destination is in the source's account.
  const account = rule.Destination?.Account ?? source.account;
  const destination = ruleBucketOf(facts, destinationName, account);
  const keyName = rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  return {
    facts,
    source,
    role: Role,
    rule,
    rules: Rules,
    destinationName,
    session: roleSessionOf(Role),
    ...(destination === undefined ? {} : { destination }),
    ...(destination === undefined && isUnread(facts.buckets[destinationName])
      ? {
          unreadDestination: {
            name: destinationName,
            arn: bucketArn(destinationName, source.region),
            region: keyName?.startsWith('arn:') ? regionOfArn(keyName) : '',
            account,
          },
        }
      : {}),
  };
}

/** Returns the name of the bucket to which a rule replicates. */
export const destinationBucketOf = (rule: ReplicationRule | undefined): string =>
  (rule?.Destination?.Bucket ?? '').split(':::')[1] ?? '';

export const rulePrefixOf = ({ Filter, Prefix }: ReplicationRule): string =>
  Filter?.And?.Prefix ?? Filter?.Prefix ?? Prefix ?? '';

/** Returns the tags that an object must have, all of them, as `key=value`. */
export const ruleTagsOf = ({ Filter }: ReplicationRule): string[] =>
  (Filter?.And?.Tags ?? (Filter?.Tag ? [Filter.Tag] : [])).map(({ Key, Value }) => `${Key}=${Value}`);

export const selectsKmsObjects = (rule: ReplicationRule): boolean =>
  rule.SourceSelectionCriteria?.SseKmsEncryptedObjects?.Status === 'Enabled';

/** Returns true if the rule replicates delete markers: always in the V1 form, and only if enabled in the V2 form. */
export const replicatesDeleteMarkers = (rule: ReplicationRule): boolean =>
  rule.Filter === undefined || rule.DeleteMarkerReplication?.Status === 'Enabled';

export function changesOwner(context: RuleContext): boolean {
  const { rule, source, destination = context.unreadDestination } = context;
  return (
    rule.Destination?.AccessControlTranslation?.Owner === 'Destination' &&
    destination !== undefined &&
    destination.account !== source.account
  );
}

/**
 * Returns the ARN of a key that a bucket default or a rule names by ARN, id or alias. Without a name, returns the
 * alias of the key that AWS manages.
 */
export function resolveKeyArn(name: string | undefined, { region, account, arn }: RuleBucket): string {
  if (name?.startsWith('arn:')) return name;
  const arnPrefix = `arn:${partitionOfArn(arn)}:kms:${region}:${account}`;
  if (name === undefined) return `${arnPrefix}:alias/aws/s3`;
  return name.startsWith('alias/') ? `${arnPrefix}:${name}` : `${arnPrefix}:key/${name}`;
}

/**
 * Returns the ARNs of the keys under which S3 encrypts the replicas of objects under some keys: the keys that are
 * related to these, and the key that the rule names.
 */
export function replicaKeyArns(context: RuleContext, objectKeys: readonly string[]): string[] {
  const keys = objectKeys.flatMap((key) => replicaKeyArnFor(context, key) ?? []);
  return [...new Set([...keys, ...[replicaKeyArn(context) ?? []].flat()])];
}

/**
 * Returns the key under which S3 encrypts the replica of an object. AWS does not document which key S3 uses for an
 * object under a key that is not multi-Region; the one that the rule names is the only candidate.
 */
export function replicaKeyArnFor(context: RuleContext, objectKey: string): string | undefined {
  const { rule, destination = context.unreadDestination } = context;
  const related =
    usesRelatedKey(rule) && destination?.region ? relatedKeyArn(objectKey, destination.region) : undefined;
  return related ?? replicaKeyArn(context);
}

/**
 * Returns the ARN of the replica key as S3 resolves it: an alias or a bare id in the role's account and the
 * destination's Region. Returns undefined if the rule names no key.
 */
export function replicaKeyArn(context: RuleContext): string | undefined {
  const { rule, role, destination = context.unreadDestination } = context;
  const name = rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  if (name === undefined || !destination?.region) return undefined;
  return resolveKeyArn(name, { ...destination, account: accountOfArn(role) });
}

/** The elements of a rule that the proof evaluates, or that have no effect on what a rule selects and requires. */
const KNOWN_ELEMENTS = new Set(
  [
    'ID Priority Status Prefix Filter And Tags Tag Key Value Not Or Prefixes',
    'SourceSelectionCriteria SseKmsEncryptedObjects ReplicaModifications DeleteMarkerReplication',
    'Destination Bucket Account StorageClass AccessControlTranslation Owner',
    'EncryptionConfiguration ReplicaKmsKeyID UseSourceMultiRegionKey',
    'ReplicationTime Time Minutes Metrics EventThreshold',
    // S3 no longer supports this element; live replication covers new objects only.
    'ExistingObjectReplication',
  ].flatMap((names) => names.split(' ')),
);

/**
 * Returns the elements of a rule that replikey does not model, for example those that a newer version of the SDK
 * introduces: what the rule selects and requires is then unknown.
 */
export const unknownElementsOf = (value: object): string[] =>
  Object.entries(value).flatMap(([name, element]) => {
    if (element === undefined) return [];
    const isUnknown = !Array.isArray(value) && !KNOWN_ELEMENTS.has(name);
    return [...(isUnknown ? [name] : []), ...(typeof element === 'object' ? unknownElementsOf(element) : [])];
  });
