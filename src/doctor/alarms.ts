import { type Facts, factValue } from '../core/facts.ts';
import type { Aws, Location } from '../core/resource.ts';
import { readAlarms, readTopics } from '../facts/alarms.ts';
import { type Locations, locationOfArn } from '../facts/locations.ts';
import {
  type AlarmedRule,
  type AlarmFinding,
  alarmFindings,
  rulesWithoutAlarm,
  topicsOfAlarms,
} from '../proof/alarm-findings.ts';
import { destinationBucketOf } from '../proof/rule-context.ts';
import type { RuleProof } from '../proof/types.ts';
import { regionOfArn } from '../util/arn.ts';
import { omitUndefined } from '../util/canonical-json.ts';

/**
 * Adds findings about the alarms on the replication metrics of some buckets. S3 publishes some metrics in the Region of
 * the source and some in that of the destination, so it reads the alarms of both.
 */
export async function addAlarmFindings(
  aws: Aws,
  proofs: readonly RuleProof[],
  facts: Facts,
  buckets: readonly string[],
  locations: Locations,
): Promise<RuleProof[]> {
  const rulesByAccount = new Map<string | undefined, AlarmedRule[]>();
  for (const bucket of buckets) {
    const { account } = locations.buckets.get(bucket) ?? locations.sharedWith?.get(bucket) ?? {};
    rulesByAccount.set(account, [...(rulesByAccount.get(account) ?? []), ...rulesOfBucket(facts, bucket)]);
  }
  const findings = await Promise.all(
    [...rulesByAccount].map(([account, rules]) => findingsOfAccount(aws, account, rules, locations)),
  );
  return attachFindings(proofs, findings.flat());
}

/**
 * Returns the ids of the enabled rules of a bucket whose failures no alarm watches. With a client that caches, after
 * `addAlarmFindings`, it makes no call.
 */
export async function findRulesWithoutAlarm(
  aws: Aws,
  facts: Facts,
  bucket: string,
  locations: Locations,
): Promise<string[]> {
  const rules = rulesOfBucket(facts, bucket);
  const { account } = locations.buckets.get(bucket) ?? {};
  const located = await readAlarmsOfRules(aws, account, rules);
  return rulesWithoutAlarm(rules, located).map(({ id }) => id);
}

async function findingsOfAccount(
  aws: Aws,
  account: string | undefined,
  rules: readonly AlarmedRule[],
  locations: Locations,
): Promise<AlarmFinding[]> {
  const located = await readAlarmsOfRules(aws, account, rules);
  const topics = await readTopics(aws, topicsOfAlarms(rules, located), (arn) =>
    locationOfArn(arn, locations, regionOfArn(arn)),
  );
  return alarmFindings(rules, located, topics);
}

function readAlarmsOfRules(aws: Aws, account: string | undefined, rules: readonly AlarmedRule[]) {
  const regions = new Set(
    rules.flatMap(({ source, destination }) => [source.region, destination.region ?? []]).flat(),
  );
  return Promise.all(
    [...regions].map((region) => readAlarms(aws, omitUndefined({ account, region }) as Location)),
  );
}

function rulesOfBucket(facts: Facts, bucket: string): AlarmedRule[] {
  const source = factValue(facts.buckets[bucket]);
  const configuration = factValue(source?.replication);
  if (!source || !configuration) return [];
  return configuration.Rules.map((rule) => {
    const destination = destinationBucketOf(rule);
    return {
      id: rule.ID ?? '',
      source: { bucket, region: source.region },
      destination: omitUndefined({
        bucket: destination,
        region: factValue(facts.buckets[destination])?.region,
      }),
      hasMetrics: rule.Destination?.Metrics?.Status === 'Enabled',
    };
  });
}

/** Attaches each finding to its rule; one that concerns no single rule to the first rule of its bucket. */
function attachFindings(proofs: readonly RuleProof[], findings: readonly AlarmFinding[]): RuleProof[] {
  const attached = new Map<RuleProof, RuleProof>();
  for (const { bucket, rule, finding } of findings) {
    const ofBucket = proofs.filter((proof) => proof.bucket === bucket);
    const proof = ofBucket.find((candidate) => candidate.rule === rule) ?? ofBucket[0];
    if (!proof) continue;
    const current = attached.get(proof) ?? proof;
    attached.set(proof, { ...current, findings: [...current.findings, finding] });
  }
  return proofs.map((proof) => attached.get(proof) ?? proof);
}
