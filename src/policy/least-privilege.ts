import { desiredResources } from '../core/desired.ts';
import { FACT_ACTIONS, ORGANIZATION_ACTIONS } from '../core/facts.ts';
import { splitByAccess } from '../core/handover.ts';
import { accountsOfPair, batchRoleId, batchRolesOf } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import { isRef } from '../core/ref.ts';
import type { Resource } from '../core/resource.ts';
import type { Policy, Statement } from '../iam/types.ts';
import { defaultBatchRoleName } from '../spec/patterns.ts';
import type { Account, BucketReplication } from '../spec/types.ts';
import { bucketArn, partitionOfRegion, type QueueAddress } from '../util/arn.ts';
import { toSortedSet } from '../util/canonical-json.ts';

/**
 * The features of replikey to grant permissions for. Reading is always included.
 * `apply`: change resources. `verify`: write canaries. `attributeDrift`: look up in CloudTrail who caused a drift.
 * `failureQueues`: receive failure events from these queues, and read the objects that failed. `changeQueues`: receive
 * change events from these queues. `backfillOnly`: only what batch jobs need, whether or not a spec declares one.
 * `organizationAccount`: read control policies with the credentials of this Account document.
 */
export interface PermissionScope {
  apply: boolean;
  verify: boolean;
  attributeDrift?: boolean;
  backfillOnly?: boolean;
  organizationAccount?: string | undefined;
  failureQueues?: readonly Pick<QueueAddress, 'arn' | 'accountId'>[];
  changeQueues?: readonly Pick<QueueAddress, 'arn' | 'accountId'>[];
}

/** The policy for one account, by the name of its Account document; `''` for the ambient credentials. */
export interface AccountPermissions {
  account: string;
  /** Twelve digits; absent when no spec gives the account id. */
  accountId?: string;
  policy: Policy;
}

/**
 * Actions of canaries under the prefixes of the rules: write an object with a tag, read it, delete every version, and
 * find versions of earlier runs. The controller also samples the newest objects.
 */
const CANARY_ACTIONS = {
  source: [
    's3:DeleteObjectVersion',
    's3:GetObject',
    's3:GetObjectVersion',
    's3:GetObjectVersionTagging',
    's3:PutObject',
    's3:PutObjectTagging',
  ],
  bucket: ['s3:ListBucketVersions'],
  destination: ['s3:DeleteObjectVersion', 's3:GetObject', 's3:GetObjectVersion'],
  key: ['kms:Decrypt', 'kms:GenerateDataKey'],
} as const;

/** Actions on a queue of events. */
const QUEUE_ACTIONS = ['sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:ReceiveMessage'] as const;

/** Actions with which the doctor reads the encryption and the tags of a failed object. */
const FAILED_OBJECT_ACTIONS = ['s3:GetObject', 's3:GetObjectVersion', 's3:GetObjectVersionTagging'] as const;

/** Reads changes from CloudTrail. It covers the whole account, because AWS supports no resource for this action. */
const LOOKUP_EVENTS = 'cloudtrail:LookupEvents';

/** Reads the metrics of rules: in the loop, and in the doctor. AWS supports no resource for it. */
const GET_METRIC_DATA = 'cloudwatch:GetMetricData';

/**
 * Actions granted on `*`. AWS supports no resource for some of them. For managed policies, any ARN is possible, because
 * any principal can attach a managed policy.
 */
const ACCOUNT_WIDE_ACTIONS: ReadonlySet<string> = new Set([
  // Replikey lists the alarms of a Region by their prefix.
  'cloudwatch:DescribeAlarms',
  'iam:GetPolicy',
  'iam:GetPolicyVersion',
  'kms:CreateKey',
  'kms:ListAliases',
  'kms:ListKeys',
  GET_METRIC_DATA,
  LOOKUP_EVENTS,
]);

/** Allows a caller to give a role to a service. */
const PASS_ROLE = 'iam:PassRole';

/** Actions with a separate statement. */
const SEPARATE_ACTIONS: ReadonlySet<string> = new Set([GET_METRIC_DATA, LOOKUP_EVENTS]);

/** Actions with which a plan of a batch job reads the lifecycle rules of both buckets, and the report bucket. */
const JOB_FACT_ACTIONS = {
  bucket: ['s3:GetLifecycleConfiguration'],
  reportBucket: [
    's3:GetBucketObjectLockConfiguration',
    's3:GetBucketPolicy',
    's3:GetBucketVersioning',
    's3:ListBucket',
  ],
  report: ['s3:GetObject'],
} as const;

/**
 * Returns the least privileges that the credentials of each account need for these specs. The result combines the
 * actions that each kind declares with the resources that the specs name. Pure.
 */
export function leastPrivilegePolicies(
  declaredPairs: readonly BucketReplication[],
  kinds: readonly Kind[],
  scope: PermissionScope,
  accounts: readonly Account[] = [],
): AccountPermissions[] {
  const pairs = scope.backfillOnly ? declaredPairs.map(withBackfill) : declaredPairs;
  const { managed } = splitByAccess(desiredResources(pairs, kinds), pairs);
  const arnsByAccount = new Map<string, ArnsByAction>();
  const arnsOfAccount = (account = ''): ArnsByAction => {
    const arnsByAction = arnsByAccount.get(account) ?? new Map<string, Set<string>>();
    arnsByAccount.set(account, arnsByAction);
    return arnsByAction;
  };
  const accountIds = accountIdsByName(pairs);
  const kindsByName = new Map(kinds.map((kind) => [kind.name, kind]));
  const resourcesById = new Map(managed.map((resource) => [resource.id, resource]));
  const arnsFor = (kind: Kind, resource: Resource, action: string, accountId: string): string[] => {
    if (action !== PASS_ROLE) return kind.scope.policyArns(resource, action, accountId);
    const role = passedRoleOf(resource);
    const roleResource = isRef(role) ? resourcesById.get(role.$ref) : undefined;
    const roleKind = roleResource && kindsByName.get(roleResource.kind);
    return roleKind ? roleKind.scope.policyArns(roleResource, action, accountId) : [String(role)];
  };
  const isOfJob = jobResourceFilter(pairs, kinds);
  for (const resource of scope.backfillOnly ? managed.filter(isOfJob) : managed) {
    const kind = kindsByName.get(resource.kind);
    if (!kind) continue;
    const { account = '' } = resource.location;
    const actions = [
      ...kind.permissions.read,
      ...(scope.apply ? kind.permissions.write : []),
      ...(kind.scope.ownerId(resource.id) === resource.id ? proofActions(kind, kinds) : []),
    ];
    for (const action of actions)
      addPermission(
        arnsOfAccount(account),
        action === PASS_ROLE ? `${PASS_ROLE} ${kind.permissions.passesRoleTo}` : action,
        // An account without a known id becomes `*`.
        arnsFor(kind, resource, action, accountIds.get(account) ?? '*'),
      );
  }
  for (const [account, action, arns] of pairs.flatMap(jobFactPermissions))
    addPermission(arnsOfAccount(account), action, arns);
  if (!scope.backfillOnly) addFeaturePermissions(pairs, scope, accounts, accountIds, arnsOfAccount);
  if (scope.attributeDrift)
    for (const arnsByAction of arnsByAccount.values()) addPermission(arnsByAction, LOOKUP_EVENTS, []);
  // A root, unit or account of the specs can be in any organization.
  if (scope.organizationAccount !== undefined)
    for (const action of ORGANIZATION_ACTIONS)
      addPermission(arnsOfAccount(scope.organizationAccount), action, ['*']);
  // The ambient credentials assume the role of an account.
  for (const { name, assumeRole } of accounts)
    if (assumeRole && !scope.backfillOnly && arnsByAccount.has(name))
      addPermission(arnsOfAccount(), 'sts:AssumeRole', [assumeRole.arn]);
  return [...arnsByAccount].map(([account, arnsByAction]) => {
    const accountId = accountIds.get(account);
    return {
      account,
      ...(accountId === undefined ? {} : { accountId }),
      policy: toLeastPrivilegePolicy(arnsByAction),
    };
  });
}

/** Returns the role, or a reference to it, that the caller gives to a service with a resource. */
function passedRoleOf({ spec, context }: Resource): unknown {
  return (spec as { role?: unknown }).role ?? (context as { roleArn?: unknown } | undefined)?.roleArn;
}

/** Returns a pair with a backfill that has the defaults, as `redrive` has it, unless it declares another. */
const withBackfill = (pair: BucketReplication): BucketReplication => ({
  ...pair,
  backfill: pair.backfill ?? {
    objects: [],
    before: '',
    start: 'Confirmed',
    priority: 0,
    role: { name: defaultBatchRoleName(pair.source.bucket) },
    prefixes: [''],
  },
});

/** Returns a filter of the jobs of pairs, and of the roles of these jobs with their policies. */
function jobResourceFilter(
  pairs: readonly BucketReplication[],
  kinds: readonly Kind[],
): (resource: Resource) => boolean {
  const jobKinds = new Set(kinds.flatMap(({ name, scope }) => (scope.stage === 'jobs' ? name : [])));
  const roleIds = new Set(
    kinds
      .filter(({ scope }) => scope.type === 'role')
      .flatMap(({ name }) =>
        pairs.flatMap((pair) => batchRolesOf(pair).map((role) => batchRoleId(name, role))),
      ),
  );
  return ({ id, kind }) => jobKinds.has(kind) || roleIds.has(id);
}

/** Returns the permissions for what a plan reads about the jobs of a pair, beside the jobs themselves. */
function jobFactPermissions({ source, destination, backfill }: BucketReplication): PermissionNeed[] {
  if (!backfill || !source.managed) return [];
  const arnOf = (bucket: string) => bucketArn(bucket, source.region);
  const sides = destination.managed ? [source, destination] : [source];
  const { report } = backfill;
  const needs = (actions: readonly string[], account: string | undefined, arn: string) =>
    actions.map((action): PermissionNeed => [account, action, [arn]]);
  return [
    ...sides.flatMap(({ account, bucket }) => needs(JOB_FACT_ACTIONS.bucket, account, arnOf(bucket))),
    [source.account, GET_METRIC_DATA, []],
    ...(report
      ? [
          ...needs(JOB_FACT_ACTIONS.reportBucket, source.account, arnOf(report.bucket)),
          ...needs(JOB_FACT_ACTIONS.report, source.account, `${arnOf(report.bucket)}/${report.prefix}*`),
        ]
      : []),
  ];
}

/** Adds the permissions of the features of replikey beside the resources of specs. */
function addFeaturePermissions(
  pairs: readonly BucketReplication[],
  scope: PermissionScope,
  accounts: readonly Account[],
  accountIds: AccountIds,
  arnsOfAccount: (account?: string) => ArnsByAction,
): void {
  const writesCanaries = ({ rollout }: BucketReplication) =>
    scope.verify || (scope.apply && rollout === 'canary');
  for (const pair of pairs.filter(writesCanaries))
    for (const [account, action, arns] of canaryPermissions(pair, accountIds))
      addPermission(arnsOfAccount(account), action, arns);
  for (const { source, rules } of pairs)
    if (source.managed && rules.some(({ metrics }) => metrics))
      addPermission(arnsOfAccount(source.account), GET_METRIC_DATA, []);
  const { failureQueues = [], changeQueues = [] } = scope;
  for (const { arn, accountId } of [...failureQueues, ...changeQueues]) {
    const account = accounts.find(({ id, managed }) => id === accountId && managed)?.name;
    for (const action of QUEUE_ACTIONS) addPermission(arnsOfAccount(account), action, [arn]);
  }
  for (const pair of pairs.filter(({ source }) => failureQueues.length > 0 && source.managed))
    for (const action of FAILED_OBJECT_ACTIONS)
      addPermission(arnsOfAccount(pair.source.account), action, objectPatterns(pair, pair.source.bucket));
}

/** The required ARNs by action. `iam:PassRole` is followed by the service that gets the role. */
type ArnsByAction = Map<string, Set<string>>;
type PermissionNeed = [account: string | undefined, action: string, arns: string[]];

function addPermission(arnsByAction: ArnsByAction, action: string, arns: readonly string[]): void {
  const neededArns = ACCOUNT_WIDE_ACTIONS.has(action) ? ['*'] : arns;
  if (neededArns.length === 0) return;
  const actionArns = arnsByAction.get(action) ?? new Set();
  for (const arn of neededArns) actionArns.add(arn);
  arnsByAction.set(action, actionArns);
}

function accountIdsByName(pairs: readonly BucketReplication[]): Map<string, string> {
  return new Map(
    pairs
      .flatMap(accountsOfPair)
      .flatMap(({ account = '', accountId }) => (accountId === undefined ? [] : [[account, accountId]])),
  );
}

type AccountIds = ReadonlyMap<string, string>;

/**
 * Returns the actions that the proof uses to read a bucket, role or key: those of all kinds of the same scope, and
 * those of other facts.
 */
const proofActions = ({ scope: { type } }: Kind, kinds: readonly Kind[]): readonly string[] => [
  ...kinds
    .filter(({ scope }) => scope.type === type && (scope.stage === 'permissions' || scope.stage === 'rules'))
    .flatMap(({ permissions }) => permissions.read),
  ...FACT_ACTIONS[type],
];

/** Returns the ARNs of the objects of a bucket that the rules of a pair select. */
const objectPatterns = ({ source, rules }: BucketReplication, bucket: string): string[] =>
  rules.map(({ prefix }) => `arn:${partitionOfRegion(source.region)}:s3:::${bucket}/${prefix}*`);

function canaryPermissions(pair: BucketReplication, accountIds: AccountIds): PermissionNeed[] {
  const { source, destination } = pair;
  if (!source.managed || !destination.managed) return [];
  const arnPrefix = `arn:${partitionOfRegion(source.region)}`;
  const keyArns = ({ region, account = '', key }: BucketReplication['source']) =>
    'arn' in key ? [key.arn] : [`${arnPrefix}:kms:${region}:${accountIds.get(account) ?? '*'}:key/*`];
  return [
    ...CANARY_ACTIONS.source.map(
      (action): PermissionNeed => [source.account, action, objectPatterns(pair, source.bucket)],
    ),
    ...CANARY_ACTIONS.bucket.map(
      (action): PermissionNeed => [source.account, action, [`${arnPrefix}:s3:::${source.bucket}`]],
    ),
    ...CANARY_ACTIONS.bucket.map(
      (action): PermissionNeed => [destination.account, action, [`${arnPrefix}:s3:::${destination.bucket}`]],
    ),
    ...CANARY_ACTIONS.destination.map(
      (action): PermissionNeed => [destination.account, action, objectPatterns(pair, destination.bucket)],
    ),
    ...CANARY_ACTIONS.key.map((action): PermissionNeed => [source.account, action, keyArns(source)]),
  ];
}

/** Builds one statement per set of resources, with the actions on it. */
function toLeastPrivilegePolicy(arnsByAction: ArnsByAction): Policy {
  const statementsByArns = new Map<string, { arns: string[]; actions: string[]; service?: string }>();
  for (const [need, arns] of arnsByAction) {
    const [action = '', service] = need.split(' ');
    const sorted = toSortedSet(arns);
    const key = `${service ?? (SEPARATE_ACTIONS.has(action) ? action : '')} ${sorted.join(' ')}`;
    const actions = [...(statementsByArns.get(key)?.actions ?? []), action];
    statementsByArns.set(key, {
      arns: sorted,
      actions: toSortedSet(actions),
      ...(service === undefined ? {} : { service }),
    });
  }
  const statements = [...statementsByArns.values()].map(
    ({ arns, actions, service }): Statement => ({
      Effect: 'Allow',
      Action: actions,
      Resource: arns,
      // Only this service may receive the role.
      ...(service === undefined ? {} : { Condition: { StringEquals: { 'iam:PassedToService': service } } }),
    }),
  );
  return {
    Version: '2012-10-17',
    Statement: statements.sort((a, b) => String(a.Action).localeCompare(String(b.Action), 'en')),
  };
}
