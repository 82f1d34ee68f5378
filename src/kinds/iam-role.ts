import {
  CreateRoleCommand,
  DeleteRoleCommand,
  GetRoleCommand,
  PutRolePermissionsBoundaryCommand,
  type Tag,
  TagRoleCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { defined, sortedSet, stableJson } from '../canonical.ts';
import { unwanted } from '../core/leftover.ts';
import { DELETION, namedRoleId, place, position, roleId } from '../core/names.ts';
import { trustStatements } from '../core/permissions.ts';
import type { Aws, Kind, Place } from '../core/resource.ts';
import {
  canonicalStatements,
  joinPolicy,
  type Statements,
  splitPolicy,
  withoutRepeats,
} from '../core/statements.ts';
import type { Statement } from '../iam/types.ts';
import { orAbsent } from './absent.ts';
import { policyOf } from './policy-text.ts';
import { ownTags, tagMap } from './tags.ts';
import { roleTrail } from './trail.ts';

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
  actions: {
    read: ['iam:GetRole'],
    write: [
      'iam:CreateRole',
      'iam:TagRole',
      'iam:UpdateAssumeRolePolicy',
      'iam:PutRolePermissionsBoundary',
      'iam:DeleteRole',
    ],
  },

  want: ({ pair, pairs }) => [
    {
      id: roleId(pair),
      kind: 'iam.role',
      at: place(pair.source),
      spec:
        'arn' in pair.role
          ? { name: pair.role.arn.slice(pair.role.arn.lastIndexOf('/') + 1), arn: pair.role.arn }
          : {
              ...pair.role,
              trust: trustStatements,
              removable: pairs
                .filter((other) => roleId(other) === roleId(pair) && other.policy.deletion === 'Remove')
                .map(({ name }) => name),
            },
      after: [],
      pairs: [pair.name],
      from: position(pair, 'spec.role'),
    },
  ],

  left: (of) =>
    of.roleGoes
      ? [
          unwanted(of, {
            id: namedRoleId(of.role.name, of.role.at.account, 'iam.role'),
            kind: 'iam.role',
            at: of.role.at,
            spec: { name: of.role.name },
            after: [namedRoleId(of.role.name, of.role.at.account, 'iam.role-policy')],
          }),
        ]
      : [],

  canonical: (spec) =>
    defined({
      ...spec,
      trust: spec.trust && canonicalStatements(spec.trust),
      removable: spec.removable?.length ? sortedSet(spec.removable) : undefined,
    }),

  complete: (desired, seen) =>
    desired.trust
      ? { ...desired, trust: withoutRepeats(desired.trust, (seen?.rest as Statement[] | undefined) ?? []) }
      : desired,

  blocks(desired, seen) {
    if (desired.path !== undefined && seen?.spec.path !== undefined && seen.spec.path !== desired.path) {
      return `the role ${desired.name} has the path ${seen.spec.path}, which cannot be changed: declare path: ${seen.spec.path}, or another name`;
    }
    if (desired.arn === undefined || seen) return undefined;
    return `the role ${desired.arn} does not exist; a role given by ARN must exist before`;
  },

  async read(aws, { at, spec, pairs }) {
    const answer = await orAbsent(
      aws.send(at, new GetRoleCommand({ RoleName: spec.name })),
      'NoSuchEntityException',
    );
    const role = answer?.Role;
    if (!role?.Arn) return undefined;
    const attrs = { arn: role.Arn, id: role.RoleId ?? '' };
    if (spec.arn !== undefined) return { spec: { name: spec.name, arn: role.Arn }, attrs };
    const { ours, foreign } = splitPolicy(policyOf(role.AssumeRolePolicyDocument ?? '{"Statement":[]}'), []);
    const tags = tagMap(role.Tags);
    return {
      spec: defined({
        name: spec.name,
        trust: ours,
        path: spec.path && role.Path,
        permissionsBoundary: spec.permissionsBoundary && role.PermissionsBoundary?.PermissionsBoundaryArn,
        tags: spec.tags && declaredTags(spec.tags, role.Tags ?? []),
        removable: sortedSet(pairs.filter((name) => tags[DELETION + name] === 'Remove')),
      }),
      attrs,
      rest: foreign,
    };
  },

  calls(desired, seen, goes) {
    if (goes) return ['iam:DeleteRole'];
    if (!seen) return ['iam:CreateRole'];
    return changes(desired, seen.spec).map(([operation]) => `iam:${operation}`);
  },

  async write(aws, { at, spec, pairs }, was) {
    if (!spec.trust) return;
    const trust = JSON.stringify(joinPolicy(spec.trust, (was?.rest as Statement[] | undefined) ?? []));
    if (was) {
      await update(aws, at, spec, was.spec, trust);
      return;
    }
    const command = new CreateRoleCommand(
      defined({
        RoleName: spec.name,
        Path: spec.path,
        PermissionsBoundary: spec.permissionsBoundary,
        AssumeRolePolicyDocument: trust,
        Description: 'S3 assumes this role to replicate objects; created by replikey',
        Tags: [...ownTags(pairs), ...asList(spec.tags), ...deletionTags(spec)],
      }),
    );
    // It is there already when the answer to an earlier attempt was lost; reading it back tells whether as wanted.
    await orAbsent(aws.send(at, command), 'EntityAlreadyExistsException');
  },

  isSpent: () => true,

  async remove(aws, { at, spec }) {
    await orAbsent(aws.send(at, new DeleteRoleCommand({ RoleName: spec.name })), 'NoSuchEntityException');
  },

  async tags(aws, { at, spec }) {
    const { Role } = await aws.send(at, new GetRoleCommand({ RoleName: spec.name }));
    return tagMap(Role?.Tags);
  },

  explain(path) {
    if (path === '' || path.startsWith('/trust')) return 'S3 must be allowed to assume the role';
    if (path === '/permissionsBoundary') return 'a permissions boundary is declared';
    if (path.startsWith('/removable'))
      return 'what a spec says of its deletion is recorded for when it is gone';
    return path.startsWith('/tags') ? 'tags are declared' : undefined;
  },

  facts: ({ trust, permissionsBoundary }, { seen, arn }) => ({
    roles: {
      [arn]: {
        ...(trust && { trust: joinPolicy(trust, (seen?.rest as Statement[] | undefined) ?? []) }),
        ...(seen ? {} : { policies: {}, boundary: null }),
        ...(permissionsBoundary !== undefined && permissionsBoundary !== seen?.spec.permissionsBoundary
          ? { boundary: { unread: `the document of ${permissionsBoundary} is read once the role has it` } }
          : {}),
      },
    },
  }),

  byHand: ({ name, path, trust }) =>
    trust && {
      what: `make the role ${name}, which S3 may assume`,
      document: joinPolicy(trust),
      command: [
        `aws iam create-role --role-name ${name}`,
        ...(path === undefined ? [] : [`--path ${path}`]),
        '--assume-role-policy-document file://trust.json',
      ].join(' '),
    },

  risks: (desired, seen) =>
    desired.permissionsBoundary !== undefined &&
    seen.spec.permissionsBoundary !== undefined &&
    seen.spec.permissionsBoundary !== desired.permissionsBoundary
      ? [
          {
            id: 'change-boundary',
            message: `the role ${desired.name} is limited by ${seen.spec.permissionsBoundary} now`,
          },
        ]
      : [],

  settles: [
    { code: 'NoSuchEntityException', waitsFor: 'IAM to see the new role' },
    { code: 'DeleteConflictException', waitsFor: 'IAM to see that the policy of the role is gone' },
  ],

  trail: roleTrail({
    '': ['DeleteRole'],
    '/trust': ['UpdateAssumeRolePolicy'],
    '/permissionsBoundary': ['PutRolePermissionsBoundary', 'DeleteRolePermissionsBoundary'],
    '/tags': ['TagRole', 'UntagRole'],
    '/removable': ['TagRole', 'UntagRole'],
  }),
};

type Change = 'UpdateAssumeRolePolicy' | 'PutRolePermissionsBoundary' | 'TagRole';

/** Each change has a call of its own; tags come with it. */
function changes(spec: IamRole, was: IamRole): [operation: Change, tags?: Tag[]][] {
  const { permissionsBoundary } = spec;
  const bounded = permissionsBoundary !== undefined && permissionsBoundary !== was.permissionsBoundary;
  const tagged = spec.tags && stableJson(spec.tags) !== stableJson(was.tags);
  const removable = stableJson(spec.removable ?? []) !== stableJson(was.removable ?? []);
  return [
    ...(stableJson(spec.trust) === stableJson(was.trust) ? [] : [['UpdateAssumeRolePolicy'] as [Change]]),
    ...(bounded ? [['PutRolePermissionsBoundary'] as [Change]] : []),
    ...(tagged ? [['TagRole', asList(spec.tags)] as [Change, Tag[]]] : []),
    ...(removable ? [['TagRole', deletionTags(spec, was)] as [Change, Tag[]]] : []),
  ];
}

async function update(aws: Aws, at: Place, spec: IamRole, was: IamRole, trust: string): Promise<void> {
  const { name: RoleName, permissionsBoundary: PermissionsBoundary } = spec;
  const commands = {
    UpdateAssumeRolePolicy: () => new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: trust }),
    PutRolePermissionsBoundary: () =>
      new PutRolePermissionsBoundaryCommand({ RoleName, PermissionsBoundary }),
    TagRole: (Tags?: Tag[]) => new TagRoleCommand({ RoleName, Tags }),
  };
  for (const [operation, tags] of changes(spec, was)) await aws.send(at, commands[operation](tags));
}

/** A spec that says Remove no more is recorded as Retain; one that never said it is not recorded. */
function deletionTags({ removable = [] }: IamRole, was?: IamRole): Tag[] {
  const names = sortedSet([...removable, ...(was?.removable ?? [])]);
  return names.map((name) => ({
    Key: DELETION + name,
    Value: removable.includes(name) ? 'Remove' : 'Retain',
  }));
}

const declaredTags = (declared: Record<string, string>, found: Tag[]): Record<string, string> =>
  Object.fromEntries(found.flatMap(({ Key = '', Value = '' }) => (Key in declared ? [[Key, Value]] : [])));

const asList = (tags: Record<string, string> = {}): { Key: string; Value: string }[] =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
