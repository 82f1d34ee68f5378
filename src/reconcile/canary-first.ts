import { randomBytes } from 'node:crypto';
import type { AwsClient } from '../aws/client.ts';
import {
  type CanaryRoute,
  type CanaryVersion,
  canaryExclusionReason,
  canaryPrefixOf,
  LATE_REPLICA_MS,
  mayReplicaArrive,
  removeCanary,
  removeOrphanedCanaries,
} from '../canary/canary-object.ts';
import { CanaryRefusal, findRoute } from '../canary/canary-route.ts';
import { testRule, waitUntilProcessed } from '../canary/rule-canary.ts';
import { toRuleId } from '../core/ids.ts';
import type { Change } from '../core/kind.ts';
import { diagnoseObject } from '../doctor/diagnose.ts';
import { locationsOf } from '../facts/locations.ts';
import { parseCanaryRule, toCanaryRuleId } from '../kinds/canary-rule.ts';
import { fromS3Rule, type RuleSpec } from '../kinds/replication-rule.ts';
import {
  addCanaryRules,
  idsOfDeclaredRules,
  type ReplicationChange,
  rulesWithWiderUse,
} from '../kinds/s3-replication.ts';
import type { BucketReplication, Rule, Specs } from '../spec/types.ts';

/** Options of canary first. */
export interface CanaryFirstOptions {
  specs: Specs;
  /** Test the rules of all specs, in place of those with `rollout: canary`. */
  isForAll: boolean;
  /** Time limit for the replica of one canary, in milliseconds. */
  timeoutMs: number;
  /** Values of `--allow`. */
  allowedRisks: readonly string[];
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
  /** Time from which no run uses the canaries, in milliseconds since 1970. */
  expiresAt: number;
  /** The buckets that receive the canaries, through any rule. */
  route: CanaryRoute;
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
  options: CanaryFirstOptions,
  aws: AwsClient,
  settleMs: number,
): Promise<CanaryFirst | undefined> {
  const { specs, isForAll, timeoutMs } = options;
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
      pair.rules.flatMap((rule): Omit<RuleTest, 'route'>[] => {
        const ownId = toRuleId(pair.name, rule.name);
        const declaredId = rule.id ?? ownId;
        const ruleId = ids?.get(declaredId) ?? declaredId;
        if (!changedIds.includes(ruleId)) return [];
        const canaryId = toCanaryRuleId(ownId, untilMs, nonce);
        const keyPrefix = `${canaryPrefixOf(rule)}${nonce}-`;
        return [{ pair, rule, ruleId, canaryId, keyPrefix, expiresAt: untilMs }];
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
    candidates.map(async (test) => ({ ...test, route: await findTestRoute(test, change, options, aws) })),
  );
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

/** @throws Error for a bucket from which replikey could not remove the canaries */
async function findTestRoute(
  { pair, rule, keyPrefix }: Omit<RuleTest, 'route'>,
  { current }: ReplicationChange,
  { specs, allowedRisks }: CanaryFirstOptions,
  aws: AwsClient,
): Promise<CanaryRoute> {
  const existingRules = [
    ...Object.values(current?.spec.rules ?? {}),
    ...(current?.foreign ?? []).map(fromS3Rule),
  ];
  try {
    return await findRoute(pair, rule, keyPrefix, existingRules, { aws, specs, allowedRisks });
  } catch (error) {
    if (!(error instanceof CanaryRefusal)) throw error;
    throw new Error(`canary first is not possible: ${error.message}; or set rollout: wait`, { cause: error });
  }
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
      await removeOrphanedCanaries(test.route, canaryPrefixOf(test.rule), aws);
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
      return [...problem, ...(await removeCanaries(test, written, aws, settleMs, signal))];
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

/**
 * Removes the canaries of a test, without those that `--allow canary-retained` permits to stay. Returns a description
 * of each other version that could not be removed.
 */
async function removeCanaries(
  { pair, route }: RuleTest,
  written: readonly CanaryVersion[],
  aws: AwsClient,
  settleMs: number,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const failures = await Promise.all(
    written.map(async (canary) => {
      const status = await waitUntilProcessed(pair, canary, aws, settleMs);
      return removeCanary(route, canary, {
        aws,
        mayStillArrive: mayReplicaArrive(status, route),
        lateReplicaMs: Math.min(settleMs, LATE_REPLICA_MS),
        signal,
      });
    }),
  );
  return failures.flat().map((failure) => `could not remove the canary ${failure}`);
}
