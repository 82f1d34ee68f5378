import { randomBytes } from 'node:crypto';
import type { AwsClient } from '../aws/client.ts';
import { receivingSides } from '../canary/canary.ts';
import {
  canaryExclusionReason,
  canaryPrefixOf,
  canaryTagsOf,
  removeCanary,
} from '../canary/canary-object.ts';
import { type CanaryVersion, testRule, waitUntilProcessed } from '../canary/rule-canary.ts';
import { factValue } from '../core/facts.ts';
import { locationOfSide, toRuleId } from '../core/ids.ts';
import type { Change } from '../core/kind.ts';
import type { Location } from '../core/resource.ts';
import { diagnoseObject } from '../doctor/diagnose.ts';
import { collectObjectLocks } from '../facts/collect.ts';
import { locationsOf } from '../facts/locations.ts';
import { parseCanaryRule, toCanaryRuleId } from '../kinds/canary-rule.ts';
import { fromS3Rule, type RuleSpec } from '../kinds/replication-rule.ts';
import {
  addCanaryRules,
  idsOfDeclaredRules,
  type ReplicationChange,
  rulesWithWiderUse,
} from '../kinds/s3-replication.ts';
import { lookUpBucket, reachableAccounts } from '../prune/locate-orphans.ts';
import { exclusionReason } from '../spec/rule-fields.ts';
import type { BucketReplication, Rule, Specs } from '../spec/types.ts';

/** Options of canary first. */
export interface CanaryFirstOptions {
  specs: Specs;
  /** Test the rules of all specs, in place of those with `rollout: canary`. */
  isForAll: boolean;
  /** Time limit for the replica of one canary, in milliseconds. */
  timeoutMs: number;
}

/** S3 replicates most objects within 15 minutes. */
export const CANARY_TIMEOUT_MS = 15 * 60_000;

/** Time for the removal of a temporary rule after its canaries, in milliseconds. */
const REMOVAL_MS = 5 * 60_000;

/** A changed rule and the temporary rule that tests it. */
interface RuleTest {
  pair: BucketReplication;
  rule: Rule;
  /** Id of the rule, and of the temporary rule. */
  ruleId: string;
  canaryId: string;
  /** Prefix of the keys of the canaries. */
  keyPrefix: string;
  /** The buckets that receive the canaries, through any rule. */
  sides: CanarySide[];
}

interface CanarySide extends Location {
  bucket: string;
}

/** The canaries to write before a change of rules. */
export interface CanaryFirst {
  tests: RuleTest[];
  /** The change that adds the temporary rules. */
  addRules: Change;
  /** Ids of the temporary rules. */
  canaryIds: string[];
  /** Whether every rule that needs changed permissions is tested, so that no other wait is necessary. */
  coversAll: boolean;
}

/**
 * Returns the canaries to write before a change of the rules of an existing bucket. Undefined when no spec asks for
 * them. A change of the role concerns all rules of the bucket, so it takes no canaries.
 *
 * @param settleMs time for which canaries that fail are repeated
 * @throws Error when a bucket or its configuration does not permit canaries
 */
export async function planCanaryFirst(
  genericChange: Change,
  { specs, isForAll, timeoutMs }: CanaryFirstOptions,
  aws: AwsClient,
  settleMs: number,
): Promise<CanaryFirst | undefined> {
  const change = genericChange as ReplicationChange;
  const { current, desired } = change;
  const changedIds = rulesWithWiderUse(change);
  const ids = idsOfDeclaredRules(change.resource, current);
  if (changedIds.length === 0 || (current && current.spec.role !== desired.role)) return undefined;
  const nonce = randomBytes(3).toString('hex');
  const untilMs = aws.now() + timeoutMs + settleMs + REMOVAL_MS;
  const candidates = specs.pairs
    .filter(({ source, rollout }) => source.bucket === desired.bucket && (isForAll || rollout === 'canary'))
    .flatMap((pair) =>
      pair.rules.flatMap((rule): Omit<RuleTest, 'sides'>[] => {
        const ownId = toRuleId(pair.name, rule.name);
        const declaredId = rule.id ?? ownId;
        const ruleId = ids?.get(declaredId) ?? declaredId;
        if (!changedIds.includes(ruleId)) return [];
        const canaryId = toCanaryRuleId(ownId, untilMs, nonce);
        return [{ pair, rule, ruleId, canaryId, keyPrefix: `${canaryPrefixOf(rule)}${nonce}-` }];
      }),
    );
  if (candidates.length === 0) return undefined;
  for (const { rule, ruleId } of candidates) {
    const excluded = canaryExclusionReason(rule);
    if (excluded !== undefined)
      throw new Error(
        `canary first is not possible: the rule ${ruleId} excludes its canaries: ${excluded}; set rollout: wait`,
      );
  }
  const tests = await Promise.all(
    candidates.map(async (test) => ({ ...test, sides: await findReceivers(test, change, specs, aws) })),
  );
  await rejectLockedBuckets(tests, specs, aws);
  const canaryRules = tests.map(({ ruleId, canaryId, keyPrefix }) => ({
    id: canaryId,
    rule: desired.rules[ruleId] as RuleSpec,
    keyPrefix,
  }));
  return {
    tests,
    addRules: addCanaryRules(change, canaryRules) as Change,
    canaryIds: tests.map(({ canaryId }) => canaryId),
    coversAll: tests.length === changedIds.length,
  };
}

/**
 * Returns the buckets that receive the canaries of a test: those of the specs, and the destinations of existing rules
 * that select the canaries, which no spec may declare any more.
 *
 * @throws Error for a bucket from which replikey could not remove them
 */
async function findReceivers(
  { pair, rule, keyPrefix }: Omit<RuleTest, 'sides'>,
  { current }: ReplicationChange,
  specs: Specs,
  aws: AwsClient,
): Promise<CanarySide[]> {
  const declared = receivingSides(pair, specs.pairs).map((side): CanarySide => {
    const { bucket } = side;
    return { bucket, ...locationOfSide(side) };
  });
  const canaryTags = canaryTagsOf(rule);
  const hasTag = (name: string, value: string) => canaryTags[name] === value;
  const selectsCanaries = ({ status, prefix, tags, exclude }: RuleSpec) =>
    status === 'Enabled' &&
    keyPrefix.startsWith(prefix) &&
    Object.entries(tags).every(([name, value]) => hasTag(name, value)) &&
    exclusionReason(exclude, keyPrefix, hasTag) === undefined;
  const existingRules = [
    ...Object.values(current?.spec.rules ?? {}),
    ...(current?.foreign ?? []).map(fromS3Rule),
  ];
  const buckets = new Set(
    existingRules
      .filter(selectsCanaries)
      .map(({ destination }) => destination.split(':::')[1] ?? '')
      .filter((bucket) => !declared.some((side) => side.bucket === bucket)),
  );
  if (buckets.size === 0) return declared;
  const accounts = await reachableAccounts(specs, aws);
  const lookups = await Promise.all([...buckets].map((bucket) => lookUpBucket(bucket, accounts, aws)));
  const unreachable = lookups.filter(({ state }) => state === 'hidden').map(({ bucket }) => bucket);
  if (unreachable.length > 0)
    throw new Error(
      `canary first is not possible: an existing rule replicates canaries to ${unreachable.join(', ')}, from where replikey cannot remove them; set rollout: wait`,
    );
  const located = lookups.flatMap(({ bucket, location }) => (location ? [{ bucket, ...location }] : []));
  return [...declared, ...located];
}

/** @throws Error for a bucket with Object Lock: its canaries could not be removed. */
async function rejectLockedBuckets(tests: readonly RuleTest[], specs: Specs, aws: AwsClient): Promise<void> {
  const sides = new Map(tests.flatMap((test) => test.sides).map((side) => [side.bucket, side]));
  const locations = { ...locationsOf(specs, tests[0]?.pair.source.region ?? 'us-east-1'), buckets: sides };
  const locks = await collectObjectLocks(aws, sides.keys(), locations);
  const locked = [...sides.keys()].filter(
    (bucket) => factValue(factValue(locks[bucket])?.objectLock)?.ObjectLockEnabled === 'Enabled',
  );
  if (locked.length > 0)
    throw new Error(
      `canary first is not possible: ${locked.join(', ')} has Object Lock, which may keep the canaries; set rollout: wait`,
    );
}

/**
 * Tests the rules while their temporary rules are in effect, and removes the canaries.
 *
 * @throws Error with the cause, when a canary was not replicated as declared
 */
export async function runCanaryFirst(
  { tests }: CanaryFirst,
  { specs, timeoutMs }: CanaryFirstOptions,
  {
    aws,
    settleMs,
    signal,
    onCheck,
  }: { aws: AwsClient; settleMs: number; signal?: AbortSignal | undefined; onCheck: () => void },
): Promise<void> {
  const problems = await Promise.all(
    tests.map(async (test): Promise<string[]> => {
      const written: CanaryVersion[] = [];
      const problem = await testRule({
        ...test,
        aws,
        timeoutMs,
        settleMs,
        signal,
        onCheck,
        onWritten: (version) => written.push(version),
      }).then(
        () => [],
        async (error: Error) => {
          const cause = signal?.aborted ? [] : await explainCanary(test.pair, written, specs, aws);
          return [[`${test.ruleId}: ${error.message}`, ...cause].join('; ')];
        },
      );
      return [...problem, ...(await removeCanaries(test, written, aws, settleMs))];
    }),
  );
  if (problems.flat().length > 0)
    throw new Error(`the canary failed, so no rule was changed: ${problems.flat().join('; ')}`);
}

/** Returns the findings of the doctor about a canary, while its temporary rule is in effect. */
async function explainCanary(
  { source }: BucketReplication,
  written: readonly CanaryVersion[],
  specs: Specs,
  aws: AwsClient,
): Promise<string[]> {
  const key = written.at(-1)?.key;
  if (key === undefined) return [];
  try {
    const { proof } = await diagnoseObject(aws, source.bucket, key, {
      locations: locationsOf(specs, source.region),
      now: () => aws.now(),
    });
    const proofs = proof.taken.filter(({ rule }) => parseCanaryRule({ ID: rule } as never) !== undefined);
    return [
      ...new Set(
        proofs
          .flatMap(({ findings }) => findings)
          .filter(({ severity }) => severity === 'error')
          .map(({ code, message }) => `${code} ${message}`),
      ),
    ];
  } catch {
    return ['run reconcile doctor to find the cause'];
  }
}

/** Removes the canaries of a test. Returns a description of each version that could not be removed. */
async function removeCanaries(
  { pair, sides }: RuleTest,
  written: readonly CanaryVersion[],
  client: AwsClient,
  settleMs: number,
): Promise<string[]> {
  // The canaries are objects of this run alone, so their removal conflicts with no other process.
  const aws = client.uninterruptible().fenced(() => {});
  const failures = await Promise.all(
    written.map(async (canary) => {
      await waitUntilProcessed(pair, canary, aws, settleMs);
      return removeCanary(sides, canary.key, canary.version, aws);
    }),
  );
  return failures.flat().map((failure) => `could not remove the canary ${failure}`);
}
