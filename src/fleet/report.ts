import { compareCodeUnits, omitUndefined } from '../util/canonical-json.ts';
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
    locatedFindings(previous?.buckets ?? []).map((finding) => [findingKey(finding), finding.since]),
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
  return omitUndefined({
    format: 1 as const,
    startedAt,
    endedAt,
    regions,
    accounts,
    buckets,
    totals: totalsOf(accounts, buckets),
    diff: previous && diffReports(previous, { startedAt, regions, accounts, buckets }),
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
    controlPolicies: {
      requests: sumOfRules(buckets, 'requests'),
      dependent: sumOfRules(buckets, 'dependent'),
    },
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

/** Groups findings by their key: one rule may have several findings of one code. */
function groupByKey(findings: readonly LocatedFinding[]): Map<string, LocatedFinding[]> {
  const groups = new Map<string, LocatedFinding[]>();
  for (const finding of findings) {
    const key = findingKey(finding);
    groups.set(key, [...(groups.get(key) ?? []), finding]);
  }
  return groups;
}

/** Returns what may change in a finding. Every response of AWS has another request id. */
const comparedContentOf = ({ severity, message }: LocatedFinding): string =>
  `${severity} ${message.replace(/, request [\w-]+/g, '')}`;

function diffReports(
  previous: FleetReport,
  current: Pick<FleetReport, 'startedAt' | 'accounts' | 'buckets'> & { regions: string[] | undefined },
): FleetDiff {
  const readAccounts = new Set(current.accounts.flatMap(({ id, error }) => (error === undefined ? id : [])));
  const unknownBuckets = new Set(
    current.buckets.flatMap(({ name, rules }) => (rules.length === 0 ? name : [])),
  );
  const regionByBucket = new Map(previous.buckets.map(({ name, region }) => [name, region]));
  const wasSurveyed = ({ account, bucket }: LocatedFinding): boolean => {
    const region = regionByBucket.get(bucket);
    const isInRegions = !current.regions || region === undefined || current.regions.includes(region);
    return readAccounts.has(account) && !unknownBuckets.has(bucket) && isInRegions;
  };
  const before = groupByKey(locatedFindings(previous.buckets));
  const after = groupByKey(locatedFindings(current.buckets));
  const diff: FleetDiff = { since: previous.startedAt, added: [], resolved: [], changed: [] };
  for (const [key, findings] of after) {
    const earlier = before.get(key) ?? [];
    const contents = new Set(earlier.map(comparedContentOf));
    const different = findings.filter((finding) => !contents.delete(comparedContentOf(finding)));
    const gone = earlier.filter((finding) => contents.has(comparedContentOf(finding)));
    for (const [index, finding] of different.entries()) {
      const match = gone[index];
      if (match) diff.changed.push({ before: match, after: finding });
      else diff.added.push(finding);
    }
    diff.resolved.push(...gone.slice(different.length));
  }
  for (const [key, findings] of before)
    if (!after.has(key)) diff.resolved.push(...findings.filter(wasSurveyed));
  return diff;
}
