import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import { factValue, unreadReasonOf } from '../core/facts.ts';
import { locationOfSide, toRuleId } from '../core/ids.ts';
import type { Location, RiskId } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { collectObjectLocks } from '../facts/collect.ts';
import { locationsOf } from '../facts/locations.ts';
import { fromS3Rule, type RuleSpec } from '../kinds/replication-rule.ts';
import { idsOfDeclaredRules, type ReplicationDoc, s3Replication } from '../kinds/s3-replication.ts';
import { lookUpBucket, reachableAccounts } from '../prune/locate-orphans.ts';
import { exclusionReason } from '../spec/rule-fields.ts';
import type { BucketReplication, Rule, Side, Specs } from '../spec/types.ts';
import { bucketArn } from '../util/arn.ts';
import { type CanaryRoute, type CanarySide, canaryPrefixOf, canaryTagsOf } from './canary-object.ts';

const CANARY_RETAINED: RiskId = 'canary-retained';

/** A reason not to write canaries: replikey could not remove them. */
export class CanaryRefusal extends Error {}

/** Reads the rules of a source; undefined when it has no replication configuration. */
export async function fetchRules(source: Side, aws: AwsClient): Promise<ReplicationDoc | undefined> {
  try {
    return await s3Replication.fetch(aws, locationOfSide(source), source.bucket);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(EXIT.failed, formatAwsError(error), { cause: error });
  }
}

/** Describes why a rule of a spec is not in effect: the rule in S3 is missing, disabled, or would not test the spec. */
export function notAppliedReason(
  pair: BucketReplication,
  rule: Rule,
  doc: ReplicationDoc | undefined,
  { pairs }: Pick<Specs, 'pairs'>,
): string | undefined {
  const { bucket } = pair.source;
  if (!doc) return `${bucket} has no replication configuration`;
  const declaredId = rule.id ?? toRuleId(pair.name, rule.name);
  const [resource] = s3Replication.desired({ pair, relatedPairs: pairs });
  const current = resource && s3Replication.parse(doc, resource);
  const id = (resource && idsOfDeclaredRules(resource, current)?.get(declaredId)) ?? declaredId;
  const existing = doc.Rules.find(({ ID }) => ID === id);
  if (!existing) return `${bucket} has no rule ${id}`;
  const actual = fromS3Rule(existing);
  if (actual.status !== 'Enabled') return `the rule ${id} of ${bucket} is disabled`;
  const { destination } = pair;
  if (actual.destination !== bucketArn(destination.bucket, destination.region))
    return `the rule ${id} of ${bucket} replicates to ${bucketNameOf(actual)}, not to ${destination.bucket}`;
  if (
    !selectsCanaries(actual, rule, canaryPrefixOf(rule)) ||
    actual.sseKmsEncryptedObjects !== rule.sseKmsEncryptedObjects
  )
    return `the rule ${id} of ${bucket} selects other objects than the spec`;
  return undefined;
}

/** Returns whether a rule in S3 replicates the canaries of a declared rule. */
function selectsCanaries(
  { status, prefix, tags, exclude }: RuleSpec,
  declared: Rule,
  keyPrefix: string,
): boolean {
  const canaryTags = canaryTagsOf(declared);
  const hasTag = (name: string, value: string) => canaryTags[name] === value;
  return (
    status === 'Enabled' &&
    keyPrefix.startsWith(prefix) &&
    Object.entries(tags).every(([name, value]) => hasTag(name, value)) &&
    exclusionReason(exclude, keyPrefix, hasTag) === undefined
  );
}

const bucketNameOf = ({ destination }: RuleSpec): string => destination.split(':::')[1] ?? '';

export interface RouteOptions {
  aws: AwsClient;
  specs: Specs;
  /** Values of `--allow`. */
  allowedRisks: readonly string[];
}

/**
 * Finds every bucket that receives the canaries of a rule: those of the specs, and the destinations of existing rules
 * that select the canaries, which no spec may declare. Reads which of the buckets retain them.
 *
 * @param keyPrefix prefix of the keys of the canaries
 * @throws CanaryRefusal for a bucket from which replikey could not remove them, unless `canary-retained` is allowed.
 * Compliance retention cannot be allowed: no one can remove a version before its retention ends.
 */
export async function findRoute(
  pair: BucketReplication,
  rule: Rule,
  keyPrefix: string,
  existingRules: readonly RuleSpec[],
  { aws, specs, allowedRisks }: RouteOptions,
): Promise<CanaryRoute> {
  const { located, unreachable } = await findReceivers(pair, rule, keyPrefix, existingRules, specs, aws);
  const { retaining, problems } = await readRetention([pair.source, ...located], specs, aws);
  const refusals = [
    ...problems,
    ...(allowedRisks.includes(CANARY_RETAINED)
      ? []
      : [
          ...unreachable.map(
            (bucket) =>
              `an existing rule replicates canaries to ${bucket}, from where replikey cannot remove them; ${accessAdvice(bucket, pair, rule)}; or allow it with --allow ${CANARY_RETAINED}`,
          ),
          ...[...retaining].map(
            ([bucket, retention]) =>
              `${bucket} retains each new version: ${retention}; allow it with --allow ${CANARY_RETAINED}`,
          ),
        ]),
  ];
  if (refusals.length > 0) throw new CanaryRefusal(refusals.join('; '));
  return {
    source: toCanarySide(pair.source),
    destinations: located,
    retaining: new Map([
      ...unreachable.map((bucket) => [bucket, 'replikey cannot access it'] as const),
      ...retaining,
    ]),
    unreachable,
  };
}

/** Names the permissions on a bucket that no spec declares. `reconcile permissions` cannot know it. */
const accessAdvice = (bucket: string, { source }: BucketReplication, rule: Rule): string =>
  `if one of the accounts owns it, grant s3:ListBucket, s3:ListBucketVersions and s3:GetBucketObjectLockConfiguration on ${bucketArn(bucket, source.region)}, and s3:GetObjectVersion and s3:DeleteObjectVersion on ${bucketArn(bucket, source.region)}/${canaryPrefixOf(rule)}*`;

const toCanarySide = (side: Side): CanarySide => ({ bucket: side.bucket, ...locationOfSide(side) });

async function findReceivers(
  { source, destination }: BucketReplication,
  rule: Rule,
  keyPrefix: string,
  existingRules: readonly RuleSpec[],
  specs: Specs,
  aws: AwsClient,
): Promise<{ located: CanarySide[]; unreachable: string[] }> {
  const siblings = specs.pairs.filter(
    (sibling) => sibling.source.bucket === source.bucket && sibling.destination.managed,
  );
  const declared = new Map(
    [destination, ...siblings.map((sibling) => sibling.destination)].map((side) => [
      side.bucket,
      toCanarySide(side),
    ]),
  );
  const undeclared = new Set(
    existingRules
      .filter((existing) => selectsCanaries(existing, rule, keyPrefix))
      .map(bucketNameOf)
      .filter((bucket) => !declared.has(bucket)),
  );
  if (undeclared.size === 0) return { located: [...declared.values()], unreachable: [] };
  const accounts = await reachableAccounts(specs, aws);
  const lookups = await Promise.all([...undeclared].map((bucket) => lookUpBucket(bucket, accounts, aws)));
  return {
    located: [
      ...declared.values(),
      ...lookups.flatMap(({ bucket, location }) => (location ? [{ bucket, ...location }] : [])),
    ],
    unreachable: lookups.filter(({ state }) => state === 'hidden').map(({ bucket }) => bucket),
  };
}

/** Reads which buckets have a default retention: its description by bucket, and the reasons against any canary. */
async function readRetention(
  sides: readonly (Location & { bucket: string })[],
  specs: Specs,
  aws: AwsClient,
): Promise<{ retaining: Map<string, string>; problems: string[] }> {
  const buckets = new Map(sides.map(({ bucket, account, region }) => [bucket, toLocation(account, region)]));
  const locations = { ...locationsOf(specs, sides[0]?.region ?? 'us-east-1'), buckets };
  const locks = await collectObjectLocks(aws, buckets.keys(), locations);
  const retaining = new Map<string, string>();
  const problems: string[] = [];
  for (const bucket of buckets.keys()) {
    const facts = locks[bucket];
    const objectLock = factValue(facts)?.objectLock;
    const unread = unreadReasonOf(facts) ?? unreadReasonOf(objectLock);
    if (unread !== undefined)
      problems.push(`cannot read the Object Lock configuration of ${bucket}: ${unread}`);
    const { Mode, Days, Years, DefaultEventHold } = factValue(objectLock)?.Rule?.DefaultRetention ?? {};
    const reasons = [
      ...(Mode === undefined || (Days ?? Years) === undefined
        ? []
        : [`${Mode} for ${Days === undefined ? plural(Years, 'year') : plural(Days, 'day')}`]),
      // A version with an event hold stays until a person releases the hold.
      ...(DefaultEventHold === undefined
        ? []
        : [`a default event hold${Mode === undefined ? '' : ` in ${Mode} mode`}`]),
    ];
    if (reasons.length === 0) continue;
    const retention = reasons.join(' and ');
    if (Mode === 'COMPLIANCE')
      problems.push(`${bucket} retains each new version: ${retention}, which no one can shorten`);
    else retaining.set(bucket, retention);
  }
  return { retaining, problems };
}

const plural = (count = 0, unit: string): string => `${count} ${unit}${count === 1 ? '' : 's'}`;

const toLocation = (account: string | undefined, region: string): Location =>
  account === undefined ? { region } : { account, region };
