import type { Condition, ConditionType } from '../../src/controller/conditions.ts';
import type { ControllerStatus, FailureBurst, PairStatus } from '../../src/controller/status.ts';
import type { ReplicationMetrics } from '../../src/facts/replication-metrics.ts';

/** The time of the status, in milliseconds since 1970. */
export const FLEET_NOW = Date.parse('2026-11-26T21:20:00.000Z');

const minutesAgo = (minutes: number): string => new Date(FLEET_NOW - minutes * 60_000).toISOString();

const NAMES = [
  'tax',
  'ledgers',
  'invoices',
  'payroll',
  'claims',
  'scans',
  'exports',
  'archive',
  'audit',
  'media',
];
const ROUTES = [
  ['us-east-1', 'us-west-2'],
  ['eu-west-1', 'eu-central-1'],
  ['us-east-1', 'eu-west-1'],
  ['us-west-2', 'us-east-1'],
  ['eu-central-1', 'eu-west-1'],
] as const;
const TEAMS = ['finance', 'claims', 'media'];

const condition = (
  status: Condition['status'],
  reason: string,
  message: string,
  minutes = 60 * 24 * 9,
): Condition => ({ status, reason, message, since: minutesAgo(minutes) });

/** Returns 24 values that repeat after 7 hours. */
const hours = (valueAt: (hour: number) => number | null): (number | null)[] =>
  Array.from({ length: 24 }, (_, hour) => valueAt(hour));

const metricsOf = (index: number, overrides: Partial<ReplicationMetrics> = {}): ReplicationMetrics => ({
  at: minutesAgo(2),
  state: 'available',
  failed: 0,
  latencySeconds: 4 + (index % 9) * 3,
  pendingOperations: (index * 7) % 40,
  pendingBytes: ((index * 7) % 40) * 7_300_000,
  history: {
    failed: hours((hour) => ((hour + index) % 7 === 0 ? null : 0)),
    latencySeconds: hours((hour) =>
      (hour + index) % 7 === 0 ? null : 3 + ((hour * 5 + index * 3) % 11) + (hour === 18 ? 20 : 0),
    ),
  },
  ...overrides,
});

const READY: Record<ConditionType, Condition> = {
  Ready: condition('True', 'Converged', '13 resources are as declared'),
  Proven: condition('True', 'AllRequestsAllowed', '1 of 1 rules proven'),
  Verified: condition('True', 'Replicated', '1 canaries arrived, the slowest after 2810 ms', 42),
  Replicating: condition(
    'True',
    'Replicated',
    'S3 replicated objects in the last 24 hours, and no operation failed in the last 15 minutes',
  ),
  Drifted: condition('False', 'AsDeclared', 'no changes outside replikey'),
};

const BURST: FailureBurst = {
  id: '1',
  bucket: 'acme-tax',
  rule: 'replikey/tax/tax',
  reason: 'SrcGetObjectNotPermitted',
  operation: 'OBJECT_PUT',
  count: 214,
  since: '2026-11-26T20:02:11.000Z',
  until: '2026-11-26T21:18:40.000Z',
  keys: ['Tax/2026/11/7741.pdf', 'Tax/2026/11/7740.pdf', 'Tax/2026/11/7739.pdf'],
  cause:
    'the policy of the role replikey-acme-tax does not allow s3:GetObjectVersionForReplication on arn:aws:s3:::acme-tax/Tax/*',
  lastChange: {
    by: 'arn:aws:sts::111122223333:assumed-role/admin/jane',
    event: 'PutRolePolicy',
    at: '2026-11-26T20:01:48Z',
  },
  fix: 'add this statement to the policy of role replikey-acme-tax: {"Effect":"Allow","Action":"s3:GetObjectVersionForReplication","Resource":"arn:aws:s3:::acme-tax/Tax/*"}',
};

/** States of single pairs, by their index. */
const FAULTS: Record<number, Partial<PairStatus>> = {
  0: {
    conditions: {
      ...READY,
      Proven: condition(
        'False',
        'RK1301',
        'replikey/tax/tax: the role may not read source objects: no statement allows s3:GetObjectVersionForReplication on arn:aws:s3:::acme-tax/Tax/*',
        79,
      ),
      Replicating: condition(
        'False',
        'OperationsFailed',
        'replikey/tax/tax: 214 operations failed since 2026-11-26T20:02:11Z, SrcGetObjectNotPermitted: the policy of the role replikey-acme-tax does not allow s3:GetObjectVersionForReplication on arn:aws:s3:::acme-tax/Tax/*',
        78,
      ),
    },
    replication: metricsOf(0, {
      failed: 214,
      failedSince: '2026-11-26T20:00:00Z',
      latencySeconds: 1_260,
      pendingOperations: 96,
      pendingBytes: 4_100_000_000,
      history: {
        failed: hours((hour) => (hour === 22 ? 61 : hour === 23 ? 153 : 0)),
        latencySeconds: hours((hour) => (hour > 21 ? 600 * (hour - 21) : 6 + (hour % 5))),
      },
    }),
    failureBursts: [BURST],
    changes: [
      {
        at: '2026-11-26T14:31:00.000Z',
        cause: 'drift',
        result: 'applied',
        steps: [
          {
            id: 's3.versioning/acme-tax',
            action: 'update',
            patch: [{ op: 'replace', path: '/status', value: 'Enabled' }],
            before: { '/status': 'Suspended' },
            why: ['replication needs versioning on both buckets'],
            lastChange: {
              by: 'arn:aws:sts::111122223333:assumed-role/admin/jane',
              event: 'PutBucketVersioning',
              at: '2026-11-26T14:27:05Z',
            },
          },
        ],
      },
    ],
    proof: [
      {
        bucket: 'acme-tax',
        rule: 'replikey/tax/tax',
        destination: 'acme-tax-replica',
        spec: 'tax',
        verdict: 'broken',
        findings: [
          {
            code: 'RK1301',
            severity: 'error',
            message:
              'the role may not read source objects: no statement allows s3:GetObjectVersionForReplication',
          },
        ],
      } as unknown as PairStatus['proof'][number],
    ],
  },
  4: {
    conditions: {
      ...READY,
      Verified: condition(
        'False',
        'ReplicationFailed',
        'claims/claims: the replica of the canary is FAILED',
        12,
      ),
    },
    canary: { at: minutesAgo(12), result: 'failed' },
  },
  7: {
    conditions: {
      ...READY,
      Drifted: condition(
        'True',
        'ChangedElsewhere',
        'kms.key-policy/alias/acme-archive: changed outside replikey; last changed by arn:aws:iam::111122223333:user/terraform with PutKeyPolicy at 2026-11-26T21:02:31Z',
        18,
      ),
      Ready: condition('False', 'ChangesPending', '1 change is pending', 18),
    },
  },
  9: {
    conditions: {
      Ready: condition('Unknown', 'Pending', 'not checked yet', 1),
      Proven: condition('Unknown', 'Pending', 'not checked yet', 1),
      Verified: condition('Unknown', 'Pending', 'not checked yet', 1),
      Replicating: condition('Unknown', 'Pending', 'not checked yet', 1),
      Drifted: condition('Unknown', 'Pending', 'not checked yet', 1),
    },
  },
  12: {
    conditions: {
      ...READY,
      Ready: condition(
        'False',
        'Refused',
        'the plan removes 14 rules, which is more than the limit of 10: allow it with --max-deletes 14',
        260,
      ),
    },
  },
};

function pairOf(index: number): PairStatus {
  const base = NAMES[index % NAMES.length] ?? '';
  const name =
    index < NAMES.length ? base : `${base}-${String(Math.floor(index / NAMES.length)).padStart(2, '0')}`;
  const [from, to] = ROUTES[(index * 3 + Math.floor(index / 7)) % ROUTES.length] ?? ROUTES[0];
  // Some pairs have no metrics, and some no canaries.
  const hasMetrics = index % 13 !== 11;
  const hasCanaries = index % 11 !== 6;
  const overrides = FAULTS[index] ?? {};
  const isChecked = index !== 9;
  return {
    name,
    sides: [
      {
        source: { bucket: `acme-${name}`, region: from, account: 'main' },
        destination: {
          bucket: `acme-${name}-replica`,
          region: to,
          account: index % 4 === 0 ? 'backup' : 'main',
        },
      },
    ],
    from: { file: `specs/${base}.yaml`, line: 3, column: 1 },
    labels: { team: TEAMS[index % TEAMS.length] ?? '', tier: index % 5 === 0 ? 'gold' : 'silver' },
    conditions: hasCanaries
      ? READY
      : {
          ...READY,
          Verified: condition('Unknown', 'NotEnabled', 'canaries are not enabled: set --verify-interval'),
        },
    generation: 'g',
    declaredGeneration: 'g',
    failures: 0,
    retry: 'none',
    changes: [],
    proof: [],
    ...(isChecked && {
      lastRun: minutesAgo(index % 5),
      lastSuccess: minutesAgo(index % 5),
      nextRun: minutesAgo((index % 5) - 5),
      replication: hasMetrics
        ? metricsOf(index)
        : { at: minutesAgo(2), state: 'notEnabled', history: { failed: [], latencySeconds: [] } },
    }),
    ...(isChecked &&
      hasCanaries && {
        canary: { at: minutesAgo(42), result: 'replicated', latencyMs: 1_900 + ((index * 370) % 6_000) },
      }),
    ...overrides,
  };
}

/** Returns the status of a controller with a number of pairs, five of which are not ready. */
export const fleetStatus = (count: number): ControllerStatus => ({
  process: {
    startedAt: minutesAgo(60 * 76 + 12),
    endpoint: 'aws',
    accounts: { main: '111122223333', backup: '444455556666' },
    role: 'leader',
    leases: { replikey: true },
  },
  pairs: Array.from({ length: count }, (_, index) => pairOf(index)),
  problems: [],
  queue: { depth: 0, active: 1, adds: 3, unfinishedMs: 0, longestMs: 0 },
  isSynced: true,
  lastMove: FLEET_NOW - 3_000,
  calls: { reads: 10, writes: 2, byOperation: {} },
});
