import { regionOfArn } from '../../util/arn.ts';
import { canonicalJson, toSortedSet } from '../../util/canonical-json.ts';
import { type ParsedDocument, type Path, positionOf, problemAtPath } from '../document.ts';
import {
  type AlarmType,
  accountAlarmName,
  defaultBatchRoleName,
  defaultRoleName,
  parseTargetArn,
} from '../patterns.ts';
import { jobPrefixesOf, toLongForm } from '../resolve.ts';
import { formatPosition } from '../source-file.ts';
import type { Position, Problem } from '../types.ts';
import { type CheckedGuardrails, type CheckedReplication, isValidAt } from '../validate.ts';
import { targetsOf } from './failures.ts';
import { declaredKeysOf } from './keys.ts';
import { type AccountsByName, SIDES } from './pairs.ts';

/** Reports specs that declare different values for the same setting. */
export function checkAgreement(pairs: readonly CheckedReplication[]): Problem[] {
  const firstClaims = new Map<string, { value: string; parsed: ParsedDocument; path: Path }>();
  return pairs.flatMap((pair) =>
    claimsOfPair(pair).flatMap(({ path, dependsOn, subject, value }) => {
      if (!isValidAt(pair, path, ...dependsOn)) return [];
      const previous = firstClaims.get(subject);
      if (!previous) firstClaims.set(subject, { value, parsed: pair.parsed, path });
      if (!previous || previous.value === value) return [];
      const message = `${subject} is ${value} here, but ${previous.value} at ${formatPosition(positionOf(previous.parsed, previous.path))}`;
      return [problemAtPath(pair.parsed, path, message, 'use the same value in both specs')];
    }),
  );
}

/**
 * A declared value of a setting, with its path. `subject` names the setting, and `dependsOn` lists the fields that
 * identify it.
 */
interface Claim {
  path: Path;
  dependsOn: Path[];
  subject: string;
  value: string;
}

function claimsOfPair({ content: { spec } }: CheckedReplication): Claim[] {
  // A spec with one bucket on both sides is invalid, and `checkBucketsDiffer` reports it.
  const sides = spec.source.bucket === spec.destination.bucket ? (['source'] as const) : SIDES;
  return [
    ...sides.flatMap((side) => bucketClaims(side, spec[side])),
    ...sides.flatMap((side) => keyClaims(spec[side], ['spec', side, 'key'], ['spec', side])),
    ...spec.sourceKeys.flatMap((key, index) =>
      keyClaims({ ...spec.source, key }, ['spec', 'sourceKeys', index], ['spec', 'source']),
    ),
    ...roleClaims(spec),
    ...alarmClaims(spec),
    ...backfillClaims(spec),
    ...reencryptClaims(spec),
    ...(spec.direction === 'both' ? reverseRoleClaims(spec) : []),
    ...targetClaims(spec),
  ];
}

/** Returns the claims of the events of each bucket. S3 sends each event of a bucket to one queue or topic. */
const targetClaims = (spec: ReplicationSpec): Claim[] =>
  targetsOf(spec).flatMap(({ path, arn, side }) =>
    (spec.failures?.events ?? []).map((event) => ({
      path,
      dependsOn: [
        ['spec', side, 'bucket'],
        ['spec', 'failures', 'events'],
      ],
      subject: `the queue or topic for ${event} events of bucket ${spec[side].bucket}`,
      value: arn,
    })),
  );

export type ReplicationSpec = CheckedReplication['content']['spec'];

function roleClaims({ role, source }: ReplicationSpec): Claim[] {
  const name = role?.arn ?? role?.name ?? defaultRoleName(source.bucket);
  const account = source.account === undefined ? '' : ` in account ${source.account}`;
  const dependsOn: Path[] = [
    ['spec', 'source', 'bucket'],
    ['spec', 'source', 'account'],
  ];
  const path: Path = ['spec', 'role'];
  return [
    { path, dependsOn, value: name, subject: `the role of source bucket ${source.bucket}` },
    // IAM compares role names without regard to case.
    { path, dependsOn, value: name, subject: `the spelling of the role ${name.toLowerCase()}${account}` },
    ...(['path', 'permissionsBoundary', 'tags'] as const).flatMap((field) =>
      claimIfSet(
        [...path, field],
        [...dependsOn, [...path, 'name']],
        `${field} of the role ${name}${account}`,
        role?.[field],
      ),
    ),
  ];
}

/** Returns the claims of the reverse direction of a two-way spec. It has its own role, named after its own source. */
function reverseRoleClaims({ role, destination }: ReplicationSpec): Claim[] {
  const { bucket } = destination;
  const value = role?.arn ?? defaultRoleName(bucket);
  const dependsOn: Path[] = [['spec', 'destination', 'bucket']];
  return [{ path: ['spec', 'direction'], dependsOn, value, subject: `the role of source bucket ${bucket}` }];
}

/** Returns the claims of the alarms that specs of one account share: their topics, and the latency. */
function alarmClaims({ alarms, source, destination, direction }: ReplicationSpec): Claim[] {
  if (alarms?.scope !== 'account') return [];
  const dependsOn: Path[] = [
    ...SIDES.flatMap((side): Path[] => [
      ['spec', side, 'region'],
      ['spec', side, 'account'],
    ]),
    ['spec', 'direction'],
  ];
  const claimsOf = (account: string | undefined, from: string, to: string): Claim[] => {
    const inAccount = account === undefined ? '' : ` of account ${account}`;
    const topicClaim = (type: AlarmType, region: string): Claim[] =>
      claimIfSet(
        ['spec', 'alarms', 'notify'],
        dependsOn,
        `notify of the alarm ${accountAlarmName(type)}${inAccount} in ${region}`,
        toSortedSet(alarms.notify.filter((topic) => regionOfArn(topic) === region)).join(', '),
      );
    return [
      ...(alarms.failed ? topicClaim('failed', from) : []),
      ...(alarms.lateAfterMinutes === undefined ? [] : topicClaim('late', to)),
      ...claimIfSet(
        ['spec', 'alarms', 'lateAfterMinutes'],
        dependsOn,
        `lateAfterMinutes of the alarm ${accountAlarmName('late')}${inAccount} in ${to}`,
        alarms.lateAfterMinutes,
      ),
    ];
  };
  return [
    ...claimsOf(source.account, source.region, destination.region),
    ...(direction === 'both' ? claimsOf(destination.account, destination.region, source.region) : []),
  ];
}

/** Returns the claims of the jobs that specs of one source bucket share: how a job runs, and where its report goes. */
function backfillClaims({ backfill, source, rules }: ReplicationSpec): Claim[] {
  if (!backfill) return [];
  const { objects, before, after, role } = backfill;
  const dependsOn: Path[] = [
    ['spec', 'source', 'bucket'],
    ['spec', 'rules'],
    ...['objects', 'before', 'after'].map((field): Path => ['spec', 'backfill', field]),
  ];
  const period = [`before ${before}`, ...(after === undefined ? [] : [`after ${after}`])].join(' and ');
  return jobPrefixesOf(rules).flatMap((prefix) =>
    (['start', 'maxObjects', 'priority', 'report', 'role'] as const).flatMap((field) =>
      claimIfSet(
        ['spec', 'backfill', ...(backfill[field] === undefined ? [] : [field])],
        dependsOn,
        `${field} of the backfill of ${toSortedSet(objects).join(' and ')} objects ${period} under s3://${source.bucket}/${prefix}`,
        field === 'role'
          ? (role?.arn ?? role?.name ?? defaultBatchRoleName(source.bucket))
          : (backfill[field] ?? 'not set'),
      ),
    ),
  );
}

/** Returns the claims of the re-encryption of each bucket, which specs of the bucket share. */
function reencryptClaims({ reencrypt, ...spec }: ReplicationSpec): Claim[] {
  if (!reencrypt) return [];
  return SIDES.filter((side) => toLongForm(spec[side].key).replaces !== undefined).flatMap((side) =>
    (['start', 'maxObjects', 'priority', 'countedAfter', 'role'] as const).flatMap((field) =>
      claimIfSet(
        ['spec', 'reencrypt', ...(reencrypt[field] === undefined ? [] : [field])],
        [
          ['spec', side, 'bucket'],
          ['spec', side, 'key'],
        ],
        `${field} of the re-encryption of bucket ${spec[side].bucket}`,
        reencrypt[field] ?? 'not set',
      ),
    ),
  );
}

function bucketClaims(side: (typeof SIDES)[number], sideSettings: ReplicationSpec['source']): Claim[] {
  const { bucket, region, account, key, defaultEncryption, blockPublicAccess, objectOwnership, objectLock } =
    sideSettings;
  const { alias, arn, replaces, bucketKey = defaultEncryption === 'SSE-KMS' } = toLongForm(key);
  const claim = (field: string, subject: string, value: unknown): Claim[] =>
    claimIfSet(['spec', side, field], [['spec', side, 'bucket']], `${subject} of bucket ${bucket}`, value);
  return [
    ...claim('region', 'the Region', region),
    ...claim('account', 'the account', account ?? 'not set'),
    ...claim('key', 'the key', alias ?? arn ?? 'not set'),
    ...claim('key', 'bucketKey', bucketKey),
    ...claim('key', 'replaces', replaces && toSortedSet(replaces)),
    ...claim('defaultEncryption', 'defaultEncryption', defaultEncryption),
    ...claim('blockPublicAccess', 'blockPublicAccess', blockPublicAccess),
    ...claim('objectOwnership', 'objectOwnership', objectOwnership),
    ...claim('objectLock', 'objectLock', objectLock),
  ];
}

function keyClaims({ region, account, key }: ReplicationSpec['source'], path: Path, sidePath: Path): Claim[] {
  const { alias, ...settings } = toLongForm(key);
  if (alias === undefined) return [];
  const scope = [region, account && `in account ${account}`].filter(Boolean).join(' ');
  return (['description', 'rotation', 'rotationPeriodInDays'] as const).flatMap((field) =>
    claimIfSet(
      [...path, field],
      [[...sidePath, 'region'], [...sidePath, 'account'], path],
      `the ${field} of ${alias} in ${scope}`,
      settings[field],
    ),
  );
}

/** Returns a claim if the value is set. */
const claimIfSet = (path: Path, dependsOn: Path[], subject: string, value: unknown): Claim[] =>
  value === undefined
    ? []
    : [{ path, dependsOn, subject, value: typeof value === 'string' ? value : canonicalJson(value) }];

/**
 * Reports rule ids and priorities that are not unique. Both are unique per source bucket, because all specs of a bucket
 * share its single replication configuration.
 */
export const checkRulesUnique = (pairs: readonly CheckedReplication[]): Problem[] => [
  ...checkRuleFieldUnique(pairs, 'id', (id, bucket, position) => ({
    message: `the rule "${id}" is already declared at ${position}`,
    hint: `declare each rule of ${bucket} once; remove one of the two`,
  })),
  ...checkRuleFieldUnique(pairs, 'priority', (priority, bucket, position) => ({
    message: `priority ${priority} is already used at ${position}`,
    hint: `use a different priority for each rule of ${bucket}, or omit it`,
  })),
];

function checkRuleFieldUnique(
  pairs: readonly CheckedReplication[],
  field: 'id' | 'priority',
  describeConflict: (
    value: string | number,
    bucket: string,
    position: string,
  ) => { message: string; hint: string },
): Problem[] {
  const positionsByValue = new Map<string, Position>();
  return pairs.flatMap((pair) =>
    pair.content.spec.rules.flatMap((rule, index) => {
      const value = rule[field];
      const { bucket } = pair.content.spec.source;
      const path = ['spec', 'rules', index, field];
      if (value === undefined || !isValidAt(pair, path, ['spec', 'source', 'bucket'])) return [];
      const previous = positionsByValue.get(`${bucket} ${value}`);
      positionsByValue.set(`${bucket} ${value}`, previous ?? positionOf(pair.parsed, path));
      if (!previous) return [];
      const { message, hint } = describeConflict(value, bucket, formatPosition(previous));
      return [problemAtPath(pair.parsed, path, message, hint)];
    }),
  );
}

/** Reports values that guardrails do not allow, with the positions of the spec and of the guardrails. */
export function checkGuardrails(
  pairs: readonly CheckedReplication[],
  guardrails: readonly CheckedGuardrails[],
  accounts: AccountsByName,
): Problem[] {
  return guardrails.flatMap((document) =>
    pairs.flatMap((pair) =>
      guardedValuesOf(pair, accounts).flatMap(({ field, value, path }) => {
        const allowed: readonly string[] | undefined = document.content.spec[field];
        const isComparable = isValidAt(pair, path) && isValidAt(document, ['spec', field]);
        if (!isComparable || allowed === undefined || allowed.includes(value)) return [];
        const allowedAt = formatPosition(positionOf(document.parsed, ['spec', field]));
        const message = `the guardrails at ${allowedAt} do not allow ${value}`;
        return [
          problemAtPath(pair.parsed, path, message, `allowed ${field}: ${allowed.join(', ') || 'none'}`),
        ];
      }),
    ),
  );
}

interface GuardedValue {
  field: 'accounts' | 'regions' | 'keys';
  value: string;
  path: Path;
}

function guardedValuesOf(pair: CheckedReplication, accounts: AccountsByName): GuardedValue[] {
  const { spec } = pair.content;
  return [
    ...SIDES.flatMap((side): GuardedValue[] => {
      const { region, account } = spec[side];
      const accountId =
        account === undefined ? 'the account of the ambient credentials' : accounts.get(account)?.id;
      return [
        { field: 'regions', value: region, path: ['spec', side, 'region'] },
        ...(accountId === undefined
          ? []
          : [{ field: 'accounts' as const, value: accountId, path: ['spec', side, 'account'] as Path }]),
      ];
    }),
    ...targetsOf(spec).map(
      ({ path, arn }): GuardedValue => ({ field: 'accounts', value: parseTargetArn(arn).account, path }),
    ),
    ...declaredKeysOf(pair).map(({ key, path }): GuardedValue => {
      const { alias, arn } = toLongForm(key);
      return { field: 'keys', value: alias ?? arn ?? '', path };
    }),
  ];
}
