import { compareCodeUnits, omitUndefined, toSortedSet } from '../util/canonical-json.ts';
import { type NewBucket, rankOfCategory } from './bucket-report.ts';
import {
  FLEET_CATEGORIES,
  type FleetAccount,
  type FleetBucket,
  type FleetCategory,
  type FleetDiff,
  type FleetFinding,
  type FleetReport,
  type FleetTotals,
  type LocatedFinding,
  type UnverifiedFinding,
} from './types.ts';

/** The result of a survey, before the comparison with the last run. */
export interface SurveyResult {
  startedAt: string;
  endedAt: string;
  regions?: string[];
  accounts: FleetAccount[];
  buckets: NewBucket[];
}

/** Assembles the report: order, totals, and the comparison with the last complete run. Pure. */
export function assembleReport(result: SurveyResult, previous: FleetReport | undefined): FleetReport {
  const { startedAt, endedAt, regions } = result;
  const sinceByKey = new Map(
    (previous ? earlierFindings(previous) : []).map((finding) => [findingKey(finding), finding.since]),
  );
  const buckets = result.buckets
    .map((bucket): FleetBucket => {
      const withSince = (finding: NewBucket['findings'][number]): FleetFinding => {
        const located = { ...finding, account: bucket.account, bucket: bucket.name };
        return { ...finding, since: sinceByKey.get(findingKey(located)) ?? startedAt };
      };
      return { ...bucket, findings: bucket.findings.map(withSince) };
    })
    .sort(compareBuckets);
  const accounts = [...result.accounts].sort((a, b) => compareCodeUnits(a.id, b.id));
  const comparison = previous && compareReports(previous, { regions, accounts, buckets });
  return omitUndefined({
    format: 1 as const,
    startedAt,
    endedAt,
    regions,
    accounts,
    buckets,
    totals: totalsOf(accounts, buckets),
    diff: comparison?.diff,
    unverified: comparison?.unverified.length === 0 ? undefined : comparison?.unverified,
  });
}

function compareBuckets(a: FleetBucket, b: FleetBucket): number {
  const rank = ({ findings: [worst] }: FleetBucket): number =>
    worst ? rankOfCategory(worst.category) : Number.POSITIVE_INFINITY;
  const [rankA, rankB] = [rank(a), rank(b)];
  if (rankA !== rankB) return rankA < rankB ? -1 : 1;
  return compareCodeUnits(a.account, b.account) || compareCodeUnits(a.name, b.name);
}

function totalsOf(accounts: readonly FleetAccount[], buckets: readonly FleetBucket[]): FleetTotals {
  const sum = (field: 'total' | 'replicating' | 'withoutReplication' | 'unknown'): number =>
    accounts.reduce((total, { totals }) => total + totals[field], 0);
  const byVerdict = { proven: 0, broken: 0, unknown: 0, off: 0 };
  for (const { verdict } of buckets.flatMap(({ rules }) => rules)) byVerdict[verdict] += 1;
  const byCategory = Object.fromEntries(
    (Object.keys(FLEET_CATEGORIES) as FleetCategory[]).map((category) => [
      category,
      buckets.filter(({ findings }) => findings.some((finding) => finding.category === category)).length,
    ]),
  ) as FleetTotals['byCategory'];
  const unknownReasons: Record<string, number> = {};
  const reasons = [
    ...accounts.flatMap(({ error }) => error ?? []),
    ...buckets.flatMap(({ rules, findings: [finding] }) =>
      rules.length === 0 && finding ? finding.message : [],
    ),
  ];
  for (const reason of reasons.map(reasonOf)) unknownReasons[reason] = (unknownReasons[reason] ?? 0) + 1;
  const unread = toSortedSet(
    buckets.flatMap(({ rules }) => rules).flatMap(({ controlPolicies }) => controlPolicies?.unread ?? []),
  );
  return {
    total: sum('total'),
    replicating: sum('replicating'),
    withoutReplication: sum('withoutReplication'),
    unknown: sum('unknown'),
    accounts: accounts.length,
    unreadableAccounts: accounts.filter(({ error }) => error !== undefined).length,
    rules: buckets.reduce((count, { rules }) => count + rules.length, 0),
    byVerdict,
    byCategory,
    unknownReasons,
    controlPolicies: omitUndefined({
      requests: sumOfRules(buckets, 'requests'),
      dependent: sumOfRules(buckets, 'dependent'),
      unread: unread.length > 0 ? unread : undefined,
    }),
  };
}

const sumOfRules = (buckets: readonly FleetBucket[], count: 'requests' | 'dependent'): number =>
  buckets
    .flatMap(({ rules }) => rules)
    .reduce((sum, { controlPolicies }) => sum + (controlPolicies?.[count] ?? 0), 0);

/** Returns the error code of AWS in a reason: `AccessDenied`; for a reason without one, its first part. */
const reasonOf = (message: string): string =>
  /(?:^|\s)([A-Z]\w+[a-z]\w*)(?: \(HTTP \d+\))?: /.exec(message)?.[1] ??
  /\(HTTP (\d+)\)/.exec(message)?.[0].slice(1, -1) ??
  message.split(/[:;]/)[0] ??
  message;

/** Returns what identifies a finding in several runs. Its message may change. */
const findingKey = ({
  account,
  bucket,
  rule,
  destination,
  category,
  code,
}: Omit<LocatedFinding, 'since'>): string =>
  JSON.stringify([account, bucket, rule ?? null, destination ?? null, category, code]);

const locatedFindings = (buckets: readonly FleetBucket[]): LocatedFinding[] =>
  buckets.flatMap(({ account, name, findings }) =>
    findings.map((finding) => ({ ...finding, account, bucket: name })),
  );

/** Returns the findings of a report, and those of earlier runs that it could not check. */
const earlierFindings = ({ buckets, unverified = [] }: FleetReport): UnverifiedFinding[] => {
  const regions = new Map(buckets.map(({ account, name, region }) => [`${account} ${name}`, region]));
  return [
    ...locatedFindings(buckets).map((finding) =>
      omitUndefined({ ...finding, region: regions.get(`${finding.account} ${finding.bucket}`) }),
    ),
    ...unverified,
  ];
};

/** Groups findings by their key: one rule may have several findings of one code. */
function groupByKey<T extends LocatedFinding>(findings: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const finding of findings) {
    const key = findingKey(finding);
    groups.set(key, [...(groups.get(key) ?? []), finding]);
  }
  return groups;
}

/** Returns what may change in a finding. Every response of AWS has another request id. */
const comparedContentOf = ({ severity, message }: LocatedFinding): string =>
  `${severity} ${message.replace(/, request [\w-]+/g, '')}`;

type CurrentReport = Pick<FleetReport, 'accounts' | 'buckets'> & { regions: string[] | undefined };

/**
 * Returns a function that decides whether this run has read everything on which an earlier finding depends, so that its
 * absence is known. If something about a rule or its destination is unknown, none of their earlier findings is resolved.
 */
function createVerifier({
  regions,
  accounts,
  buckets,
}: CurrentReport): (finding: UnverifiedFinding) => boolean {
  const readAccounts = new Set(accounts.flatMap(({ id, error }) => (error === undefined ? id : [])));
  const bucketsByName = new Map(buckets.map((bucket) => [bucket.name, bucket]));
  const isCovered = (finding: LocatedFinding, bucket: FleetBucket): boolean => {
    if (bucket.rules.length === 0) return false;
    const { rule, destination, category } = finding;
    // A rule that no longer exists has no findings, and an unknown finding that is gone has been decided.
    const isGone =
      rule !== undefined &&
      !bucket.rules.some((each) => each.id === rule && each.destination === destination);
    if (isGone || category === 'unknown') return true;
    const unknown = bucket.findings.filter((each) => each.category === 'unknown');
    return !unknown.some(
      (each) => each.rule === rule || (each.destination !== undefined && each.destination === destination),
    );
  };
  return (finding) => {
    if (!readAccounts.has(finding.account)) return false;
    if (regions && finding.region !== undefined && !regions.includes(finding.region)) return false;
    const bucket = bucketsByName.get(finding.bucket);
    return bucket === undefined || isCovered(finding, bucket);
  };
}

function compareReports(
  previous: FleetReport,
  current: CurrentReport,
): { diff: FleetDiff; unverified: UnverifiedFinding[] } {
  const isVerified = createVerifier(current);
  const before = groupByKey(earlierFindings(previous));
  const after = groupByKey(locatedFindings(current.buckets));
  const diff: FleetDiff = { since: previous.startedAt, added: [], resolved: [], changed: [] };
  const unverified: UnverifiedFinding[] = [];
  const addAbsent = (findings: readonly UnverifiedFinding[]): void => {
    for (const finding of findings) {
      if (!isVerified(finding)) unverified.push(finding);
      else diff.resolved.push(withoutRegion(finding));
    }
  };
  for (const [key, findings] of after) {
    const earlier = before.get(key) ?? [];
    const contents = new Set(earlier.map(comparedContentOf));
    const different = findings.filter((finding) => !contents.delete(comparedContentOf(finding)));
    const gone = earlier.filter((finding) => contents.has(comparedContentOf(finding)));
    for (const [index, finding] of different.entries()) {
      const match = gone[index];
      if (match) diff.changed.push({ before: withoutRegion(match), after: finding });
      else diff.added.push(finding);
    }
    addAbsent(gone.slice(different.length));
  }
  for (const [key, findings] of before) if (!after.has(key)) addAbsent(findings);
  return { diff, unverified };
}

const withoutRegion = ({ region: _, ...finding }: UnverifiedFinding): LocatedFinding => finding;
