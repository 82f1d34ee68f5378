import {
  CreateRoleCommand,
  DeleteRoleCommand,
  GetRoleCommand,
  PutRolePermissionsBoundaryCommand,
  type Tag,
  TagRoleCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  DELETION_TAG_PREFIX,
  locationOfSide,
  namedRoleResourceId,
  positionOfPath,
  roleResourceId,
} from '../core/ids.ts';
import { orphanResource } from '../core/orphan.ts';
import type { Aws, Kind, Location } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import { trustPolicyStatements } from '../policy/replication-policies.ts';
import {
  joinPolicy,
  normalizeStatements,
  omitRedundantStatements,
  type Statements,
  splitPolicy,
} from '../policy/statements.ts';
import { canonicalJson, omitUndefined, toSortedSet } from '../util/canonical-json.ts';
import { roleAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { parsePolicyDocument } from './policy-document.ts';
import { ownershipTags, toTagMap } from './tags.ts';

/** The role that S3 assumes, with its trust policy: by name, or by the ARN of one that is never altered. */
export interface IamRole {
  name: string;
  arn?: string;
  trust?: Statements;
  /** What is not declared is left as it is. */
  path?: string;
  permissionsBoundary?: string;
  /** Those that are declared, beside whatever others it has. */
  tags?: Record<string, string>;
  /** The specs that say deletion: Remove: recorded in tags, since a spec that is gone can say nothing. */
  removable?: string[];
}

export const iamRole: Kind<IamRole> = {
  name: 'iam.role',
  permissions: {
    read: ['iam:GetRole'],
    write: [
      'iam:CreateRole',
      'iam:TagRole',
      'iam:UpdateAssumeRolePolicy',
      'iam:PutRolePermissionsBoundary',
      'iam:DeleteRole',
    ],
  },

  desired: ({ pair, relatedPairs: pairs }) => [
    {
      id: roleResourceId(pair),
      kind: 'iam.role',
      location: locationOfSide(pair.source),
      spec:
        'arn' in pair.role
          ? { name: pair.role.arn.slice(pair.role.arn.lastIndexOf('/') + 1), arn: pair.role.arn }
          : {
              ...pair.role,
              trust: trustPolicyStatements,
              removable: pairs
                .filter(
                  (otherPair) =>
                    roleResourceId(otherPair) === roleResourceId(pair) &&
                    otherPair.policy.deletion === 'Remove',
                )
                .map(({ name }) => name),
            },
      after: [],
      declaredBy: [pair.name],
      position: positionOfPath(pair, 'spec.role'),
    },
  ],

  orphans: (orphan) =>
    orphan.deleteRole
      ? [
          orphanResource(orphan, {
            id: namedRoleResourceId(orphan.role.name, orphan.role.location.account, 'iam.role'),
            kind: 'iam.role',
            location: orphan.role.location,
            spec: { name: orphan.role.name },
            after: [namedRoleResourceId(orphan.role.name, orphan.role.location.account, 'iam.role-policy')],
          }),
        ]
      : [],

  normalize: (spec) =>
    omitUndefined({
      ...spec,
      trust: spec.trust && normalizeStatements(spec.trust),
      removable: spec.removable?.length ? toSortedSet(spec.removable) : undefined,
    }),

  complete: (desired, current) =>
    desired.trust
      ? {
          ...desired,
          trust: omitRedundantStatements(desired.trust, (current?.foreign as Statement[] | undefined) ?? []),
        }
      : desired,

  blockedReason(desired, current) {
    if (
      desired.path !== undefined &&
      current?.spec.path !== undefined &&
      current.spec.path !== desired.path
    ) {
      return `the role ${desired.name} has the path ${current.spec.path}, which cannot be changed: declare path: ${current.spec.path}, or another name`;
    }
    if (desired.arn === undefined || current) return undefined;
    return `the role ${desired.arn} does not exist; a role given by ARN must exist before`;
  },

  async read(aws, { location, spec, declaredBy }) {
    const response = await ignoreErrors(
      aws.send(location, new GetRoleCommand({ RoleName: spec.name })),
      'NoSuchEntityException',
    );
    const role = response?.Role;
    if (!role?.Arn) return undefined;
    const attrs = { arn: role.Arn, id: role.RoleId ?? '' };
    if (spec.arn !== undefined) return { spec: { name: spec.name, arn: role.Arn }, attrs };
    const { managed, foreign } = splitPolicy(
      parsePolicyDocument(role.AssumeRolePolicyDocument ?? '{"Statement":[]}'),
      [],
    );
    const tags = toTagMap(role.Tags);
    return {
      spec: omitUndefined({
        name: spec.name,
        trust: managed,
        path: spec.path && role.Path,
        permissionsBoundary: spec.permissionsBoundary && role.PermissionsBoundary?.PermissionsBoundaryArn,
        tags: spec.tags && pickDeclaredTags(spec.tags, role.Tags ?? []),
        removable: toSortedSet(declaredBy.filter((name) => tags[DELETION_TAG_PREFIX + name] === 'Remove')),
      }),
      attrs,
      foreign: foreign,
    };
  },

  operations(desired, current, isRemoval) {
    if (isRemoval) return ['iam:DeleteRole'];
    if (!current) return ['iam:CreateRole'];
    return roleChangesOf(desired, current.spec).map(([operation]) => `iam:${operation}`);
  },

  async write(aws, { location, spec, declaredBy }, current) {
    if (!spec.trust) return;
    const trust = JSON.stringify(joinPolicy(spec.trust, (current?.foreign as Statement[] | undefined) ?? []));
    if (current) {
      await updateRole(aws, location, spec, current.spec, trust);
      return;
    }
    const command = new CreateRoleCommand(
      omitUndefined({
        RoleName: spec.name,
        Path: spec.path,
        PermissionsBoundary: spec.permissionsBoundary,
        AssumeRolePolicyDocument: trust,
        Description: 'S3 assumes this role to replicate objects; created by replikey',
        Tags: [...ownershipTags(declaredBy), ...toTagList(spec.tags), ...deletionTagsOf(spec)],
      }),
    );
    // It is there already when the answer to an earlier attempt was lost; reading it back tells whether as wanted.
    await ignoreErrors(aws.send(location, command), 'EntityAlreadyExistsException');
  },

  isEmpty: () => true,

  async remove(aws, { location, spec }) {
    await ignoreErrors(
      aws.send(location, new DeleteRoleCommand({ RoleName: spec.name })),
      'NoSuchEntityException',
    );
  },

  async fetchTags(aws, { location, spec }) {
    const { Role } = await aws.send(location, new GetRoleCommand({ RoleName: spec.name }));
    return toTagMap(Role?.Tags);
  },

  explain(path) {
    if (path === '' || path.startsWith('/trust')) return 'S3 must be allowed to assume the role';
    if (path === '/permissionsBoundary') return 'a permissions boundary is declared';
    if (path.startsWith('/removable'))
      return 'what a spec says of its deletion is recorded for when it is gone';
    return path.startsWith('/tags') ? 'tags are declared' : undefined;
  },

  facts: ({ trust, permissionsBoundary }, { current, arn }) => ({
    roles: {
      [arn]: {
        ...(trust && { trust: joinPolicy(trust, (current?.foreign as Statement[] | undefined) ?? []) }),
        ...(current ? {} : { policies: {}, boundary: null }),
        ...(permissionsBoundary !== undefined && permissionsBoundary !== current?.spec.permissionsBoundary
          ? { boundary: { unread: `the document of ${permissionsBoundary} is read once the role has it` } }
          : {}),
      },
    },
  }),

  manualSteps: ({ name, path, trust }) =>
    trust && {
      what: `make the role ${name}, which S3 may assume`,
      document: joinPolicy(trust),
      command: [
        `aws iam create-role --role-name ${name}`,
        ...(path === undefined ? [] : [`--path ${path}`]),
        '--assume-role-policy-document file://trust.json',
      ].join(' '),
    },

  risks: (desired, current) =>
    desired.permissionsBoundary !== undefined &&
    current.spec.permissionsBoundary !== undefined &&
    current.spec.permissionsBoundary !== desired.permissionsBoundary
      ? [
          {
            id: 'change-boundary',
            message: `the role ${desired.name} is limited by ${current.spec.permissionsBoundary} now`,
          },
        ]
      : [],

  transientErrors: [
    { code: 'NoSuchEntityException', waitsFor: 'IAM to see the new role' },
    { code: 'DeleteConflictException', waitsFor: 'IAM to see that the policy of the role is gone' },
  ],

  auditEvents: roleAuditEvents({
    '': ['DeleteRole'],
    '/trust': ['UpdateAssumeRolePolicy'],
    '/permissionsBoundary': ['PutRolePermissionsBoundary', 'DeleteRolePermissionsBoundary'],
    '/tags': ['TagRole', 'UntagRole'],
    '/removable': ['TagRole', 'UntagRole'],
  }),
};

type RoleChange = 'UpdateAssumeRolePolicy' | 'PutRolePermissionsBoundary' | 'TagRole';

/** Each change has a call of its own; tags come with it. */
function roleChangesOf(desired: IamRole, current: IamRole): [operation: RoleChange, tags?: Tag[]][] {
  const { permissionsBoundary } = desired;
  const boundaryChanged =
    permissionsBoundary !== undefined && permissionsBoundary !== current.permissionsBoundary;
  const tagsChanged = desired.tags && canonicalJson(desired.tags) !== canonicalJson(current.tags);
  const removableChanged = canonicalJson(desired.removable ?? []) !== canonicalJson(current.removable ?? []);
  return [
    ...(canonicalJson(desired.trust) === canonicalJson(current.trust)
      ? []
      : [['UpdateAssumeRolePolicy'] as [RoleChange]]),
    ...(boundaryChanged ? [['PutRolePermissionsBoundary'] as [RoleChange]] : []),
    ...(tagsChanged ? [['TagRole', toTagList(desired.tags)] as [RoleChange, Tag[]]] : []),
    ...(removableChanged ? [['TagRole', deletionTagsOf(desired, current)] as [RoleChange, Tag[]]] : []),
  ];
}

async function updateRole(
  aws: Aws,
  location: Location,
  desired: IamRole,
  current: IamRole,
  trust: string,
): Promise<void> {
  const { name: RoleName, permissionsBoundary: PermissionsBoundary } = desired;
  const commands = {
    UpdateAssumeRolePolicy: () => new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: trust }),
    PutRolePermissionsBoundary: () =>
      new PutRolePermissionsBoundaryCommand({ RoleName, PermissionsBoundary }),
    TagRole: (Tags?: Tag[]) => new TagRoleCommand({ RoleName, Tags }),
  };
  for (const [operation, tags] of roleChangesOf(desired, current))
    await aws.send(location, commands[operation](tags));
}

/** A spec that says Remove no more is recorded as Retain; one that never said it is not recorded. */
function deletionTagsOf({ removable = [] }: IamRole, current?: IamRole): Tag[] {
  const names = toSortedSet([...removable, ...(current?.removable ?? [])]);
  return names.map((name) => ({
    Key: DELETION_TAG_PREFIX + name,
    Value: removable.includes(name) ? 'Remove' : 'Retain',
  }));
}

const pickDeclaredTags = (declared: Record<string, string>, actual: Tag[]): Record<string, string> =>
  Object.fromEntries(actual.flatMap(({ Key = '', Value = '' }) => (Key in declared ? [[Key, Value]] : [])));

const toTagList = (tags: Record<string, string> = {}): { Key: string; Value: string }[] =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
