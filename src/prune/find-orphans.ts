import { GetAccountAuthorizationDetailsCommand, type RoleDetail } from '@aws-sdk/client-iam';
import { paginate } from '../aws/paginate.ts';
import {
  batchRolesOf,
  DELETION_TAG_PREFIX,
  isRedrive,
  parseDeletionTag,
  ROLE_POLICY_NAME,
  SPEC_TAG,
  toDeletionTag,
} from '../core/ids.ts';
import type { Aws, Location } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import { toTagMap } from '../kinds/helpers.ts';
import { EMPTY_POLICY, parsePolicyDocument } from '../kinds/policy-document.ts';
import {
  bucketNamesIn,
  isRedriveStatement,
  parseSid,
  resourcesNamedBy,
  specNameOfSid,
  toSidName,
} from '../policy/statements.ts';
import { asReplaced, ownerOfStatement, parseRetained } from '../policy/transitions.ts';
import type { BucketReplication } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';

/** The service that runs batch jobs. */
const BATCH_SERVICE = 'batchoperations.s3.amazonaws.com';

/** The subject of the statements that name the bucket of jobs. */
const BATCH_BUCKET_SUBJECT = /^(Backfill|ReencryptSource|ReencryptDestination)Bucket$/;

/** An IAM role with the properties that identify orphans of specs. */
export interface ListedRole {
  name: string;
  arn: string;
  location: Location;
  tags: Record<string, string>;
  /** Statements of replikey's inline policy. */
  statements: Statement[];
  /** Names of all other policies of the role. */
  otherPolicies: string[];
  /** Whether S3 Batch Operations may assume the role. */
  isBatchRole: boolean;
}

/** Lists every role of an account with its tags and policies. One call returns up to 1,000 roles. */
export async function listRolesWithPolicies(aws: Aws, location: Location): Promise<ListedRole[]> {
  const roles: ListedRole[] = [];
  const rolePages = paginate(
    (Marker) =>
      aws.send(
        location,
        new GetAccountAuthorizationDetailsCommand(
          omitUndefined({ Filter: ['Role' as const], MaxItems: 1_000, Marker }),
        ),
      ),
    ({ IsTruncated, Marker }) => ({ hasMore: IsTruncated, marker: Marker }),
  );
  for await (const page of rolePages)
    roles.push(...(page.RoleDetailList ?? []).map((role) => toListedRole(role, location)));
  return roles;
}

function toListedRole(role: RoleDetail, location: Location): ListedRole {
  const inlinePolicies = role.RolePolicyList ?? [];
  const replikeyPolicy = inlinePolicies.find(({ PolicyName }) => PolicyName === ROLE_POLICY_NAME);
  const otherPolicies = [
    ...inlinePolicies.filter((policy) => policy !== replikeyPolicy),
    ...(role.AttachedManagedPolicies ?? []),
  ];
  return {
    name: role.RoleName ?? '',
    arn: role.Arn ?? '',
    location,
    tags: toTagMap(role.Tags),
    statements: [parsePolicyDocument(replikeyPolicy?.PolicyDocument ?? EMPTY_POLICY).Statement].flat(),
    otherPolicies: otherPolicies.map(({ PolicyName = '' }) => PolicyName),
    // The document is URL-encoded, which does not change the name of the service.
    isBatchRole: role.AssumeRolePolicyDocument?.includes(BATCH_SERVICE) ?? false,
  };
}

/** A spec that a role refers to, although no current spec of that name uses the role. */
export interface OrphanCandidate {
  /** `name`: the spec name in the form of Sids; `spec`: the spec name itself, as far as it can be recovered. */
  name: string;
  spec: string;
  role: ListedRole;
  /** Bucket names in `sources` and `destinations`, ARNs in `keys`. */
  sources: string[];
  destinations: string[];
  keys: string[];
  /** Whether current specs also use the role. */
  roleInUse: boolean;
  /** The reason why replikey retains the whole orphan, if it does. */
  retainedBecause?: string;
  /** The time until which objects may be in flight, in milliseconds since 1970, if it is to come. */
  drainEndMs?: number;
}

/**
 * Finds the specs that a role refers to, and that are removed or use another role now. These are the specs with
 * statements in the role's policy. If no current spec uses the role, these are also the specs in its tags. A role of batch
 * jobs replicates nothing: `findBatchRoleOrphans` finds its specs.
 *
 * @param accountIdOf returns the id (12 digits) of the account that contains a pair's role
 * @param nowMs the time of AWS, in milliseconds since 1970
 */
export function findOrphans(
  role: ListedRole,
  pairs: readonly BucketReplication[],
  accountIdOf: (pair: BucketReplication) => string | undefined,
  nowMs: number,
): OrphanCandidate[] {
  if (role.isBatchRole) return [];
  const pairsUsingRole = pairs.filter((pair) => isRoleOf(role, pair.role, accountIdOf(pair)));
  const location =
    pairsUsingRole[0] && !('arn' in pairsUsingRole[0].role)
      ? { ...role.location, ...accountFieldOf(pairsUsingRole[0]) }
      : role.location;
  return orphanNamesOf(role, pairsUsingRole).map(({ name, spec }) => {
    const candidate = {
      name,
      spec,
      role: { ...role, location },
      roleInUse: pairsUsingRole.length > 0,
      ...resourcesNamedBy(statementsOfOwner(role.statements, name)),
    };
    const retainedBecause = retentionReasonOf(candidate, pairs, pairsUsingRole);
    const drainEndMs = drainEndOf(role, name, nowMs);
    return { ...candidate, ...omitUndefined({ retainedBecause, drainEndMs }) };
  });
}

/** Returns whether a choice of a role in a spec is this role. */
const isRoleOf = (
  role: ListedRole,
  choice: { name: string } | { arn: string },
  accountId: string | undefined,
): boolean =>
  'arn' in choice
    ? choice.arn === role.arn
    : // IAM compares role names without regard to case.
      choice.name.toLowerCase() === role.name.toLowerCase() && accountId === role.arn.split(':')[4];

/** Returns the specs that a role refers to and that do not use it, by their names in Sids and, as far as known, in YAML. */
function orphanNamesOf(
  { tags, statements }: ListedRole,
  pairsUsingRole: readonly BucketReplication[],
): { name: string; spec: string }[] {
  const taggedNames = Object.keys(tags).flatMap((key) =>
    key.startsWith(DELETION_TAG_PREFIX) ? key.slice(DELETION_TAG_PREFIX.length) : [],
  );
  const knownNames = [...taggedNames, ...(tags[SPEC_TAG]?.split(' ') ?? [])];
  const names = new Set([
    // A re-drive belongs to no spec.
    ...statements
      .filter((statement) => !isRedriveStatement(statement))
      .flatMap((statement) => ownerOfStatement(statement) ?? []),
    ...(pairsUsingRole.length === 0 ? taggedNames.filter((name) => !isRedrive(name)).map(toSidName) : []),
  ]);
  for (const pair of pairsUsingRole) names.delete(toSidName(pair.name));
  return [...names].map((name) => ({ name, spec: specNameOfSid(name, knownNames) }));
}

/** A spec that a role of batch jobs refers to, although the spec is removed, declares no job or uses another role. */
export interface BatchRoleCandidate extends Pick<OrphanCandidate, 'name' | 'spec' | 'role' | 'roleInUse'> {
  /** Names of the buckets of its jobs. */
  buckets: string[];
  /** The reason why replikey retains the statements of the spec, if it does. */
  retainedBecause?: string;
}

/**
 * Finds the specs that a role of batch jobs refers to and that do not use it.
 *
 * @param accountIdOf see `findOrphans`
 */
export function findBatchRoleOrphans(
  role: ListedRole,
  pairs: readonly BucketReplication[],
  accountIdOf: (pair: BucketReplication) => string | undefined,
): BatchRoleCandidate[] {
  if (!role.isBatchRole) return [];
  const choicesOf = (pair: BucketReplication) =>
    batchRolesOf(pair).filter(({ role: choice, side }) =>
      isRoleOf(
        role,
        choice,
        side === pair.source ? accountIdOf(pair) : (side.accountId ?? accountIdOf(pair)),
      ),
    );
  const pairsUsingRole = pairs.filter((pair) => choicesOf(pair).length > 0);
  return orphanNamesOf(role, pairsUsingRole).map(({ name, spec }) => {
    const buckets = statementsOfOwner(role.statements, name).flatMap((statement) =>
      BATCH_BUCKET_SUBJECT.test(parseSid(statement)?.subject ?? '')
        ? bucketNamesIn([statement.Resource ?? []].flat())
        : [],
    );
    const declared = pairs.find((pair) => pair.name === spec);
    const candidate = {
      name,
      spec,
      role,
      roleInUse: pairsUsingRole.length > 0,
      buckets: [...new Set(buckets)],
    };
    const retainedBecause =
      sharedRoleReason(pairsUsingRole, (pair) => choicesOf(pair)[0]?.role) ??
      deletionReason(role, spec, declared?.policy.deletion);
    return { ...candidate, ...omitUndefined({ retainedBecause }) };
  });
}

/** Returns the statements of a spec, with the Sids that retained ones had before. */
const statementsOfOwner = (statements: readonly Statement[], owner: string): Statement[] =>
  statements.filter((statement) => ownerOfStatement(statement) === owner).map(asReplaced);

/** Returns the specs, by their names in Sids, with unexpired retained permissions in the policy of a role. */
export const ownersDraining = ({ statements }: ListedRole, nowMs: number): string[] =>
  statements.flatMap((statement) => {
    const retained = parseRetained(statement);
    return retained && retained.expiresAtMs > nowMs ? [retained.owner] : [];
  });

/** Returns the latest expiry of the retained permissions of a spec, in milliseconds since 1970, if it is to come. */
function drainEndOf({ statements }: ListedRole, owner: string, nowMs: number): number | undefined {
  const expiries = statements.flatMap((statement) => {
    const retained = parseRetained(statement);
    return retained?.owner === owner && retained.expiresAtMs > nowMs ? [retained.expiresAtMs] : [];
  });
  return expiries.length === 0 ? undefined : Math.max(...expiries);
}

/** Returns whether a role has permissions of a spec that no run has replaced yet. */
export const grantsPermissions = ({ statements }: ListedRole, owner: string): boolean =>
  statements.some((statement) => parseSid(statement)?.name === owner);

const accountFieldOf = ({ source }: BucketReplication) =>
  source.account === undefined ? {} : { account: source.account };

function retentionReasonOf(
  { name, spec, role, sources }: OrphanCandidate,
  pairs: readonly BucketReplication[],
  pairsUsingRole: readonly BucketReplication[],
): string | undefined {
  const sharedReason = sharedRoleReason(pairsUsingRole, (pair) => pair.role);
  if (sharedReason !== undefined) return sharedReason;
  // If the spec still exists with another role, its own deletion policy applies.
  const declaredDeletion = pairs.find((pair) => toSidName(pair.name) === name)?.policy.deletion;
  const reason = deletionReason(role, spec, declaredDeletion);
  if (reason !== undefined) return reason;
  return grantsPermissions(role, name) && sources.length === 0
    ? 'the policy of its role does not name its source bucket'
    : undefined;
}

/** Returns why specs that use a role keep the statements of another spec in it, if they do. */
function sharedRoleReason(
  pairsUsingRole: readonly BucketReplication[],
  choiceOf: (pair: BucketReplication) => object | undefined,
): string | undefined {
  const names = (somePairs: readonly BucketReplication[]) => somePairs.map((pair) => pair.name).join(', ');
  const pairsByArn = pairsUsingRole.filter((pair) => 'arn' in (choiceOf(pair) ?? {}));
  if (pairsByArn.length > 0)
    return `its role is declared by ARN in ${names(pairsByArn)}, so replikey never changes it`;
  const retainingPairs = pairsUsingRole.filter(({ policy }) => policy.deletion !== 'Remove');
  return retainingPairs.length > 0
    ? `its role is also used by ${names(retainingPairs)}, with deletion: Retain`
    : undefined;
}

/** Returns why the deletion policy of a spec keeps its statements, if it does: the declared one, or that in the tag. */
function deletionReason(
  { name, tags }: ListedRole,
  spec: string,
  declared: BucketReplication['policy']['deletion'] | undefined,
): string | undefined {
  if (declared !== undefined) return declared === 'Remove' ? undefined : 'it sets deletion: Retain';
  const recorded = parseDeletionTag(tags[DELETION_TAG_PREFIX + spec]);
  if (recorded?.isRemoved) return undefined;
  const value = toDeletionTag({ isRemoved: true, marks: recorded?.marks ?? [] });
  const tag = `Key=${DELETION_TAG_PREFIX}${spec},Value=${value}`;
  return `it did not set deletion: Remove; to set it now, run aws iam tag-role --role-name ${name} --tags ${value.includes(' ') ? `'${tag}'` : tag}`;
}
