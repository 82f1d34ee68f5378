import { partitionOfArn, partitionOfRegion } from '../../util/arn.ts';
import type { Path } from '../document.ts';
import { ACCOUNT_REGIONAL_BUCKET, MAX_ROLE_TAGS, ROLE_ARN_FORMAT } from '../patterns.ts';
import type { CheckedReplication } from '../validate.ts';

/** A failed check: the path, the problem, the fix, and the paths of the other fields that it depends on. */
export type CheckFailure = [path: Path, message: string, hint: string, ...from: Path[]];

/** Settings of Account documents, by name. */
export type AccountsByName = ReadonlyMap<string, { id: string; managed: boolean }>;

/** A check of one spec that the schema of a single field cannot express. */
export type PairCheck = (pair: CheckedReplication, accounts: AccountsByName) => CheckFailure[];

export const SIDES = ['source', 'destination'] as const;

/** Checks of the two buckets, their accounts and the role. */
export const pairChecks: readonly PairCheck[] = [
  checkRoleNameOrArn,
  checkRoleArnSettings,
  checkRoleTagCount,
  checkRoleAccount,
  checkBucketsDiffer,
  checkAccountRegionalNames,
  checkSamePartition,
  checkRolePartition,
  checkBothAccounts,
  checkOwnerOverride,
  checkBidirectionalRole,
  checkObjectLock,
  checkBidirectionalLock,
  checkAnyManaged,
];

function checkRoleNameOrArn({ content }: CheckedReplication): CheckFailure[] {
  const { role } = content.spec;
  if (role === undefined) return [];
  if (role.name !== undefined && role.arn !== undefined) {
    const hint = 'keep one; replikey creates a role by name when absent, and a role given by ARN must exist';
    return [[['spec', 'role'], 'name and arn are both set', hint]];
  }
  if (Object.keys(role).length > 0) return [];
  return [[['spec', 'role'], 'the role has no fields', 'add name, or remove role to use the default name']];
}

function checkRoleArnSettings({ content }: CheckedReplication): CheckFailure[] {
  const { role } = content.spec;
  if (role?.arn === undefined) return [];
  return (['path', 'permissionsBoundary', 'tags', 'also'] as const)
    .filter((name) => role[name] !== undefined)
    .map((name) => {
      const hint = `remove ${name}, or declare the role by its name`;
      return [['spec', 'role', name], 'replikey never changes a role that is given by ARN', hint];
    });
}

function checkRoleTagCount({ content }: CheckedReplication): CheckFailure[] {
  const count = Object.keys(content.spec.role?.tags ?? {}).length;
  if (count <= MAX_ROLE_TAGS) return [];
  const message = `the role has ${count} tags, but IAM allows at most ${MAX_ROLE_TAGS}`;
  return [[['spec', 'role', 'tags'], message, 'remove some tags']];
}

function checkRoleAccount({ content }: CheckedReplication, accounts: AccountsByName): CheckFailure[] {
  const { role, source } = content.spec;
  const [, , roleAccount] = ROLE_ARN_FORMAT.exec(role?.arn ?? '') ?? [];
  const sourceAccount = accounts.get(source.account ?? '')?.id;
  if (roleAccount === undefined || sourceAccount === undefined || roleAccount === sourceAccount) return [];
  const message = `the role belongs to account ${roleAccount}, but the source bucket to account ${sourceAccount}`;
  const hint = 'use a role of the account that owns the source bucket; S3 assumes no other';
  return [[['spec', 'role', 'arn'], message, hint, ['spec', 'source', 'account']]];
}

function checkBucketsDiffer({ content }: CheckedReplication): CheckFailure[] {
  const { source, destination } = content.spec;
  if (source.bucket !== destination.bucket) return [];
  const path = ['spec', 'destination', 'bucket'];
  const message = 'a bucket cannot replicate to itself';
  return [[path, message, 'use another destination bucket', ['spec', 'source', 'bucket']]];
}

/** Checks that a name in the account-regional namespace contains the account and the Region of its bucket. */
function checkAccountRegionalNames(
  { content: { spec } }: CheckedReplication,
  accounts: AccountsByName,
): CheckFailure[] {
  return SIDES.flatMap((side): CheckFailure[] => {
    const { bucket, region, account } = spec[side];
    const [, nameAccount, nameRegion] = ACCOUNT_REGIONAL_BUCKET.exec(bucket) ?? [];
    if (nameAccount === undefined || nameRegion === undefined) return [];
    const path = ['spec', side, 'bucket'];
    const prefix = bucket.slice(0, -`-${nameAccount}-${nameRegion}-an`.length);
    const id = accounts.get(account ?? '')?.id ?? nameAccount;
    const hint = `use ${prefix}-${id}-${region}-an; S3 creates a bucket with this suffix only in the account and Region that the name contains`;
    if (nameRegion !== region)
      return [
        [
          path,
          `the name is for ${nameRegion}, but the bucket is in ${region}`,
          hint,
          ['spec', side, 'region'],
        ],
      ];
    if (nameAccount === id) return [];
    const message = `the name is for account ${nameAccount}, but the bucket belongs to account ${id}`;
    return [[path, message, hint, ['spec', side, 'account']]];
  });
}

function checkSamePartition({ content }: CheckedReplication): CheckFailure[] {
  const { source, destination } = content.spec;
  const [sourcePartition, destinationPartition] = [
    partitionOfRegion(source.region),
    partitionOfRegion(destination.region),
  ];
  if (sourcePartition === destinationPartition) return [];
  const message = `${source.region} is in partition ${sourcePartition}, but ${destination.region} is in ${destinationPartition}`;
  const hint = 'use a Region of the same partition; S3 does not replicate between partitions';
  return [[['spec', 'destination', 'region'], message, hint, ['spec', 'source', 'region']]];
}

function checkRolePartition({ content: { spec } }: CheckedReplication): CheckFailure[] {
  return (['arn', 'permissionsBoundary'] as const).flatMap((name) =>
    partitionFailures(['spec', 'role', name], spec.role?.[name], 'source', spec.source.region),
  );
}

/** Reports an ARN of another partition than that of the bucket on a side. Regions of two partitions are reported apart. */
export function partitionFailures(
  path: Path,
  arn: string | undefined,
  side: 'source' | 'destination',
  region: string,
): CheckFailure[] {
  const partition = partitionOfRegion(region);
  if (!arn?.startsWith('arn:') || partitionOfArn(arn) === partition) return [];
  const message = `the ARN is in partition ${partitionOfArn(arn)}, but ${region} is in ${partition}`;
  const hint = `use an ARN that begins with arn:${partition}:`;
  return [[path, message, hint, ['spec', side, 'region']]];
}

function checkBothAccounts({ content }: CheckedReplication): CheckFailure[] {
  const { source, destination } = content.spec;
  if ((source.account === undefined) === (destination.account === undefined)) return [];
  const [namedSide, otherSide] = source.account === undefined ? (['destination', 'source'] as const) : SIDES;
  const message = `account is set on one side only; the ${otherSide} would use the ambient credentials, whose account is unknown`;
  const hint = 'set account on both sides; both can name the same account';
  return [[['spec', namedSide, 'account'], message, hint, ['spec', otherSide, 'account']]];
}

function checkOwnerOverride({ content }: CheckedReplication, accounts: AccountsByName): CheckFailure[] {
  const { source, destination } = content.spec;
  if (destination.objectOwner === undefined) return [];
  const [sourceAccount, destinationAccount] = [source.account, destination.account].map(
    (name) => accounts.get(name ?? '')?.id ?? name,
  );
  const path = ['spec', 'destination', 'objectOwner'];
  if (sourceAccount !== destinationAccount) return [];
  if (destination.objectOwner === 'destination') {
    if (sourceAccount !== undefined) return [];
    const message = 'objectOwner: destination requires the id of the account, which the rules name';
    const hint = 'set account on both sides to an Account document, or remove objectOwner';
    return [[path, message, hint, ['spec', 'source', 'account'], ['spec', 'destination', 'account']]];
  }
  const message = 'objectOwner has no effect, because both buckets belong to the same account';
  return [
    [path, message, 'remove objectOwner', ['spec', 'source', 'account'], ['spec', 'destination', 'account']],
  ];
}

function checkBidirectionalRole({ content: { spec } }: CheckedReplication): CheckFailure[] {
  if (spec.direction !== 'both' || spec.role?.arn === undefined) return [];
  if (spec.source.account === spec.destination.account) return [];
  const message = 'direction: both across accounts requires a role for each direction, but arn gives one';
  const hint = 'use role.name, or write one spec for each direction';
  return [[['spec', 'role', 'arn'], message, hint, ['spec', 'direction']]];
}

/** Reports a default retention without a mode, without a period, or with two. */
function checkObjectLock({ content: { spec } }: CheckedReplication): CheckFailure[] {
  return SIDES.flatMap((side): CheckFailure[] => {
    const { mode, days, years } = spec[side].objectLock ?? {};
    const path = ['spec', side, 'objectLock'];
    if (days !== undefined && years !== undefined)
      return [[path, 'days and years are both set', 'keep one of the two']];
    const hasPeriod = (days ?? years) !== undefined;
    if (mode !== undefined && !hasPeriod)
      return [[path, 'the default retention has no period', 'add days or years, or remove mode']];
    if (mode === undefined && hasPeriod)
      return [[path, 'the default retention has no mode', 'add mode: Governance or mode: Compliance']];
    return [];
  });
}

/** Reports two-way pairs with Object Lock on one side: S3 replicates from a locked bucket only to a locked bucket. */
function checkBidirectionalLock({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const locked = SIDES.filter((side) => spec[side].objectLock !== undefined);
  const [side] = locked;
  if (spec.direction !== 'both' || side === undefined || locked.length === 2) return [];
  const other = side === 'source' ? 'destination' : 'source';
  const message = `objectLock is set on one side only, but S3 does not replicate from a bucket with Object Lock to one without`;
  return [
    [
      ['spec', side, 'objectLock'],
      message,
      `add objectLock to ${other}, or remove direction: both`,
      ['spec', 'direction'],
    ],
  ];
}

function checkAnyManaged(
  { content: { spec } }: CheckedReplication,
  accounts: AccountsByName,
): CheckFailure[] {
  const isManaged = (name: string | undefined) => accounts.get(name ?? '')?.managed ?? true;
  if (isManaged(spec.source.account) || isManaged(spec.destination.account)) return [];
  const message = 'replikey has no credentials for either account, so it cannot apply the pair';
  return [
    [['spec', 'source', 'account'], message, 'remove the spec, or remove managed: false from one account'],
  ];
}
