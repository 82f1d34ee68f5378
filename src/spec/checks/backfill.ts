import { type Path, positionOf, problemAtPath } from '../document.ts';
import { defaultBatchRoleName, defaultRoleName, ROLE_ARN_FORMAT } from '../patterns.ts';
import { toLongForm } from '../resolve.ts';
import { formatPosition } from '../source-file.ts';
import type { Problem } from '../types.ts';
import { type CheckedReplication, isValidAt } from '../validate.ts';
import type { ReplicationSpec } from './conflicts.ts';
import { type AccountsByName, type CheckFailure, type PairCheck, partitionFailures, SIDES } from './pairs.ts';

/** Checks of the backfill of one spec. */
export const backfillChecks: readonly PairCheck[] = [
  checkEnabledRule,
  checkObjectsUnique,
  checkInstants,
  checkElsewhereStart,
  checkReportLocation,
  checkBatchRole,
  checkBatchRoleAccount,
  checkBatchRolePartition,
  checkSourceManaged,
];

const BACKFILL: Path = ['spec', 'backfill'];
const BEFORE: Path = [...BACKFILL, 'before'];
const AFTER: Path = [...BACKFILL, 'after'];
const ROLE: Path = [...BACKFILL, 'role'];
const REPORT_BUCKET: Path = [...BACKFILL, 'report', 'bucket'];

function checkEnabledRule({ content: { spec } }: CheckedReplication): CheckFailure[] {
  if (!spec.backfill || spec.rules.some(({ enabled }) => enabled)) return [];
  const message = 'a batch job replicates objects under enabled rules only, and this spec has none';
  return [[BACKFILL, message, 'enable a rule, or remove backfill', ['spec', 'rules']]];
}

function checkObjectsUnique({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const { objects = [] } = spec.backfill ?? {};
  return objects.flatMap((value, index): CheckFailure[] =>
    objects.indexOf(value) === index
      ? []
      : [[[...BACKFILL, 'objects', index], `${value} occurs twice`, 'remove one of the two']],
  );
}

function checkInstants({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const { backfill } = spec;
  if (!backfill) return [];
  const { before, after } = backfill;
  const missingDays = [
    [BEFORE, before] as const,
    ...(after === undefined ? [] : [[AFTER, after] as const]),
  ].flatMap(([path, instant]): CheckFailure[] => {
    if (isDayOfMonth(instant)) return [];
    return [[path, `the month has no day ${instant.slice(8, 10)}`, 'use a day of the calendar']];
  });
  if (missingDays.length > 0 || after === undefined) return missingDays;
  if (Date.parse(after) < Date.parse(before)) return [];
  const message = `no object was written after ${after} and before ${before}`;
  return [[AFTER, message, 'use an earlier instant than before, or remove after', BEFORE]];
}

/** Returns whether the month has the day of an instant. */
export function isDayOfMonth(instant: string): boolean {
  const [year = 0, month = 0, day = 0] = instant.slice(0, 10).split('-').map(Number);
  // Day 0 of the next month is the last day of this one.
  return day <= new Date(Date.UTC(year, month, 0)).getUTCDate();
}

/** The clock of the author of a spec, or of this machine, may be wrong by this time. */
export const MAX_CLOCK_SKEW_MS = 5 * 60_000;

/** Reports an instant in the future: objects that are written until then would not be part of the job. */
export function checkBackfillTime(
  { content: { spec } }: CheckedReplication,
  nowMs = Number.POSITIVE_INFINITY,
): CheckFailure[] {
  const { before } = spec.backfill ?? {};
  if (before === undefined || Date.parse(before) <= nowMs + MAX_CLOCK_SKEW_MS) return [];
  const message = `${before} is in the future; a batch job selects the objects that exist when it is prepared`;
  return [[BEFORE, message, 'use the present or an earlier instant']];
}

/** A lost record of such a job costs a complete second one, while the others then find nothing. */
function checkElsewhereStart({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const { objects = [], start } = spec.backfill ?? {};
  if (start !== 'Automatic' || !objects.includes('elsewhere')) return [];
  const message =
    'a job for objects that are already replicated elsewhere may run twice, so it does not start by itself';
  return [[[...BACKFILL, 'start'], message, 'use start: Confirmed', [...BACKFILL, 'objects']]];
}

function checkReportLocation({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const { source, destination, direction } = spec;
  const { report } = spec.backfill ?? {};
  if (!report) return [];
  const dependsOn: Path[] = [
    ...SIDES.flatMap((side): Path[] => ['bucket', 'region', 'account'].map((field) => ['spec', side, field])),
    ['spec', 'direction'],
  ];
  const isShared = source.region === destination.region && source.account === destination.account;
  if (direction === 'both' && !isShared) {
    const message =
      'S3 writes a report only to a bucket in the Region and account of the job, and the directions of this spec have different ones';
    const hint = 'remove report, or write one spec for each direction';
    return [[[...BACKFILL, 'report'], message, hint, ...dependsOn]];
  }
  if (report.bucket !== destination.bucket || isShared) return [];
  const message = `the job of ${source.bucket} runs in ${source.region}, and S3 writes no report to ${destination.bucket} in another Region or account`;
  return [[REPORT_BUCKET, message, `use a bucket in ${source.region} of the same account`, ...dependsOn]];
}

function checkBatchRole({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const { role } = spec.backfill ?? {};
  if (role && role.name !== undefined && role.arn !== undefined) {
    const hint = 'keep one; replikey creates a role by name when absent, and a role given by ARN must exist';
    return [[ROLE, 'name and arn are both set', hint]];
  }
  if (role && Object.keys(role).length === 0)
    return [[ROLE, 'the role has no fields', 'add name, or remove role to use the default name']];
  return [];
}

function checkBatchRoleAccount(
  { content: { spec } }: CheckedReplication,
  accounts: AccountsByName,
): CheckFailure[] {
  const { source, destination, direction } = spec;
  const arn = spec.backfill?.role?.arn;
  if (arn === undefined) return [];
  const path = [...ROLE, 'arn'];
  if (direction === 'both' && source.account !== destination.account) {
    const message = 'direction: both across accounts requires a role for each direction, but arn gives one';
    const hint = 'use role.name, or write one spec for each direction';
    return [[path, message, hint, ['spec', 'direction']]];
  }
  const [, , roleAccount] = ROLE_ARN_FORMAT.exec(arn) ?? [];
  const sourceAccount = accounts.get(source.account ?? '')?.id;
  if (roleAccount === undefined || sourceAccount === undefined || roleAccount === sourceAccount) return [];
  const message = `the role belongs to account ${roleAccount}, but the job to account ${sourceAccount} of the source bucket`;
  return [[path, message, `use a role of account ${sourceAccount}`, ['spec', 'source', 'account']]];
}

function checkBatchRolePartition({ content: { spec } }: CheckedReplication): CheckFailure[] {
  return partitionFailures([...ROLE, 'arn'], spec.backfill?.role?.arn, 'source', spec.source.region);
}

function checkSourceManaged(
  { content: { spec } }: CheckedReplication,
  accounts: AccountsByName,
): CheckFailure[] {
  if (!spec.backfill) return [];
  const sides = spec.direction === 'both' ? SIDES : (['source'] as const);
  return sides.flatMap((side): CheckFailure[] => {
    const { account } = spec[side];
    if (accounts.get(account ?? '')?.managed ?? true) return [];
    const message = `the job runs in account ${account}, for which replikey has no credentials`;
    const hint = 'remove backfill, or remove managed: false from the account';
    return [[BACKFILL, message, hint, ['spec', side, 'account']]];
  });
}

/**
 * Reports `elsewhere` for a source with one spec: only objects that a rule of another spec replicated have another
 * destination. Reports a report bucket that a spec declares in another Region or account.
 */
export function checkBackfillSources(pairs: readonly CheckedReplication[]): Problem[] {
  const countBySource = new Map<string, number>();
  for (const { content } of pairs) {
    const { bucket } = content.spec.source;
    countBySource.set(bucket, (countBySource.get(bucket) ?? 0) + 1);
  }
  const bucketsByName = declaredBuckets(pairs);
  return pairs.flatMap((pair) => {
    const { source, backfill } = pair.content.spec;
    if (!backfill) return [];
    const index = backfill.objects.indexOf('elsewhere');
    const path = [...BACKFILL, 'objects', index];
    const isAlone = index >= 0 && countBySource.get(source.bucket) === 1;
    return [
      ...(isAlone && isValidAt(pair, path, ['spec', 'source', 'bucket'])
        ? [
            problemAtPath(
              pair.parsed,
              path,
              `no other spec replicates from ${source.bucket}, so no object has a replica elsewhere`,
              'remove elsewhere; existing and failed are the objects without a replica',
            ),
          ]
        : []),
      ...reportProblems(pair, bucketsByName),
    ];
  });
}

interface DeclaredBucket {
  region: string;
  account: string | undefined;
  pair: CheckedReplication;
  path: Path;
}

/** Returns the buckets of all specs by name, each at its first declaration. */
function declaredBuckets(pairs: readonly CheckedReplication[]): ReadonlyMap<string, DeclaredBucket> {
  const buckets = new Map<string, DeclaredBucket>();
  for (const pair of pairs)
    for (const side of SIDES) {
      const { bucket, region, account } = pair.content.spec[side];
      if (!buckets.has(bucket))
        buckets.set(bucket, { region, account, pair, path: ['spec', side, 'bucket'] });
    }
  return buckets;
}

function reportProblems(
  pair: CheckedReplication,
  bucketsByName: ReadonlyMap<string, DeclaredBucket>,
): Problem[] {
  const { source, destination, backfill } = pair.content.spec;
  const name = backfill?.report?.bucket;
  const declared = name === undefined ? undefined : bucketsByName.get(name);
  // `checkReportLocation` reports the destination of the spec itself.
  if (!declared || name === destination.bucket) return [];
  if (declared.region === source.region && declared.account === source.account) return [];
  if (!isValidAt(pair, REPORT_BUCKET, ['spec', 'source', 'region'], ['spec', 'source', 'account'])) return [];
  const side = declared.path[1] ?? 'source';
  if (!isValidAt(declared.pair, declared.path, ['spec', side, 'region'], ['spec', side, 'account']))
    return [];
  const where = declared.account === undefined ? '' : ` in account ${declared.account}`;
  const message = `S3 writes a report only to the Region and account of the job; ${name} is in ${declared.region}${where} at ${formatPosition(positionOf(declared.pair.parsed, declared.path))}`;
  return [problemAtPath(pair.parsed, REPORT_BUCKET, message, `use another bucket, in ${source.region}`)];
}

/** Returns the role of a job and the role of replication of each direction, as texts that are equal for one role. */
const backfillRolesOf = ({ backfill, source, destination, direction }: ReplicationSpec): string[] =>
  backfill
    ? [
        roleText(backfill.role?.arn ?? backfill.role?.name ?? defaultBatchRoleName(source.bucket), source),
        ...(direction === 'both' && backfill.role?.arn === undefined
          ? [roleText(defaultBatchRoleName(destination.bucket), destination)]
          : []),
      ]
    : [];

const replicationRolesOf = ({ role, source, destination, direction }: ReplicationSpec): string[] => [
  roleText(role?.arn ?? role?.name ?? defaultRoleName(source.bucket), source),
  ...(direction === 'both' && role?.arn === undefined
    ? [roleText(defaultRoleName(destination.bucket), destination)]
    : []),
];

/** IAM compares the names of roles without regard to case. */
const roleText = (role: string, { account = '' }: ReplicationSpec['source']): string =>
  role.startsWith('arn:') ? role : `${role.toLowerCase()} ${account}`;

/** Returns the roles of the jobs that re-encrypt objects: one for each bucket whose key replaces others. */
const reencryptionRolesOf = ({ reencrypt, source, destination }: ReplicationSpec): string[] =>
  [source, destination].flatMap((side) =>
    reencrypt && (toLongForm(side.key).replaces ?? []).length > 0
      ? roleText(reencrypt.role?.name ?? defaultBatchRoleName(side.bucket), side)
      : [],
  );

/** Reports roles of jobs that are also roles of replication. */
export function checkBatchRoles(pairs: readonly CheckedReplication[]): Problem[] {
  const replicationRoles = new Set(pairs.flatMap(({ content }) => replicationRolesOf(content.spec)));
  const usesOne = (roles: readonly string[]) => roles.some((role) => replicationRoles.has(role));
  return pairs.flatMap((pair) => {
    const { spec } = pair.content;
    const fields: ('backfill' | 'reencrypt')[] = [
      ...(usesOne(backfillRolesOf(spec)) ? (['backfill'] as const) : []),
      ...(usesOne(reencryptionRolesOf(spec)) ? (['reencrypt'] as const) : []),
    ];
    return fields.flatMap((field) => {
      const path: Path = ['spec', field, ...(spec[field]?.role ? ['role'] : [])];
      if (!isValidAt(pair, path, ['spec', 'role'], ['spec', 'source', 'bucket'])) return [];
      const message = 'the role of the job is also a role of replication, which another service assumes';
      return [problemAtPath(pair.parsed, path, message, 'use another role for the job')];
    });
  });
}
