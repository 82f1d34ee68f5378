import type { ReplicationRule } from '@aws-sdk/client-s3';
import { isReplikeyRule, specNameOfRule } from '../core/ids.ts';
import type { ObjectStatusReport } from '../doctor/object-status.ts';
import type { RuleMetricsReport } from '../doctor/rule-metrics.ts';
import { createFinding, type Finding, type FindingCode, SEVERITY_ORDER } from '../proof/findings.ts';
import type { RuleProof } from '../proof/types.ts';
import { omitUndefined, toSortedSet } from '../util/canonical-json.ts';
import { type DestinationOwner, destinationFinding } from './destinations.ts';
import {
  FLEET_CATEGORIES,
  type FleetBucket,
  type FleetCategory,
  type FleetFinding,
  type FleetRule,
} from './types.ts';

/** What was read about a bucket with a replication configuration. */
export interface BucketReadings {
  name: string;
  account: string;
  region: string;
  rules: readonly ReplicationRule[];
  proofs: readonly RuleProof[];
  metrics: readonly RuleMetricsReport[];
  objects: readonly ObjectStatusReport[];
  /** By bucket name. */
  destinations: ReadonlyMap<string, DestinationOwner>;
  /** IDs of enabled rules whose failures no alarm watches. */
  rulesWithoutAlarm: readonly string[];
  /** Names of specs that declare the bucket as a source. */
  declaredBy: readonly string[];
  /** The tool that manages the bucket according to its tags. */
  manager: Manager;
}

/** `not read`: the rules show what manages the configuration. */
export type Manager = { name: string } | 'none' | 'not read' | { unread: string };

/** A finding before the comparison with earlier runs. */
export type NewFinding = Omit<FleetFinding, 'since'>;
/** A bucket before the comparison with earlier runs. */
export type NewBucket = Omit<FleetBucket, 'findings'> & { findings: NewFinding[] };

/** Categories of the findings of the proof that have one of their own. Other errors are `not-proven`. */
const CATEGORY_BY_CODE: Partial<Record<FindingCode, FleetCategory>> = {
  RK1008: 'metrics-disabled',
  RK1009: 'v1-rules',
  RK1103: 'dangling-destination',
  RK1105: 'destination-taken-over',
  RK1501: 'no-alarm',
  RK1502: 'no-alarm',
  RK1503: 'unknown',
};

function categoryOf({ code, severity }: Finding): FleetCategory | undefined {
  const category = CATEGORY_BY_CODE[code];
  if (category) return category;
  return { error: 'not-proven', unknown: 'unknown', warning: 'warning', info: undefined }[severity] as
    | FleetCategory
    | undefined;
}

/** Combines what was read about a bucket into its report. Pure. */
export function reportBucket(readings: BucketReadings): NewBucket {
  const { name, account, region, proofs, destinations } = readings;
  const specs = specsOf(readings);
  const findings = sortFindings(
    mergeUnknown([
      ...proofs.flatMap((proof) => proofFindings(proof, readings)),
      ...readings.metrics
        .filter(({ destination }) => !isUnreadable(destinations.get(destination)))
        .flatMap(metricFindings),
      ...readings.objects.flatMap(sampleFindings),
      ...managementFindings(readings),
    ]),
  );
  const rules = proofs
    .filter(({ destination }) => destination !== '')
    .map(({ rule, destination, verdict, basis }): FleetRule => {
      const hasError = findings.some((finding) => finding.severity === 'error' && finding.rule === rule);
      const owner = destinations.get(destination);
      return omitUndefined({
        id: rule,
        destination,
        destinationAccount: owner?.status === 'owned' ? owner.account : undefined,
        verdict: hasError ? 'broken' : (verdict as FleetRule['verdict']),
        controlPolicies:
          basis &&
          omitUndefined({
            requests: basis.controlPolicies.requests,
            dependent: basis.controlPolicies.dependent,
            unread: basis.controlPolicies.unread.length > 0 ? basis.controlPolicies.unread : undefined,
          }),
      });
    });
  return omitUndefined({
    name,
    account,
    region,
    verdict: bucketVerdict(findings, rules),
    specs: specs.length > 0 ? specs : undefined,
    manager:
      typeof readings.manager === 'object' && 'name' in readings.manager ? readings.manager.name : undefined,
    rules,
    findings,
  });
}

/** Reports a bucket that could not be read. */
export const unknownBucket = (
  bucket: Pick<FleetBucket, 'name' | 'account' | 'region'>,
  reason: string,
): NewBucket => ({
  ...bucket,
  verdict: 'unknown',
  rules: [],
  findings: [
    toFleetFinding(createFinding('RK1901', `the bucket ${bucket.name} cannot be read: ${reason}`), 'unknown'),
  ],
});

function bucketVerdict(findings: readonly NewFinding[], rules: readonly FleetRule[]): FleetBucket['verdict'] {
  if (findings.some(({ severity }) => severity === 'error')) return 'broken';
  const isUndecided = findings.some(({ category }) => category === 'unknown');
  if (isUndecided || rules.length === 0 || rules.some(({ verdict }) => verdict === 'unknown'))
    return 'unknown';
  return rules.every(({ verdict }) => verdict === 'off') ? 'off' : 'proven';
}

const CATEGORY_ORDER = Object.keys(FLEET_CATEGORIES) as FleetCategory[];

/** Returns the rank of a category; 0 is the most severe. */
export const rankOfCategory = (category: FleetCategory): number => CATEGORY_ORDER.indexOf(category);

const sortFindings = (findings: readonly NewFinding[]): NewFinding[] =>
  [...findings].sort(
    (a, b) =>
      rankOfCategory(a.category) - rankOfCategory(b.category) ||
      SEVERITY_ORDER.indexOf(a.severity) - SEVERITY_ORDER.indexOf(b.severity),
  );

function toFleetFinding(
  { code, severity, title, message }: Finding,
  category: FleetCategory,
  about: Pick<FleetFinding, 'rule' | 'destination'> = {},
): NewFinding {
  return { category, severity, code, title, message, ...about };
}

/** Failures within the window decide the verdict. Older failures are worth a look. */
const metricFindings = ({ rule, destination, verdict, findings }: RuleMetricsReport): NewFinding[] =>
  findings.map((finding) => {
    const about = { rule, destination };
    if (finding.code !== 'RK1405') return toFleetFinding(finding, 'unknown', about);
    return verdict === 'broken'
      ? toFleetFinding({ ...finding, severity: 'error' }, 'failing', about)
      : toFleetFinding(finding, 'warning', about);
  });

const sampleFindings = ({ verdict, findings }: ObjectStatusReport): NewFinding[] =>
  findings.map((finding) => {
    if (finding.severity === 'unknown') return toFleetFinding(finding, 'unknown');
    return verdict === 'broken' && finding.code !== 'RK1402'
      ? toFleetFinding({ ...finding, severity: 'error' }, 'failing')
      : toFleetFinding(finding, 'warning');
  });

/** Whether S3 has no metrics of the destination's Region, or replikey cannot know that Region: the cause is reported. */
const isUnreadable = (destination: DestinationOwner | undefined): boolean =>
  destination?.status === 'absent' || destination?.status === 'elsewhere';

/** Keeps the first unknown finding of each code and rule: a document that cannot be read makes many requests unknown. */
function mergeUnknown(findings: readonly NewFinding[]): NewFinding[] {
  const merged = new Map<string, { finding: NewFinding; count: number }>();
  for (const [index, finding] of findings.entries()) {
    const { severity, code, rule, destination } = finding;
    const key = JSON.stringify(severity === 'unknown' ? [code, rule, destination] : index);
    const entry = merged.get(key) ?? { finding, count: 0 };
    merged.set(key, { ...entry, count: entry.count + 1 });
  }
  return [...merged.values()].map(({ finding, count }) =>
    count === 1 ? finding : { ...finding, message: `${finding.message}; and ${count - 1} more` },
  );
}

function proofFindings(proof: RuleProof, readings: BucketReadings): NewFinding[] {
  const about = proof.destination === '' ? {} : { rule: proof.rule, destination: proof.destination };
  if (proof.verdict === 'off') return [];
  const rule = readings.rules.find(({ ID = '' }) => ID === proof.rule);
  const expectedOwner = rule?.Destination?.Account;
  const destination = readings.destinations.get(proof.destination);
  const owner = destination && destinationFinding(destination, proof.destination, expectedOwner);
  // The documents of another owner cannot be read, which is a consequence of the ownership.
  const isConsequence = ({ severity, message }: Finding): boolean =>
    severity === 'unknown' &&
    destination?.status === 'elsewhere' &&
    (message.includes(proof.destination) || message.includes(`:${expectedOwner}:`));
  const findings = proof.findings.flatMap((finding) => {
    const category = categoryOf(finding);
    return category === undefined || (owner && isConsequence(finding))
      ? []
      : [
          toFleetFinding(
            finding.code === 'RK1103'
              ? {
                  ...finding,
                  message: `${finding.message}, and any account can create a bucket of this name`,
                }
              : finding,
            category,
            about,
          ),
        ];
  });
  return [
    ...findings,
    ...(owner
      ? [
          toFleetFinding(
            owner,
            owner.code === 'RK1702'
              ? 'foreign-destination'
              : owner.code === 'RK1701'
                ? 'destination-taken-over'
                : 'unknown',
            about,
          ),
        ]
      : []),
    ...(readings.rulesWithoutAlarm.includes(proof.rule)
      ? [
          toFleetFinding(
            createFinding(
              'RK1704',
              `no alarm in ${readings.region} watches OperationsFailedReplication of the rule`,
            ),
            'no-alarm',
            about,
          ),
        ]
      : []),
  ];
}

/** Returns the specs that declare rules of the bucket, by the ids of the rules and by the specs that were given. */
const specsOf = ({ rules, declaredBy }: BucketReadings): string[] =>
  toSortedSet([
    ...declaredBy,
    ...rules.flatMap(({ ID = '' }) => (isReplikeyRule(ID) ? specNameOfRule(ID) : [])),
  ]);

/** Returns the rules that no spec declares. */
export const undeclaredRulesOf = (
  rules: readonly ReplicationRule[],
  declaredBy: readonly string[],
): readonly ReplicationRule[] => (declaredBy.length > 0 ? [] : rules.filter(({ ID }) => !isReplikeyRule(ID)));

function managementFindings({ name, rules, declaredBy, manager }: BucketReadings): NewFinding[] {
  const foreignRules = undeclaredRulesOf(rules, declaredBy);
  if (foreignRules.length === 0 || manager === 'not read') return [];
  if (typeof manager === 'object' && 'name' in manager) return [];
  if (manager !== 'none') {
    const message = `the tags of ${name} cannot be read, so it is unknown whether a tool manages its replication: ${manager.unread}`;
    return [toFleetFinding(createFinding('RK1901', message), 'unknown')];
  }
  const subject =
    foreignRules.length === rules.length
      ? 'its rules'
      : `${foreignRules.length} of its ${rules.length} rules`;
  const message = `no spec declares ${subject}, and ${name} has no tag of a tool that manages it; reconcile import --bucket ${name} prints a spec`;
  return [toFleetFinding(createFinding('RK1703', message), 'unmanaged')];
}
