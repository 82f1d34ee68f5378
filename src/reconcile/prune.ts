import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import { MANAGED_BY_TAG, NO_POSITION, namedRoleResourceId } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import type { Orphan } from '../core/orphan.ts';
import { blockedReasonOf } from '../core/plan.ts';
import type { ActualState, Aws, Blocked, Note, Resource } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { iamRole } from '../kinds/iam-role.ts';
import { foreignUseOfRole, s3Replication } from '../kinds/s3-replication.ts';
import { parseSid } from '../policy/statements.ts';
import { findOrphans, type OrphanCandidate } from '../prune/find-orphans.ts';
import { type ListedRole, listRolesWithPolicies } from '../prune/list-roles.ts';
import {
  type LocatedOrphan,
  locateOrphan,
  type ReachableAccount,
  reachableAccounts,
} from '../prune/locate-orphans.ts';
import { type PruneScope, withOrphans } from '../prune/with-orphans.ts';
import type { Specs } from '../spec/types.ts';
import { observe } from './observe.ts';

/** What is wanted, together with what is to be taken away. */
export interface PrunePlan {
  /** To be applied first: what is wanted, and of what is left the rules alone. */
  withOrphanRules: Resource[];
  /** And then all: a rule goes before the permissions that it uses, while what is made goes the other way round. */
  withAllOrphans: Resource[];
  /** What cannot be read, so that nothing is taken away there. */
  blocked: Blocked[];
  notes: Note[];
}

export interface PruneOptions {
  kinds: ReadonlyMap<string, Kind>;
  /** With a cache, so that finding orphans and observing them share their reads. */
  aws: AwsClient;
  signal?: AbortSignal;
}

/**
 * Find what is left of specs that are not given, through the roles that S3 replicates as. The permissions of a spec go
 * only where its source bucket was read, and nothing in it needs them any more: S3 never tries a failed object again.
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
  const candidates = roles.flatMap((role) =>
    findOrphans(role, specs.pairs, ({ source }) => source.accountId ?? ambientAccountId),
  );
  const located = await Promise.all(
    candidates
      .filter(({ retainedBecause }) => retainedBecause === undefined)
      .map((candidate) => locateOrphan(candidate, accounts, aws)),
  );
  const orphans = located.map(({ orphan }) => orphan);
  const resourcesWith = (scope: PruneScope, actual: ActualState) =>
    withOrphans(desired, scope, specs.pairs, kinds, actual);

  const withOrphanRules = resourcesWith({ rules: orphans, permissions: [] }, new Map());
  const actual = await observe(withOrphanRules, kinds, aws, signal);
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
    removable.map(({ candidate }) => [candidate, roleRetentionReason(candidate, candidates, removable)]),
  );
  const removableOrphans = removable.map(({ candidate, orphan }) => ({
    ...orphan,
    deleteRole: !candidate.roleInUse && roleRetainedBecause.get(candidate) === undefined,
  }));
  return {
    withOrphanRules,
    withAllOrphans: resourcesWith({ rules: orphans, permissions: removableOrphans }, actual),
    // Permissions that stay since a bucket could not be asked are no success: the next run may take them away.
    blocked: [...blocked, ...located.flatMap(({ blocked }) => blocked ?? [])],
    notes: [
      ...candidates.flatMap((candidate) =>
        retentionNotes(candidate, 'what is left of it stays', candidate.retainedBecause),
      ),
      ...located.flatMap(({ candidate }) =>
        retentionNotes(candidate, 'its permissions stay', retainedBecause.get(candidate)),
      ),
      ...removable.flatMap(({ candidate }) =>
        retentionNotes(candidate, 'the role stays', roleRetainedBecause.get(candidate)),
      ),
      ...removable.flatMap(({ candidate, foreignOwned }) =>
        retentionNotes(
          candidate,
          'what other policies say of it stays',
          foreignStatementsReason(candidate, foreignOwned),
        ),
      ),
    ],
  };
}

/** The roles of all accounts. Where they cannot be listed nothing is found, which a person must know. */
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
      const reason = `what is left of specs cannot be found: ${formatAwsError(error, 'iam:GetAccountAuthorizationDetails', location)}`;
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

/** Why the permissions of an orphaned spec stay: a foreign rule may need them, or a source bucket cannot be read. */
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

/** Why a role stays that no spec uses, if so. */
function roleRetentionReason(
  { role, roleInUse }: OrphanCandidate,
  candidates: readonly OrphanCandidate[],
  removable: readonly LocatedOrphan[],
): string | undefined {
  if (roleInUse) return undefined;
  if (role.tags[MANAGED_BY_TAG] !== 'replikey') return 'it was there before';
  if (role.otherPolicies.length > 0) return `it has other policies: ${role.otherPolicies.join(', ')}`;
  if (role.statements.some((statement) => !parseSid(statement)))
    return 'its policy has statements that are not ours';
  const removableCandidates = new Set(removable.map(({ candidate }) => candidate));
  const remaining = candidates.filter(
    (candidate) => candidate.role.arn === role.arn && !removableCandidates.has(candidate),
  );
  return remaining.length > 0 ? `it serves ${remaining.map(({ spec }) => spec).join(', ')}` : undefined;
}

const foreignStatementsReason = (
  { name }: OrphanCandidate,
  foreignOwned: readonly string[],
): string | undefined =>
  foreignOwned.length > 0
    ? `the owners of ${foreignOwned.join(', ')} may take away the statements Replikey…${name}`
    : undefined;

function retentionNotes(
  { spec, role }: OrphanCandidate,
  subject: string,
  reason: string | undefined,
): Note[] {
  if (reason === undefined) return [];
  const id = namedRoleResourceId(iamRole.name, role.name, role.location.account);
  return [{ id, message: `${subject}: ${reason}`, pairs: [spec] }];
}
