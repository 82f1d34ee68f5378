import type { NewBucket, NewFinding } from '../../src/fleet/bucket-report.ts';
import { assembleReport } from '../../src/fleet/report.ts';
import type { FleetCategory, FleetReport } from '../../src/fleet/types.ts';
import { createFinding, type FindingCode } from '../../src/proof/findings.ts';

const STARTED = '2026-11-26T20:00:00.000Z';
const EARLIER = '2026-11-19T20:00:00.000Z';

/** Texts that a bucket owner could choose, to attack a reader of a report. */
export const HOSTILE = {
  rule: '=HYPERLINK("http://evil.example","copy")',
  manager: "@SUM(1+1)*cmd|' /C calc'!A0",
  message: '</td><script>alert(1)</script> "quoted", O\'Brien & Sons\r\n+line 2 \u202eabc',
} as const;

const FAULTS: readonly [FleetCategory, FindingCode, string][] = [
  ['failing', 'RK1405', '214 of 3,120 operations within 24 hours failed, the first at 2026-11-26T10:02Z'],
  ['not-proven', 'RK1307', 'no identity policy of the role allows kms:Decrypt on the source key'],
  ['dangling-destination', 'RK1103', 'the bucket does not exist'],
  ['unmanaged', 'RK1703', 'no spec declares its rules'],
  ['metrics-disabled', 'RK1008', 'metrics are disabled: S3 sends no event when an object fails'],
  ['no-alarm', 'RK1704', 'no alarm in us-east-1 watches OperationsFailedReplication of the rule'],
];
const REGIONS = ['us-east-1', 'eu-west-1', 'eu-central-1'];

const accountId = (index: number): string => String(111_100_000_000 + index);

function finding(
  [category, code, message]: (typeof FAULTS)[number],
  about: Pick<NewFinding, 'rule' | 'destination'>,
): NewFinding {
  const { severity, title } = createFinding(code, message);
  // Recent failures are errors.
  return { category, severity: category === 'failing' ? 'error' : severity, code, title, message, ...about };
}

/** Returns a bucket; two of three have findings. */
function bucketAt(index: number, accounts: number): NewBucket {
  const name = `bucket-${String(index).padStart(5, '0')}`;
  const destination = `${name}-replica`;
  const fault = FAULTS[index % (FAULTS.length * 3)] ?? FAULTS[index % FAULTS.length];
  const about = { rule: 'copy', destination };
  const findings = index % 3 === 2 || !fault ? [] : [finding(fault, about)];
  const isBroken = findings.some(({ severity }) => severity === 'error');
  const verdict = isBroken ? 'broken' : 'proven';
  return {
    name,
    account: accountId(index % accounts),
    region: REGIONS[index % REGIONS.length] ?? '',
    verdict,
    manager: 'Terraform',
    rules: [{ id: 'copy', destination, verdict }],
    findings,
  };
}

/** Returns a report on a fleet, after an earlier run with another state of some buckets. */
export function fleetReport(count: number, accountCount = 3): FleetReport {
  const accounts = Array.from({ length: accountCount }, (_, index) => ({
    id: accountId(index),
    ...(index === 0 ? {} : { name: `team-${index}` }),
    access: `role arn:aws:iam::${accountId(index)}:role/audit`,
    ...(index === accountCount - 1
      ? { error: 'AccessDenied: not authorized to perform sts:AssumeRole' }
      : {}),
    totals: { total: count, replicating: count, withoutReplication: 0, unknown: 0 },
  }));
  const buckets = Array.from({ length: count }, (_, index) => bucketAt(index, accountCount - 1));
  const [worst = FAULTS[0]] = FAULTS;
  const hostile: NewBucket = {
    name: 'hostile',
    account: accountId(0),
    region: 'us-east-1',
    verdict: 'broken',
    manager: HOSTILE.manager,
    rules: [{ id: HOSTILE.rule, destination: 'replica', verdict: 'broken' }],
    findings: [
      finding([worst?.[0] ?? 'failing', 'RK1405', HOSTILE.message], {
        rule: HOSTILE.rule,
        destination: 'replica',
      }),
    ],
  };
  const sealed: NewBucket = {
    name: 'sealed',
    account: accountId(0),
    verdict: 'unknown',
    rules: [],
    findings: [finding(['unknown', 'RK1901', 'the bucket sealed cannot be read: AccessDenied'], {})],
  };
  const run = (startedAt: string, content: NewBucket[], previous?: FleetReport) =>
    assembleReport(
      { startedAt, endedAt: startedAt.replace(':00:00', ':07:30'), accounts, buckets: content },
      previous,
    );
  const before = run(EARLIER, [
    ...buckets.slice(1),
    { ...(buckets[2] as NewBucket), name: 'repaired', findings: hostile.findings },
  ]);
  return run(STARTED, [...buckets, hostile, sealed], before);
}
