import {
  FLEET_CATEGORIES,
  type FleetAccount,
  type FleetBucket,
  type FleetCategory,
  type FleetDiff,
  type FleetFinding,
  type FleetReport,
  type LocatedFinding,
} from '../fleet/types.ts';
import { durationText } from '../util/clock.ts';
import { escapeUnprintable } from '../util/escape.ts';
import { countText } from './proof-text.ts';
import type { Paint } from './style.ts';

/** Progress of a survey of all buckets. */
export interface FleetProgress {
  accounts: number;
  finishedAccounts: number;
  /** Numbers of buckets; those of accounts that are not listed yet are missing. */
  buckets: number;
  done: number;
  /** Buckets that an interrupted run had read. */
  doneBefore: number;
  /** Accounts that are listed, or cannot be. */
  listedAccounts: number;
  elapsedMs: number;
}

const numberText = (value: number): string => value.toLocaleString('en');

/** Returns the progress as one line, with an estimate of the remaining time. */
export function fleetProgressText(progress: FleetProgress): string {
  const { accounts, finishedAccounts, listedAccounts, buckets, done, doneBefore, elapsedMs } = progress;
  if (listedAccounts < accounts)
    return `listing buckets: ${numberText(listedAccounts)} of ${countText(accounts, 'account')}`;
  const read = done - doneBefore;
  const remainingMs = read > 0 ? ((buckets - done) * elapsedMs) / read : undefined;
  const left =
    remainingMs === undefined || done === buckets ? '' : `, about ${roundedDuration(remainingMs)} left`;
  return `surveyed ${numberText(done)} of ${countText(buckets, 'bucket')}, ${numberText(finishedAccounts)} of ${countText(accounts, 'account')}${left}`;
}

/** Rounds up: to minutes from two minutes on, to hours from two hours on. */
function roundedDuration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  const unit = seconds >= 7_200 ? 3_600 : seconds >= 120 ? 60 : 1;
  return durationText(Math.ceil(seconds / unit) * unit);
}

/** Findings of a category that are listed without `--verbose`. */
const MAX_LISTED = 20;

/** Returns the report on a fleet: the most severe category first, then the totals and the changes since the last run. */
export function fleetText(report: FleetReport, verbose: boolean, paint: Paint): string {
  const sections = (Object.keys(FLEET_CATEGORIES) as FleetCategory[]).flatMap((category) =>
    categoryLines(report, category, verbose, paint),
  );
  const unreadable = report.accounts.filter(({ error }) => error !== undefined);
  return [
    ...sections,
    ...unreadable.flatMap((account) => accountErrorLines(account, paint)),
    ...(unreadable.length > 0 ? [''] : []),
    ...(report.diff ? diffLines(report.diff, report.unverified?.length ?? 0, verbose, paint) : []),
    ...totalLines(report, paint),
  ].join('\n');
}

const SEVERITY_PAINT = { error: 'red', unknown: 'yellow', warning: 'yellow', info: 'dim' } as const;

function categoryLines(
  { buckets, totals }: FleetReport,
  category: FleetCategory,
  verbose: boolean,
  paint: Paint,
): string[] {
  const entries = buckets.flatMap((bucket) => {
    const findings = bucket.findings.filter((finding) => finding.category === category);
    return findings.length > 0 ? [{ bucket, findings }] : [];
  });
  if (entries.length === 0) return [];
  const listed = verbose ? entries : entries.slice(0, MAX_LISTED);
  const hidden = entries.length - listed.length;
  return [
    paint.bold(`${FLEET_CATEGORIES[category]}: ${countText(totals.byCategory[category], 'bucket')}`),
    ...listed.flatMap(({ bucket, findings }) => bucketLines(bucket, findings, paint)),
    ...(hidden > 0 ? [paint.dim(`  and ${countText(hidden, 'bucket')} more; -v shows all`)] : []),
    '',
  ];
}

function bucketLines(bucket: FleetBucket, findings: readonly FleetFinding[], paint: Paint): string[] {
  const place = [bucket.account, bucket.region].filter(Boolean).join(', ');
  const owner = bucket.specs
    ? `  spec ${bucket.specs.join(', ')}`
    : bucket.manager
      ? `  managed by ${bucket.manager}`
      : '';
  return [
    escapeUnprintable(`  ${bucket.name} (${place})${owner}`),
    ...findings.flatMap((finding) => [
      `    ${paint[SEVERITY_PAINT[finding.severity]](`${finding.severity} ${finding.code}`)} ${finding.title}${escapeUnprintable(ruleText(finding))}`,
      `      ${escapeUnprintable(finding.message)}`,
    ]),
  ];
}

const ruleText = ({ rule, destination }: FleetFinding): string =>
  destination === undefined ? '' : `: ${rule || '(rule without ID)'} → ${destination}`;

const accountErrorLines = ({ id, name, error }: FleetAccount, paint: Paint): string[] => [
  `${paint.yellow('?')} ${escapeUnprintable(`account ${[id, name && name !== id && `(${name})`].filter(Boolean).join(' ')} could not be read: ${error}`)}`,
];

function diffLines(
  { since, added, resolved, changed }: FleetDiff,
  unverified: number,
  verbose: boolean,
  paint: Paint,
): string[] {
  const changes = [
    ...added.map((finding) => ({ mark: paint.red('+'), finding })),
    ...changed.map(({ after }) => ({ mark: paint.yellow('~'), finding: after })),
    ...resolved.map((finding) => ({ mark: paint.green('-'), finding })),
  ];
  const lines = [...new Set(changes.map(({ mark, finding }) => `  ${mark} ${locatedText(finding)}`))];
  const listed = verbose ? lines : lines.slice(0, MAX_LISTED);
  const hidden = lines.length - listed.length;
  return [
    paint.bold(
      `Since the run of ${since}: ${added.length} new, ${changed.length} changed, ${resolved.length} resolved`,
    ),
    ...listed,
    ...(hidden > 0 ? [paint.dim(`  and ${numberText(hidden)} more; -v shows all`)] : []),
    ...(unverified > 0
      ? [
          `  ? ${countText(unverified, 'earlier finding')} could not be checked: something is unknown, or was not surveyed`,
        ]
      : []),
    '',
  ];
}

const locatedText = (finding: LocatedFinding): string =>
  `${finding.code} ${finding.title}: ${escapeUnprintable(`${finding.bucket} (${finding.account})${ruleText(finding).replace(/^:/, ' ')}`)}`;

/** Returns why control policies were not read, or the option that reads them. */
function unreadText([first, ...others]: readonly string[]): string {
  if (first === undefined) return ' (--organization-account)';
  const more = others.length > 0 ? ` (and ${countText(others.length, 'other reason')})` : '';
  return `: ${escapeUnprintable(first)}${more}`;
}

function totalLines({ totals, regions }: FleetReport, paint: Paint): string[] {
  const { byVerdict } = totals;
  const reasons = Object.entries(totals.unknownReasons).map(
    ([reason, count]) => `${numberText(count)} × ${reason}`,
  );
  const { requests = 0, dependent = 0, unread = [] } = totals.controlPolicies ?? {};
  const inRegions = regions ? ` in ${regions.join(', ')}` : '';
  return [
    paint.bold(
      `${countText(totals.total, 'bucket')}${inRegions} of ${countText(totals.accounts, 'account')}: ${numberText(totals.replicating)} with replication, ${numberText(totals.withoutReplication)} without, ${numberText(totals.unknown)} unknown`,
    ),
    `${countText(totals.rules, 'rule')}: ${numberText(byVerdict.proven)} proven, ${numberText(byVerdict.broken)} broken, ${numberText(byVerdict.unknown)} unknown, ${numberText(byVerdict.off)} off`,
    ...(totals.unreadableAccounts > 0
      ? [
          paint.yellow(
            `${countText(totals.unreadableAccounts, 'account')} could not be read completely, so the numbers do not include all of their buckets`,
          ),
        ]
      : []),
    ...(dependent > 0
      ? [
          `${numberText(dependent)} of ${countText(requests, 'request')} of S3 depend on control policies that were not read${unreadText(unread)}`,
        ]
      : []),
    ...(reasons.length > 0 ? [`unknown because of: ${escapeUnprintable(reasons.join(', '))}`] : []),
  ];
}
