import { GetAccountAuthorizationDetailsCommand, type RoleDetail } from '@aws-sdk/client-iam';
import { paginate } from '../aws/paginate.ts';
import { DELETION_TAG_PREFIX, SPEC_TAG } from '../core/ids.ts';
import type { Aws, Location } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import { toTagMap } from '../kinds/helpers.ts';
import { ROLE_POLICY_NAME } from '../kinds/iam-role-policy.ts';
import { EMPTY_POLICY, parsePolicyDocument } from '../kinds/policy-document.ts';
import { parseSid, specNameOfSid, toSidName } from '../policy/statements.ts';
import type { BucketReplication } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';

/** A role as IAM lists it, as far as it tells what is left of specs. */
export interface ListedRole {
  name: string;
  arn: string;
  location: Location;
  tags: Record<string, string>;
  /** Of our inline policy. */
  statements: Statement[];
  /** The names of all its other policies. */
  otherPolicies: string[];
}

/** Every role of an account with its tags and policies, in bulk: one call for a thousand of them. */
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
  };
}

/** A spec of which a role tells, though none of that name is given for that role. */
export interface OrphanCandidate {
  /** The name of the spec as Sids have it, and the name itself as far as it can be told. */
  name: string;
  spec: string;
  role: ListedRole;
  /** Names of buckets, and ARNs of keys. */
  sources: string[];
  destinations: string[];
  keys: string[];
  /** Whether specs that are given use the role, too. */
  roleInUse: boolean;
  /** Why all of it stays, if so. */
  retainedBecause?: string;
}

/**
 * What a role tells of specs that are not given, or that are given with another role now: those that its policy still
 * serves, and where nothing serves any more but the role is there, those that its tags record.
 *
 * @param accountIdOf twelve digits: the account that a pair's role is in
 */
export function findOrphans(
  role: ListedRole,
  pairs: readonly BucketReplication[],
  accountIdOf: (pair: BucketReplication) => string | undefined,
): OrphanCandidate[] {
  const account = role.arn.split(':')[4];
  const pairsUsingRole = pairs.filter((pair) =>
    'arn' in pair.role
      ? pair.role.arn === role.arn
      : // IAM tells role names apart without regard to case.
        pair.role.name.toLowerCase() === role.name.toLowerCase() && accountIdOf(pair) === account,
  );
  const location =
    pairsUsingRole[0] && !('arn' in pairsUsingRole[0].role)
      ? { ...role.location, ...accountFieldOf(pairsUsingRole[0]) }
      : role.location;
  const taggedNames = Object.keys(role.tags).flatMap((key) =>
    key.startsWith(DELETION_TAG_PREFIX) ? key.slice(DELETION_TAG_PREFIX.length) : [],
  );
  const knownNames = [...taggedNames, ...(role.tags[SPEC_TAG]?.split(' ') ?? [])];
  const names = new Set([
    ...role.statements.flatMap((statement) => parseSid(statement)?.name ?? []),
    ...(pairsUsingRole.length === 0 ? taggedNames.map(toSidName) : []),
  ]);
  for (const pair of pairsUsingRole) names.delete(toSidName(pair.name));
  return [...names].map((name) => {
    const candidate = {
      name,
      spec: specNameOfSid(name, knownNames),
      role: { ...role, location },
      roleInUse: pairsUsingRole.length > 0,
      ...resourcesNamedBy(role.statements.filter((statement) => parseSid(statement)?.name === name)),
    };
    const retainedBecause = retentionReasonOf(candidate, pairs, pairsUsingRole);
    return retainedBecause === undefined ? candidate : { ...candidate, retainedBecause };
  });
}

const accountFieldOf = ({ source }: BucketReplication) =>
  source.account === undefined ? {} : { account: source.account };

/** The buckets and keys that statements of ours name. */
function resourcesNamedBy(
  statements: readonly Statement[],
): Pick<OrphanCandidate, 'sources' | 'destinations' | 'keys'> {
  const resources = (pattern: RegExp): string[] =>
    statements.flatMap((statement) =>
      pattern.test(parseSid(statement)?.subject ?? '') ? [statement.Resource ?? []].flat() : [],
    );
  const buckets = (pattern: RegExp): string[] => [
    ...new Set(
      resources(pattern).flatMap((arn) => /^arn:[^:]+:s3:::([a-z0-9.-]+)(\/|$)/.exec(arn)?.[1] ?? []),
    ),
  ];
  return {
    sources: buckets(/^Source(Bucket|Objects)$/),
    destinations: buckets(/^Destination(Objects|Deletes|Owner)$/),
    keys: [...new Set(resources(/Key$/).filter((arn) => /^arn:[^:]+:kms:[^:]+:\d+:key\/./.test(arn)))],
  };
}

function retentionReasonOf(
  { name, spec, role, sources }: OrphanCandidate,
  pairs: readonly BucketReplication[],
  pairsUsingRole: readonly BucketReplication[],
): string | undefined {
  const names = (somePairs: readonly BucketReplication[]) => somePairs.map((pair) => pair.name).join(', ');
  const pairsByArn = pairsUsingRole.filter((pair) => 'arn' in pair.role);
  if (pairsByArn.length > 0)
    return `its role is given by ARN to ${names(pairsByArn)}, and so is never altered`;
  const retainingPairs = pairsUsingRole.filter(({ policy }) => policy.deletion !== 'Remove');
  if (retainingPairs.length > 0) return `${names(retainingPairs)} shares its role and says deletion: Retain`;
  // A spec that is given, but with another role now, speaks for itself.
  const declaredDeletion = pairs.find((pair) => toSidName(pair.name) === name)?.policy.deletion;
  if ((declaredDeletion ?? role.tags[DELETION_TAG_PREFIX + spec]) !== 'Remove') {
    return declaredDeletion === undefined
      ? `it did not say deletion: Remove; aws iam tag-role --role-name ${role.name} --tags Key=${DELETION_TAG_PREFIX}${spec},Value=Remove says it now`
      : 'it says deletion: Retain';
  }
  const grantsPermissions = role.statements.some((statement) => parseSid(statement)?.name === name);
  return grantsPermissions && sources.length === 0
    ? 'the policy of its role does not tell its source bucket'
    : undefined;
}
