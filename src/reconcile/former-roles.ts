import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import { ownersInDrain } from '../core/housekeeping.ts';
import {
  namedRoleResourceId,
  ROLE_POLICY_NAME,
  roleOfNarrowTag,
  roleResourceId,
  toNarrowTag,
} from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import { emptyOrphan } from '../core/orphan.ts';
import { requireKind } from '../core/plan.ts';
import { isRef } from '../core/ref.ts';
import { type ActualState, currentOf, type Id, type Note, type Resource } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import type { Policy, Statement } from '../iam/types.ts';
import { FORMER_ROLES_ATTR, type IamRole, iamRole } from '../kinds/iam-role.ts';
import { iamRolePolicy } from '../kinds/iam-role-policy.ts';
import { type S3Replication, s3Replication } from '../kinds/s3-replication.ts';
import { resourcesNamedBy, toSidName } from '../policy/statements.ts';
import { asReplaced, ownerOfStatement } from '../policy/transitions.ts';
import type { BucketReplication } from '../spec/types.ts';
import { nameInArn } from '../util/arn.ts';
import { awsCli } from '../util/aws-cli.ts';
import { isAsDeclared } from './narrow.ts';
import { observe } from './observe.ts';

/** The batch that may change the policy of a role. Two batches never write one document in the same run. */
export type RoleOwners = Map<Id, object>;

/** Returns the roles that the pairs of each batch declare. A former role among them belongs to that batch. */
export function declaredRoles(batches: readonly (readonly BucketReplication[])[]): RoleOwners {
  return new Map(
    batches.flatMap((pairs) =>
      pairs.map((pair): [Id, object] => [roleResourceId(iamRole.name, pair), pairs]),
    ),
  );
}

/** What `addFormerRoles` needs beside the resources. */
export interface FormerRoleOptions {
  kinds: ReadonlyMap<string, Kind>;
  /** With a cache: the policy of a former role is read once. */
  aws: AwsClient;
  signal?: AbortSignal;
  owners: RoleOwners;
  /** The batch of the resources, as a key in `owners`. */
  batch: object;
  /** The time of AWS, in milliseconds since 1970. */
  nowMs: number;
}

/** The resources with the policies of former roles. */
export interface FormerRoles {
  resources: Resource[];
  actual: ActualState;
  /** Statements that replikey leaves in place. */
  notes: Note[];
}

/**
 * Finds the statements that specs left in the policies of their former roles. The role that a configuration stops to use
 * is recorded in a tag of its new role, before the switch. A later run finds it there. When the configuration names the
 * new role and nothing of the specs drains in policies of keys and buckets, that run gives the statements an expiry,
 * so that the former role keeps them for one more whole drain. The tag is removed when no statement is left.
 *
 * It makes calls only for a configuration that changes its role, and for a tag whose drain has ended.
 */
export async function addFormerRoles(
  resources: readonly Resource[],
  actual: ActualState,
  options: FormerRoleOptions,
): Promise<FormerRoles> {
  const { kinds, aws, signal, nowMs } = options;
  const result = { resources: [...resources], actual: new Map(actual), notes: [] as Note[] };
  const ids = new Set(resources.map(({ id }) => id));
  const draining = ownersInDrain(resources, actual, kinds, nowMs);
  const configurations = resources.flatMap((resource) => roleUseOf(resource, actual));
  const configurationsByRole = new Map<Id, Configuration[]>();
  for (const configuration of configurations) {
    const ofRole = configurationsByRole.get(configuration.nextId);
    if (ofRole) ofRole.push(configuration);
    else configurationsByRole.set(configuration.nextId, [configuration]);
  }
  const added: Resource[] = [];
  for (const [index, resource] of resources.entries()) {
    if (resource.kind !== iamRole.name || resource.orphaned) continue;
    const role = resource as Resource<IamRole>;
    const recorded = recordedRoles(role, actual);
    const former = new Set(recorded);
    for (const change of configurationsByRole.get(role.id) ?? []) {
      if (change.currentArn === undefined || change.currentArn === arnOf(role, actual)) continue;
      const policy = await readStatements(role, nameInArn(change.currentArn), options);
      if ('statements' in policy && policy.statements.length === 0) continue;
      const why = ids.has(
        namedRoleResourceId(iamRolePolicy.name, nameInArn(change.currentArn), role.location.account),
      )
        ? 'another spec uses this role'
        : await leftBehindBecause(role, change.currentArn, policy, options);
      result.notes.push(switchNote(change, policy, why));
      if (why === undefined) former.add(nameInArn(change.currentArn));
    }
    for (const name of recorded) {
      const policyId = namedRoleResourceId(iamRolePolicy.name, name, role.location.account);
      const isInUse = configurations.some(({ currentArn = '' }) => nameInArn(currentArn) === name);
      // Prune removes the whole role; a role that is declared again keeps its statements.
      if (isInUse || name === role.name || ids.has(policyId)) continue;
      if (role.declaredBy.some((spec) => draining.has(toSidName(spec)))) continue;
      if (!mayChange(role, name, options)) continue;
      const policy = await readStatements(role, name, options);
      const keptBecause =
        'problem' in policy ? policy.problem : remainingUse(policy.statements, configurations);
      if ('problem' in policy || keptBecause !== undefined) {
        result.notes.push({
          id: role.id,
          message: `the former role ${name} keeps statements of ${role.declaredBy.join(', ')}: ${keptBecause}; ${removalCommands(name, policy)}`,
          pairs: role.declaredBy,
        });
      } else if (policy.statements.length === 0) former.delete(name);
      else added.push(...policyToNarrow(role, name, kinds));
    }
    if (former.size === 0 && recorded.length === 0) continue;
    const names = [...former];
    const current = currentOf(actual, role.id);
    if (current) {
      const spec = { ...(current.spec as IamRole), formerRoles: recorded.map(toNarrowTag) };
      result.actual.set(role.id, { state: 'present', current: { ...current, spec } });
    }
    const isOnlyRemoval =
      names.length < recorded.length &&
      names.every((name) => recorded.includes(name)) &&
      isAsDeclared(role, actual, requireKind(kinds, role));
    result.resources[index] = {
      ...role,
      spec: { ...role.spec, formerRoles: names.map(toNarrowTag) },
      ...(isOnlyRemoval && { narrowed: true as const }),
    };
  }
  if (added.length > 0) {
    for (const [id, observation] of await observe(added, kinds, aws, signal))
      result.actual.set(id, observation);
    result.resources.push(...added);
  }
  return result;
}

/** Returns the resources of the first stage of prune, which changes configurations, with the tags of former roles. */
export function recordFormerRoles(resources: readonly Resource[], planned: readonly Resource[]): Resource[] {
  const roles = new Map(
    planned.flatMap((resource): [Id, Resource][] =>
      resource.kind === iamRole.name && (resource.spec as IamRole).formerRoles
        ? [[resource.id, resource]]
        : [],
    ),
  );
  return resources.map((resource) => roles.get(resource.id) ?? resource);
}

interface Configuration {
  id: Id;
  bucket: string;
  specs: string[];
  /** Id of the role that the specs declare. */
  nextId: Id;
  /** The role that S3 uses now. */
  currentArn: string | undefined;
  isKnown: boolean;
}

/** Returns the role that a declared configuration has, and the one that it gets. */
function roleUseOf(resource: Resource, actual: ActualState): Configuration[] {
  if (resource.kind !== s3Replication.name || resource.orphaned) return [];
  const { role, bucket } = resource.spec as S3Replication;
  const observation = actual.get(resource.id);
  const current = currentOf(actual, resource.id)?.spec as S3Replication | undefined;
  return [
    {
      id: resource.id,
      bucket,
      specs: resource.declaredBy,
      nextId: isRef(role) ? role.$ref : `${iamRole.name}/${role}`,
      currentArn: typeof current?.role === 'string' && current.role !== '' ? current.role : undefined,
      isKnown: observation !== undefined && observation.state !== 'unknown',
    },
  ];
}

/** Returns the former roles in the tags of a role. */
function recordedRoles(role: Resource, actual: ActualState): string[] {
  const text = currentOf(actual, role.id)?.attrs[FORMER_ROLES_ATTR];
  return text ? text.split(' ').map(roleOfNarrowTag) : [];
}

const arnOf = ({ id, spec }: Resource<IamRole>, actual: ActualState): string | undefined =>
  spec.arn ?? currentOf(actual, id)?.attrs.arn;

/** Statements of specs in the policy of a role, and the others; or why they cannot be read. */
type FormerStatements = { statements: Statement[]; others: Statement[] } | { problem: string };

/** Reads the statements of the specs of a role, in the policy of their former role. */
async function readStatements(
  { location, declaredBy }: Resource,
  former: string,
  { aws }: FormerRoleOptions,
): Promise<FormerStatements> {
  try {
    const policy: Policy | undefined = await iamRolePolicy.fetch(aws, location, former);
    const owners = new Set(declaredBy.map(toSidName));
    const all = [policy?.Statement ?? []].flat();
    const isOwned = (statement: Statement) => owners.has(ownerOfStatement(statement) ?? '');
    return { statements: all.filter(isOwned), others: all.filter((statement) => !isOwned(statement)) };
  } catch (error) {
    if (error instanceof UserError) throw error;
    return { problem: formatAwsError(error) };
  }
}

/** Returns why replikey does not remove the statements of a former role, at the switch. */
async function leftBehindBecause(
  role: Resource<IamRole>,
  formerArn: string,
  policy: FormerStatements,
  options: FormerRoleOptions,
): Promise<string | undefined> {
  if ('problem' in policy) return policy.problem;
  if (role.spec.arn !== undefined)
    return 'the new role is given by ARN, so replikey cannot record the former one';
  if (formerArn.split(':')[4] !== (await options.aws.accountId(role.location.account)))
    return 'the role belongs to another account';
  if (options.owners.has(`${iamRole.name}/${formerArn}`)) return 'another spec gives this role by ARN';
  return mayChange(role, nameInArn(formerArn), options) ? undefined : 'another spec declares this role';
}

/** Returns whether this batch may change the policy of a former role, and reserves it. */
function mayChange({ location }: Resource, former: string, { owners, batch }: FormerRoleOptions): boolean {
  const id = namedRoleResourceId(iamRole.name, former, location.account);
  const owner = owners.get(id) ?? batch;
  owners.set(id, owner);
  return owner === batch;
}

/** Returns why a former role may still be used: a source bucket that its statements name. */
function remainingUse(
  statements: readonly Statement[],
  configurations: readonly Configuration[],
): string | undefined {
  const bucketsRead = new Set(configurations.flatMap(({ bucket, isKnown }) => (isKnown ? bucket : [])));
  const unknown = resourcesNamedBy(statements.map(asReplaced)).sources.filter(
    (bucket) => !bucketsRead.has(bucket),
  );
  return unknown.length === 0
    ? undefined
    : `it is not known whether the bucket ${unknown.join(', ')} still replicates as this role`;
}

function switchNote(
  { id, specs, currentArn = '' }: Configuration,
  policy: FormerStatements,
  why: string | undefined,
): Note {
  const kept = `the role ${currentArn} keeps the statements of ${specs.join(', ')}, which objects in flight need`;
  const message =
    why === undefined
      ? `${kept}; a later run removes them after the drain`
      : `${kept}, and replikey does not remove them: ${why}; after the drain, ${removalCommands(nameInArn(currentArn), policy)}`;
  return { id, message, pairs: specs };
}

/** Returns how a person removes the statements of specs from the policy of a role. */
function removalCommands(role: string, policy: FormerStatements): string {
  const options = { 'role-name': role, 'policy-name': ROLE_POLICY_NAME };
  if ('problem' in policy) return `inspect it with: ${awsCli('iam get-role-policy', options)}`;
  if (policy.others.length === 0) return `remove them with: ${awsCli('iam delete-role-policy', options)}`;
  const document = { Version: '2012-10-17', Statement: policy.others };
  // A message is one line.
  const command = awsCli('iam put-role-policy', { ...options, 'policy-document': document }).replaceAll(
    '\n',
    '',
  );
  return `remove them with: ${command}`;
}

/** Returns the policy of a former role, from which housekeeping removes the statements of the specs. */
function policyToNarrow(role: Resource, former: string, kinds: ReadonlyMap<string, Kind>): Resource[] {
  const [first = ''] = role.declaredBy;
  const orphan = emptyOrphan({
    sidName: toSidName(first),
    specName: first,
    role: { name: former, arn: '', location: role.location },
  });
  return (kinds.get(iamRolePolicy.name)?.orphans?.(orphan) ?? []).map((resource) => ({
    ...resource,
    declaredBy: role.declaredBy,
    pruneOwners: role.declaredBy.map(toSidName),
    ...(role.drainMs !== undefined && { drainMs: role.drainMs }),
    narrowed: role.drainMs === 0 ? true : 'retain',
  }));
}
