import {
  CreateRoleCommand,
  DeleteRoleCommand,
  GetRoleCommand,
  PutRolePermissionsBoundaryCommand,
  type Tag,
  TagRoleCommand,
  UntagRoleCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { requireField } from '../aws/response.ts';
import { READ_AFTER_APPLY } from '../core/facts.ts';
import {
  type BatchRole,
  batchRoleId,
  batchRolesOf,
  DELETION_TAG_PREFIX,
  locationOfSide,
  NARROW_TAG_PREFIX,
  namedRoleResourceId,
  parseDeletionTag,
  positionOfPath,
  roleResourceId,
  toDeletionTag,
} from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import { orphanResource } from '../core/orphan.ts';
import type { Aws, Current, Location, Resource } from '../core/resource.ts';
import type { Policy, Statement } from '../iam/types.ts';
import { batchTrustStatements, trustPolicyStatements } from '../policy/required-statements.ts';
import {
  joinPolicy,
  normalizeStatements,
  omitRedundantStatements,
  type Statements,
  splitPolicy,
} from '../policy/statements.ts';
import type { BucketReplication, RoleChoice } from '../spec/types.ts';
import { nameInArn } from '../util/arn.ts';
import { awsCli } from '../util/aws-cli.ts';
import { canonicalJson, omitUndefined, toSortedSet } from '../util/canonical-json.ts';
import { roleAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors, orAlreadyExists, ownershipTags, toTagMap } from './helpers.ts';
import { EMPTY_POLICY, parsePolicyDocument } from './policy-document.ts';
import { roleScope } from './scopes.ts';

/** The role that S3 assumes, with its trust policy: by name, or by the ARN of a role that replikey never changes. */
export interface IamRole {
  name: string;
  arn?: string;
  trust?: Statements;
  /** Undeclared settings stay as they are. */
  path?: string;
  permissionsBoundary?: string;
  /** The declared tags; the role may have others. */
  tags?: Record<string, string>;
  /** Specs that declare `deletion: Remove`, recorded in tags. Prune reads them after the spec was removed. */
  removable?: string[];
  /** Specs that declare failure events, or did before, recorded in the same tags: `tax failures`, `tax former-failures`. */
  leaves?: string[];
  /**
   * Keys of the tags that record the roles that the configurations of the specs used before. Policies of these roles
   * still have statements of the specs. Absent: the tags stay as they are.
   */
  formerRoles?: string[];
}

/** The attribute with the keys of these tags, separated by spaces. */
export const FORMER_ROLES_ATTR = 'formerRoles';

/** The response of GetRole, with the trust policy parsed. */
export interface RoleDoc {
  arn: string;
  id: string;
  path: string;
  trust: Policy;
  /** ARN of a policy. */
  permissionsBoundary?: string;
  tags: Record<string, string>;
}

export const iamRole: Kind<IamRole, RoleDoc, Statement[]> = {
  name: 'iam.role',
  scope: {
    ...roleScope,
    factsOfDeleted: { trust: { Statement: [] }, policies: {} },
    facts: ({ trust, permissionsBoundary }, { current, boundaries }) => ({
      trust,
      ...(current ? {} : { policies: {}, boundary: null }),
      ...(permissionsBoundary !== undefined && permissionsBoundary !== current?.attrs.permissionsBoundary
        ? {
            boundary: boundaries?.[permissionsBoundary] ?? {
              unread: `replikey reads the policy ${permissionsBoundary} ${READ_AFTER_APPLY}`,
            },
          }
        : {}),
    }),
  },
  permissions: {
    read: ['iam:GetRole'],
    write: [
      'iam:CreateRole',
      'iam:TagRole',
      'iam:UntagRole',
      'iam:UpdateAssumeRolePolicy',
      'iam:PutRolePermissionsBoundary',
      'iam:DeleteRole',
    ],
  },

  desired: ({ pair, relatedPairs }) => [
    {
      id: roleResourceId('iam.role', pair),
      kind: 'iam.role',
      name: 'arn' in pair.role ? nameInArn(pair.role.arn) : pair.role.name,
      location: locationOfSide(pair.source),
      spec:
        'arn' in pair.role
          ? { name: nameInArn(pair.role.arn), arn: pair.role.arn }
          : {
              ...settingsOf(pair.role),
              trust: trustPolicyStatements,
              ...deletionsOf(
                relatedPairs.filter(
                  (other) => roleResourceId('iam.role', other) === roleResourceId('iam.role', pair),
                ),
              ),
            },
      after: [],
      declaredBy: [pair.name],
      position: positionOfPath(pair, 'spec.role'),
    },
    ...batchRolesOf(pair).map((role) => desiredBatchRole(pair, role, relatedPairs)),
  ],

  orphans: (orphan) =>
    orphan.deleteRole
      ? [
          orphanResource(orphan, {
            id: namedRoleResourceId('iam.role', orphan.role.name, orphan.role.location.account),
            kind: 'iam.role',
            name: orphan.role.name,
            location: orphan.role.location,
            spec: { name: orphan.role.name },
            after: [namedRoleResourceId('iam.role-policy', orphan.role.name, orphan.role.location.account)],
          }),
        ]
      : [],

  fetch: (aws, location, name) => ignoreErrors(fetchRole(aws, location, name), 'NoSuchEntityException'),

  parse(doc, { spec, declaredBy }) {
    const formerRoles = narrowTagsIn(doc.tags);
    const attrs = omitUndefined({
      arn: doc.arn,
      id: doc.id,
      permissionsBoundary: doc.permissionsBoundary,
      policyId: doc.trust.Id,
      [FORMER_ROLES_ATTR]: formerRoles.length > 0 ? formerRoles.join(' ') : undefined,
    });
    if (spec.arn !== undefined) {
      // replikey manages no part of this role, so the proof sees the trust policy as it is.
      return { spec: { name: spec.name, arn: doc.arn }, attrs, foreign: [doc.trust.Statement].flat() };
    }
    const { managed, foreign } = splitPolicy(doc.trust, []);
    return {
      spec: omitUndefined({
        name: spec.name,
        trust: managed,
        path: spec.path && doc.path,
        permissionsBoundary: spec.permissionsBoundary && doc.permissionsBoundary,
        tags: spec.tags && pickTags(spec.tags, doc.tags),
        ...deletionsIn(doc.tags, declaredBy),
        formerRoles: spec.formerRoles && formerRoles,
      }),
      attrs,
      foreign,
    };
  },

  normalize: (spec) =>
    omitUndefined({
      ...spec,
      trust: spec.trust && normalizeStatements(spec.trust),
      removable: spec.removable?.length ? toSortedSet(spec.removable) : undefined,
      leaves: spec.leaves?.length ? toSortedSet(spec.leaves) : undefined,
      formerRoles: spec.formerRoles && toSortedSet(spec.formerRoles),
    }),

  render({ spec, orphaned }, current) {
    if (orphaned) return undefined;
    const foreign = current?.foreign ?? [];
    return omitUndefined({
      arn: spec.arn ?? current?.attrs.arn ?? '',
      id: current?.attrs.id ?? '',
      path: spec.path ?? '/',
      trust: joinPolicy(omitRedundantStatements(spec.trust ?? {}, foreign), foreign, current?.attrs.policyId),
      permissionsBoundary: spec.permissionsBoundary ?? current?.attrs.permissionsBoundary,
      tags: {
        ...spec.tags,
        ...Object.fromEntries(
          deletionTags({ ...spec, leaves: keepFormer(spec.leaves, current) }, current?.spec).map(toEntry),
        ),
        ...Object.fromEntries((spec.formerRoles ?? []).map((key) => [key, ''])),
      },
    });
  },

  operations({ doc, current, resource, desired }) {
    if (!doc) return [{ call: 'iam:DeleteRole' }];
    if (current) return changedParts(desired, current.spec).map(({ call }) => ({ call: `iam:${call}` }));
    return [
      {
        call: 'iam:CreateRole',
        ...(resource.spec.trust && { manual: manualCreation(resource.spec, doc.trust) }),
      },
    ];
  },

  async send(aws, { resource, current, desired, doc }) {
    if (!desired.trust || !doc) return;
    if (current) await sendUpdateRole(aws, resource, desired, current, doc.trust);
    else await sendCreateRole(aws, resource, desired, doc.trust);
  },

  async remove(aws, { location, name }) {
    await ignoreErrors(
      aws.send(location, new DeleteRoleCommand({ RoleName: name })),
      'NoSuchEntityException',
    );
  },

  response: {},

  check({ resource: { spec, orphaned }, current, desired }) {
    const path = current?.spec.path;
    const boundary = current?.spec.permissionsBoundary;
    return {
      blocked:
        spec.path !== undefined && path !== undefined && path !== spec.path
          ? `the role ${spec.name} has the path ${path}, which cannot be changed; declare path: ${path}, or another role name`
          : spec.arn === undefined || current
            ? undefined
            : `the role ${spec.arn} does not exist; create it first, since replikey never creates a role given by ARN`,
      risks:
        spec.permissionsBoundary !== undefined &&
        boundary !== undefined &&
        boundary !== spec.permissionsBoundary
          ? [
              {
                id: 'change-boundary',
                message: `replaces the permissions boundary ${boundary} of the role ${spec.name}`,
              },
            ]
          : [],
      changeNotes: orphaned ? [] : leftBehindNotes(desired, current?.spec),
    };
  },

  explain(path) {
    if (path === '' || path.startsWith('/trust')) return 'S3 must be allowed to assume the role';
    if (path === '/permissionsBoundary') return 'a permissions boundary is declared';
    if (path.startsWith('/formerRoles'))
      return 'a tag records the former role, whose statements a later run removes after the drain';
    if (path.startsWith('/leaves'))
      return 'a tag records what stays in AWS if the spec does not declare it any more';
    if (path.startsWith('/removable'))
      return 'a tag records the deletion policy of the spec, for a prune after the spec is removed';
    return path.startsWith('/tags') ? 'tags are declared' : undefined;
  },

  fetchTags: async (aws, { location, name }) => (await fetchRole(aws, location, name)).tags,

  transientErrors: [
    { code: 'NoSuchEntityException', waitsFor: 'IAM to see the new role' },
    { code: 'DeleteConflictException', waitsFor: 'IAM to see that the policy of the role is deleted' },
  ],

  auditEvents: roleAuditEvents(
    {
      '': ['DeleteRole'],
      '/trust': ['UpdateAssumeRolePolicy'],
      '/permissionsBoundary': ['PutRolePermissionsBoundary', 'DeleteRolePermissionsBoundary'],
      '/tags': ['TagRole', 'UntagRole'],
      '/removable': ['TagRole', 'UntagRole'],
      '/leaves': ['TagRole', 'UntagRole'],
      '/formerRoles': ['TagRole', 'UntagRole'],
    },
    {
      proofEventNames: [
        'AttachRolePolicy',
        'CreatePolicyVersion',
        'CreateRole',
        'DeleteRolePolicy',
        'DetachRolePolicy',
        'PutRolePolicy',
        'SetDefaultPolicyVersion',
      ],
    },
  ),
};

/** Returns a role of the batch jobs of a pair. */
function desiredBatchRole(
  pair: BucketReplication,
  { role, side, path }: BatchRole,
  relatedPairs: readonly BucketReplication[],
): Resource<IamRole> {
  const id = batchRoleId('iam.role', { role, side });
  const sharing = relatedPairs.filter((other) =>
    batchRolesOf(other).some((batchRole) => batchRoleId('iam.role', batchRole) === id),
  );
  const name = 'arn' in role ? nameInArn(role.arn) : role.name;
  return {
    id,
    kind: 'iam.role',
    name,
    location: locationOfSide(side),
    spec:
      'arn' in role
        ? { name, arn: role.arn }
        : { name, trust: batchTrustStatements, removable: deletionsOf(sharing).removable },
    after: [],
    declaredBy: [pair.name],
    position: positionOfPath(pair, path),
  };
}

/** Returns the settings of the role itself. */
const settingsOf = ({ also: _, ...settings }: Exclude<RoleChoice, { arn: string }>) => settings;

/**
 * Reads a role.
 *
 * @throws the error of AWS, `NoSuchEntityException` among them; PolicyError when the trust policy is not a valid
 * policy.
 */
export async function fetchRole(aws: Aws, location: Location, name: string): Promise<RoleDoc> {
  const Role = requireField(await aws.send(location, new GetRoleCommand({ RoleName: name })), 'Role');
  return omitUndefined({
    arn: Role.Arn ?? '',
    id: Role.RoleId ?? '',
    path: Role.Path ?? '/',
    trust: parsePolicyDocument(Role.AssumeRolePolicyDocument ?? EMPTY_POLICY),
    permissionsBoundary: Role.PermissionsBoundary?.PermissionsBoundaryArn,
    tags: toTagMap(Role.Tags),
  });
}

interface ChangedPart {
  call: 'UpdateAssumeRolePolicy' | 'PutRolePermissionsBoundary' | 'TagRole' | 'UntagRole';
  tags?: Tag[];
}

/** Returns the calls that change a role: one for each part that differs. */
function changedParts(desired: IamRole, current: IamRole): ChangedPart[] {
  const { permissionsBoundary: boundary, tags } = desired;
  const formerTags = (desired.formerRoles ?? []).filter((key) => !current.formerRoles?.includes(key));
  const spentTags = desired.formerRoles
    ? (current.formerRoles ?? []).filter((key) => !desired.formerRoles?.includes(key))
    : [];
  const isEqual = (left: unknown, right: unknown) => canonicalJson(left) === canonicalJson(right);
  return [
    ...(isEqual(desired.trust, current.trust) ? [] : [{ call: 'UpdateAssumeRolePolicy' as const }]),
    ...(boundary === undefined || boundary === current.permissionsBoundary
      ? []
      : [{ call: 'PutRolePermissionsBoundary' as const }]),
    ...(!tags || isEqual(tags, current.tags) ? [] : [{ call: 'TagRole' as const, tags: toTagList(tags) }]),
    ...(isEqual(deletionTags(desired, current), deletionTags(current, current))
      ? []
      : [{ call: 'TagRole' as const, tags: deletionTags(desired, current) }]),
    ...(formerTags.length === 0 ? [] : [{ call: 'TagRole' as const, tags: narrowTags(formerTags) }]),
    ...(spentTags.length === 0 ? [] : [{ call: 'UntagRole' as const, tags: narrowTags(spentTags) }]),
  ];
}

async function sendCreateRole(
  aws: Aws,
  { name, location, declaredBy }: Resource,
  desired: IamRole,
  trust: Policy,
): Promise<void> {
  const command = new CreateRoleCommand(
    omitUndefined({
      RoleName: name,
      Path: desired.path,
      PermissionsBoundary: desired.permissionsBoundary,
      AssumeRolePolicyDocument: JSON.stringify(trust),
      Description: `${isBatchRole(trust) ? 'S3 Batch Operations' : 'S3'} assumes this role to replicate objects; created by replikey`,
      Tags: [
        ...ownershipTags(declaredBy),
        ...toTagList(desired.tags),
        ...deletionTags(desired),
        ...narrowTags(desired.formerRoles),
      ],
    }),
  );
  await orAlreadyExists(aws.send(location, command), 'EntityAlreadyExistsException');
}

async function sendUpdateRole(
  aws: Aws,
  { name: RoleName, location }: Resource,
  desired: IamRole,
  current: Current<IamRole>,
  trust: Policy,
): Promise<void> {
  const PermissionsBoundary = desired.permissionsBoundary;
  const commands = {
    UpdateAssumeRolePolicy: () =>
      new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: JSON.stringify(trust) }),
    PutRolePermissionsBoundary: () =>
      new PutRolePermissionsBoundaryCommand({ RoleName, PermissionsBoundary }),
    TagRole: (Tags?: Tag[]) => new TagRoleCommand({ RoleName, Tags }),
    UntagRole: (tags: Tag[] = []) =>
      new UntagRoleCommand({ RoleName, TagKeys: tags.map(({ Key = '' }) => Key) }),
  };
  for (const { call, tags } of changedParts(desired, current.spec)) {
    await aws.send(location, commands[call](tags));
  }
}

const isBatchRole = (trust: Policy): boolean =>
  JSON.stringify(trust).includes('batchoperations.s3.amazonaws.com');

const manualCreation = ({ name, path, permissionsBoundary }: IamRole, trust: Policy) => ({
  what: `create the role ${name}, which ${isBatchRole(trust) ? 'S3 Batch Operations' : 'S3'} may assume`,
  document: trust,
  command: awsCli('iam create-role', {
    'role-name': name,
    path,
    'permissions-boundary': permissionsBoundary,
    'assume-role-policy-document': trust,
  }),
});

/** What the tags of a role record about specs. */
type Deletions = Pick<IamRole, 'removable' | 'leaves'>;

/** Returns what the tags of a role record about the pairs that use it. */
const deletionsOf = (pairs: readonly BucketReplication[]): Required<Deletions> => ({
  removable: pairs.filter(({ policy }) => policy.deletion === 'Remove').map(({ name }) => name),
  leaves: pairs.flatMap(({ name, failures }) => (failures ? `${name} failures` : [])),
});

/** Returns what tags record about specs. */
function deletionsIn(tags: Readonly<Record<string, string>>, specNames: readonly string[]): Deletions {
  const recorded = specNames.map((name) => ({ name, ...parseDeletionTag(tags[DELETION_TAG_PREFIX + name]) }));
  return {
    removable: toSortedSet(recorded.flatMap(({ name, isRemoved }) => (isRemoved ? name : []))),
    leaves: toSortedSet(recorded.flatMap(({ name, marks = [] }) => marks.map((mark) => `${name} ${mark}`))),
  };
}

/** Returns the tags that record this, also `Retain` for a spec about which tags recorded more before. */
function deletionTags({ removable = [], leaves = [] }: Deletions, before: Deletions = {}): Tag[] {
  const entries = [...removable, ...leaves, ...(before.removable ?? []), ...(before.leaves ?? [])];
  return toSortedSet(entries.map((entry) => entry.split(' ')[0] ?? '')).map((name) => ({
    Key: DELETION_TAG_PREFIX + name,
    Value: toDeletionTag({
      isRemoved: removable.includes(name),
      marks: toSortedSet(
        leaves.flatMap((entry) => (entry.startsWith(`${name} `) ? entry.slice(name.length + 1) : [])),
      ),
    }),
  }));
}

/** Adds the failure events that specs declared before: prune may not have removed them yet. */
const keepFormer = (leaves: readonly string[] = [], current: Current<IamRole> | undefined): string[] => [
  ...leaves,
  ...(current?.spec.leaves ?? []).flatMap((entry) => {
    const [name = '', feature] = entry.split(' ');
    const isFormer = feature === 'failures' || feature === 'former-failures';
    return isFormer && !leaves.includes(`${name} failures`) ? `${name} former-failures` : [];
  }),
];

/** Returns what stays in AWS of specs that do not declare failure events any more. */
const leftBehindNotes = ({ removable = [], leaves = [] }: Deletions, before: Deletions = {}): string[] =>
  (before.leaves ?? []).flatMap((entry) => {
    const [name = '', feature] = entry.split(' ');
    if (feature !== 'failures' || leaves.includes(entry)) return [];
    const what = 'its entry in the notification configuration of the source bucket';
    const how = removable.includes(name)
      ? `a run with --prune removes ${what}`
      : `to remove ${what}, set deletion: Remove, and run with --prune`;
    return [`the spec ${name} no longer declares failures; ${how}`];
  });

const narrowTags = (keys: readonly string[] = []): Tag[] => keys.map((Key) => ({ Key, Value: '' }));

/** Returns the keys of the tags that record former roles. */
const narrowTagsIn = (tags: Record<string, string>): string[] =>
  toSortedSet(Object.keys(tags).filter((key) => key.startsWith(NARROW_TAG_PREFIX)));

const pickTags = (declared: Record<string, string>, tags: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(tags).filter(([key]) => key in declared));

const toTagList = (tags: Record<string, string> = {}): Tag[] =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));

const toEntry = ({ Key = '', Value = '' }: Tag): [string, string] => [Key, Value];
