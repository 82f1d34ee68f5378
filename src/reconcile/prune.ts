import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import { MANAGED_BY_TAG, NO_POSITION, namedRoleResourceId } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import type { Orphan } from '../core/orphan.ts';
import { blockedReasonOf } from '../core/plan.ts';
import type { ActualState, Aws, Blocked, Id, Note, Resource, Withheld } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { iamRole } from '../kinds/iam-role.ts';
import {
  type CurrentReplication,
  foreignUseOfRole,
  ownersOfUndeclaredRules,
  type S3Replication,
  s3Replication,
} from '../kinds/s3-replication.ts';
import { parseSid, toSidName } from '../policy/statements.ts';
import { parseRetained } from '../policy/transitions.ts';
import { findNotificationOrphans } from '../prune/find-notifications.ts';
import {
  findBatchRoleOrphans,
  findOrphans,
  grantsPermissions,
  type ListedRole,
  listRolesWithPolicies,
  type OrphanCandidate,
  ownersDraining,
} from '../prune/find-orphans.ts';
import {
  type LocatedOrphan,
  locateOrphan,
  type ReachableAccount,
  reachableAccounts,
} from '../prune/locate-orphans.ts';
import { findOrphanAlarms, withOrphanAlarms } from '../prune/orphan-alarms.ts';
import { locateBatchRoleOrphans, withBatchRoleOrphans } from '../prune/orphan-jobs.ts';
import type { BucketReplication, Specs } from '../spec/types.ts';
import { arnAliasOf, mergeOrphan } from './merge-orphans.ts';
import { observe } from './observe.ts';

/** The desired resources with the orphans to remove, by stage. */
export interface PrunePlan {
  /** The first stage: the desired resources, and the rules of orphans. */
  withOrphanRules: Resource[];
  /** The second stage: everything. A rule is removed before the permissions that it uses, but created after them. */
  withAllOrphans: Resource[];
  /** Resources that cannot be read, from which prune removes nothing. */
  blocked: Blocked[];
  /** Changes of blocked pairs. */
  withheld?: Withheld[];
  notes: Note[];
}

export interface PruneOptions {
  kinds: ReadonlyMap<string, Kind>;
  /** With a cache, so that finding orphans and observing them share their reads. */
  aws: AwsClient;
  signal?: AbortSignal;
  /** Overrides the drain of all specs, in milliseconds. */
  drainMs?: number;
}

/**
 * Finds orphans of removed specs through the roles that S3 replicates as. It removes the permissions of a spec only
 * when its source bucket was read and no rule in it needs them any more, because S3 never retries a failed object.
 */
export async function planPrune(
  desired: readonly Resource[],
  specs: Specs,
  options: PruneOptions,
): Promise<PrunePlan> {
  const { kinds, aws, signal } = options;
  const accounts = await reachableAccounts(specs, aws);
  const ambientAccountId = accounts.find(({ location }) => location.account === undefined)?.id;
  const { roles, blocked } = await listRolesOfAccounts(accounts, aws);
  // After the first responses, because these set the clock.
  const nowMs = aws.now();
  const candidates = roles.flatMap((role) =>
    findOrphans(role, specs.pairs, ({ source }) => source.accountId ?? ambientAccountId, nowMs),
  );
  const batchRoles = await locateBatchRoleOrphans(
    roles.flatMap((role) =>
      findBatchRoleOrphans(role, specs.pairs, ({ source }) => source.accountId ?? ambientAccountId),
    ),
    specs.pairs,
    accounts,
    aws,
  );
  const located = await Promise.all(
    candidates
      .filter(({ retainedBecause }) => retainedBecause === undefined)
      .map((candidate) => locateOrphan(candidate, accounts, aws)),
  );
  const orphans = located.map(({ orphan }) => orphan);
  const monitoring = await findNotificationOrphans(located, roles, specs.pairs, accounts, aws);
  const draining = new Set([
    ...roles.flatMap((role) => ownersDraining(role, nowMs)),
    ...candidates.filter(({ name, role }) => grantsPermissions(role, name)).map(({ name }) => name),
  ]);
  const resourcesWith = (scope: PruneScope, actual: ActualState) =>
    withDrain(withOrphans(desired, scope, specs.pairs, kinds, actual), options.drainMs).map((resource) =>
      disableRulesInUse(resource, actual, draining),
    );

  const rulesOnly = { rules: orphans, permissions: [], monitoring: monitoring.orphans };
  const unobserved = resourcesWith(rulesOnly, new Map());
  const actual = await observe(unobserved, kinds, aws, signal);
  const withOrphanRules = resourcesWith(rulesOnly, actual);
  const retainedBecause = new Map(
    await Promise.all(
      located.map(
        async ({ candidate, orphan, blocked }): Promise<[OrphanCandidate, string | undefined]> => [
          candidate,
          blocked
            ? `${blocked.id} is blocked`
            : await remainingUseOf(orphan, withOrphanRules, actual, options),
        ],
      ),
    ),
  );
  const removable = located.filter(({ candidate }) => retainedBecause.get(candidate) === undefined);
  const roleRetainedBecause = new Map(
    removable.map(({ candidate }) => [
      candidate,
      roleRetentionReason(candidate, candidates, removable, options.drainMs),
    ]),
  );
  const removableOrphans = removable.map(({ candidate, orphan }) => ({
    ...orphan,
    deleteRole: !candidate.roleInUse && roleRetainedBecause.get(candidate) === undefined,
  }));
  const alarms = await findOrphanAlarms(aws, { desired, pairs: specs.pairs, removed: removable });
  const isOfRole = ({ kind }: Resource) => kinds.get(kind)?.scope.type === 'role';
  return {
    withOrphanRules,
    withAllOrphans: withBatchRoleOrphans(
      withOrphanAlarms(
        resourcesWith({ ...rulesOnly, permissions: removableOrphans }, actual),
        alarms.resources,
        isOfRole,
      ),
      batchRoles,
      kinds,
    ),
    // Permissions that stay because a bucket could not be read are not a success: the next run may remove them.
    blocked: [...blocked, ...located.flatMap(({ blocked }) => blocked ?? []), ...monitoring.blocked],
    notes: [
      ...alarms.notes,
      ...candidates.flatMap((candidate) =>
        retentionNotes(candidate, 'replikey keeps its orphans', candidate.retainedBecause),
      ),
      ...batchRoles.flatMap(({ candidate, retainedBecause, roleRetainedBecause }) => [
        ...retentionNotes(candidate, 'replikey keeps its permissions for jobs', retainedBecause),
        ...retentionNotes(candidate, 'replikey keeps the role', roleRetainedBecause),
      ]),
      ...located.flatMap(({ candidate }) =>
        retentionNotes(candidate, 'replikey keeps its orphans', drainReason(candidate)),
      ),
      ...located.flatMap(({ candidate }) =>
        retentionNotes(candidate, 'replikey keeps its permissions', retainedBecause.get(candidate)),
      ),
      ...removable.flatMap(({ candidate }) =>
        retentionNotes(candidate, 'replikey keeps the role', roleRetainedBecause.get(candidate)),
      ),
      ...removable.flatMap(({ candidate, foreignOwned }) =>
        retentionNotes(
          candidate,
          'replikey keeps its statements in other policies',
          foreignStatementsReason(candidate, foreignOwned),
        ),
      ),
    ],
  };
}

/**
 * Returns the roles of all accounts. If they cannot be listed, prune finds no orphans there and reports it as blocked.
 */
async function listRolesOfAccounts(
  accounts: readonly ReachableAccount[],
  aws: Aws,
): Promise<{ roles: ListedRole[]; blocked: Blocked[] }> {
  const roles: ListedRole[] = [];
  const blocked: Blocked[] = [];
  for (const { id, location } of accounts) {
    try {
      roles.push(...(await listRolesWithPolicies(aws, location)));
    } catch (error) {
      if (error instanceof UserError) throw error;
      const reason = `cannot search for orphans: ${formatAwsError(error)}`;
      blocked.push({
        id: `${iamRole.name}/all of ${id}`,
        why: reason,
        pairs: [`account ${id}`],
        from: NO_POSITION,
      });
    }
  }
  return { roles, blocked };
}

/**
 * Returns why the permissions of an orphaned spec stay: a foreign rule may need them, or a source bucket cannot be
 * read.
 */
async function remainingUseOf(
  orphan: Orphan,
  resources: readonly Resource[],
  actual: ActualState,
  { kinds, aws }: PruneOptions,
): Promise<string | undefined> {
  const ruleKinds = [...kinds.values()].filter(({ scope }) => scope.stage === 'rules');
  for (const kind of ruleKinds) {
    for (const { id } of kind.orphans?.(orphan) ?? []) {
      const resource = resources.find((candidate) => candidate.id === id);
      if (resource && blockedReasonOf(resource, actual, kind) !== undefined) return `${id} is blocked`;
    }
  }
  for (const { bucket, location } of orphan.sources) {
    // The client returns the response that the observation has read.
    const doc = await s3Replication.fetch(aws, location, bucket);
    const reason = doc && foreignUseOfRole(bucket, doc, orphan.role.arn);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** Returns why an unused role stays, if it does. */
function roleRetentionReason(
  { role, roleInUse }: OrphanCandidate,
  candidates: readonly OrphanCandidate[],
  removable: readonly LocatedOrphan[],
  drainMs: number | undefined,
): string | undefined {
  if (roleInUse) return undefined;
  if (role.tags[MANAGED_BY_TAG] !== 'replikey') return 'replikey did not create it';
  if (role.otherPolicies.length > 0) return `it has other policies: ${role.otherPolicies.join(', ')}`;
  if (role.statements.some((statement) => !parseSid(statement) && !parseRetained(statement)))
    return 'its policy has foreign statements';
  const isDraining = candidates.some(
    (candidate) => candidate.role.arn === role.arn && candidate.drainEndMs !== undefined,
  );
  if (isDraining || (drainMs !== 0 && role.statements.some(parseSid)))
    return 'its permissions stay for objects in flight; a later --prune removes it';
  const removableCandidates = new Set(removable.map(({ candidate }) => candidate));
  const remaining = candidates.filter(
    (candidate) => candidate.role.arn === role.arn && !removableCandidates.has(candidate),
  );
  return remaining.length > 0 ? `it serves ${remaining.map(({ spec }) => spec).join(', ')}` : undefined;
}

/** Returns why an orphan waits: its permissions stay for objects in flight. */
const drainReason = ({ drainEndMs }: OrphanCandidate): string | undefined =>
  drainEndMs === undefined
    ? undefined
    : `objects may be in flight until ${new Date(drainEndMs).toISOString()}; a later --prune removes the rest`;

const foreignStatementsReason = (
  { name }: OrphanCandidate,
  foreignOwned: readonly string[],
): string | undefined =>
  foreignOwned.length > 0
    ? `the owners of ${foreignOwned.join(', ')} may remove the statements Replikey…${name}`
    : undefined;

function retentionNotes(
  { spec, role }: Pick<OrphanCandidate, 'spec' | 'role'>,
  subject: string,
  reason: string | undefined,
): Note[] {
  if (reason === undefined) return [];
  const id = namedRoleResourceId(iamRole.name, role.name, role.location.account);
  return [{ id, message: `${subject}: ${reason}`, pairs: [spec] }];
}

/**
 * Lets prune only disable the rules of specs that have an enabled undeclared one, or objects in flight, unless there is
 * no drain.
 *
 * Retained permissions mark the drain. If other rules grant everything that a disabled rule used, nothing is retained,
 * and the next prune removes the rule without a drain. That loses no object: S3 selects rules when it processes an
 * object, and then a disabled rule replicates no more than a removed one, or when the object is written, and then it
 * needs only the permissions, the role and a configuration. A configuration is never deleted without a drain: its last
 * rules are the only ones that use the permissions of the role on the source bucket, so these are retained.
 */
function disableRulesInUse(resource: Resource, actual: ActualState, draining: ReadonlySet<string>): Resource {
  const { id, kind, drainMs, pruneOwners } = resource;
  const observation = actual.get(id);
  if (kind !== s3Replication.name || drainMs === 0 || !pruneOwners || observation?.state !== 'present')
    return resource;
  const enabled = ownersOfUndeclaredRules(
    resource as Resource<S3Replication>,
    observation.current as CurrentReplication,
  );
  const disableOwners = pruneOwners.filter((owner) => enabled.includes(owner) || draining.has(owner));
  if (disableOwners.length === 0) return resource;
  return {
    ...resource,
    pruneOwners: pruneOwners.filter((owner) => !disableOwners.includes(owner)),
    disableOwners,
  };
}

/** Overrides the drain of resources, in milliseconds. */
export const withDrain = (resources: readonly Resource[], drainMs: number | undefined): Resource[] =>
  drainMs === undefined ? [...resources] : resources.map((resource) => ({ ...resource, drainMs }));

/** The specs whose rules are removed, and the specs whose permissions are removed too. */
interface PruneScope {
  rules: readonly Orphan[];
  permissions: readonly Orphan[];
  /** The specs whose monitoring is removed. Replication does not depend on it, so no stage waits for it. */
  monitoring: readonly Orphan[];
}

/**
 * Returns the desired resources and the orphans, each once. It sets the owners whose entries prune removes from a
 * desired resource. These are removed specs. The resource's own specs are added if all of them declare `deletion:
 * Remove`, so that prune removes rules that they no longer declare.
 */
function withOrphans(
  desired: readonly Resource[],
  scope: PruneScope,
  pairs: readonly BucketReplication[],
  kinds: ReadonlyMap<string, Kind>,
  actual: ActualState,
): Resource[] {
  const removableSpecs = new Set(
    pairs.flatMap(({ name, policy }) => (policy.deletion === 'Remove' ? name : [])),
  );
  const isPrunedFirst = ({ kind }: Resource) => kinds.get(kind)?.scope.stage === 'rules';
  const orphansOf = (stage: Kind['scope']['stage'] | undefined) =>
    stage === 'jobs'
      ? []
      : stage === 'rules'
        ? scope.rules
        : stage === 'monitoring'
          ? scope.monitoring
          : scope.permissions;
  const byId = new Map<Id, Resource>();
  for (const resource of desired) {
    const ownNames =
      isPrunedFirst(resource) && resource.declaredBy.every((name) => removableSpecs.has(name))
        ? resource.declaredBy.map(toSidName)
        : [];
    const stage = kinds.get(resource.kind)?.scope.stage;
    const owners = orphansOf(stage).flatMap(({ sidName, notifications }) => [
      sidName,
      ...(stage === 'monitoring' ? notifications.map(({ bucket }) => bucket) : []),
    ]);
    const prune = [...new Set([...ownNames, ...owners])];
    byId.set(resource.id, prune.length > 0 ? { ...resource, pruneOwners: prune } : resource);
  }
  const aliases = new Map(desired.flatMap((resource) => arnAliasOf(resource, actual)));
  const ruleIds = new Set(desired.filter(isPrunedFirst).map(({ id }) => id));
  for (const kind of kinds.values()) {
    for (const resource of orphansOf(kind.scope.stage).flatMap((orphan) => kind.orphans?.(orphan) ?? [])) {
      const id = aliases.get(resource.id) ?? resource.id;
      // Desired rules come after the permissions that they use, so permissions are removed in a separate stage.
      const after = resource.after
        .map((dependency) => aliases.get(dependency) ?? dependency)
        .filter((dependency) => !ruleIds.has(dependency));
      byId.set(id, mergeOrphan(byId.get(id), { ...resource, after }));
    }
  }
  return [...byId.values()];
}
