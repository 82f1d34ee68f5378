import {
  CreateRoleCommand,
  GetRoleCommand,
  PutRolePermissionsBoundaryCommand,
  type Tag,
  TagRoleCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { defined, stableJson } from '../core/canonical.ts';
import { place, position, roleId } from '../core/names.ts';
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
}

export const iamRole: Kind<IamRole> = {
  name: 'iam.role',
  actions: {
    read: ['iam:GetRole'],
    write: ['iam:CreateRole', 'iam:TagRole', 'iam:UpdateAssumeRolePolicy', 'iam:PutRolePermissionsBoundary'],
  },

  want: ({ pair }) => [
    {
      id: roleId(pair),
      kind: 'iam.role',
      at: place(pair.source),
      spec:
        'arn' in pair.role
          ? { name: pair.role.arn.slice(pair.role.arn.lastIndexOf('/') + 1), arn: pair.role.arn }
          : { ...pair.role, trust: trustStatements },
      after: [],
      pairs: [pair.name],
      from: position(pair, 'spec.role'),
    },
  ],

  canonical: (spec) => defined({ ...spec, trust: spec.trust && canonicalStatements(spec.trust) }),

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

  async read(aws, { at, spec }) {
    const answer = await orAbsent(
      aws.send(at, new GetRoleCommand({ RoleName: spec.name })),
      'NoSuchEntityException',
    );
    const role = answer?.Role;
    if (!role?.Arn) return undefined;
    const attrs = { arn: role.Arn, id: role.RoleId ?? '' };
    if (spec.arn !== undefined) return { spec: { name: spec.name, arn: role.Arn }, attrs };
    const { ours, foreign } = splitPolicy(policyOf(role.AssumeRolePolicyDocument ?? '{"Statement":[]}'), []);
    return {
      spec: defined({
        name: spec.name,
        trust: ours,
        path: spec.path && role.Path,
        permissionsBoundary: spec.permissionsBoundary && role.PermissionsBoundary?.PermissionsBoundaryArn,
        tags: spec.tags && declaredTags(spec.tags, role.Tags ?? []),
      }),
      attrs,
      rest: foreign,
    };
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
        Tags: [...ownTags(pairs), ...asList(spec.tags)],
      }),
    );
    // It is there already when the answer to an earlier attempt was lost; reading it back tells whether as wanted.
    await orAbsent(aws.send(at, command), 'EntityAlreadyExistsException');
  },

  async tags(aws, { at, spec }) {
    const { Role } = await aws.send(at, new GetRoleCommand({ RoleName: spec.name }));
    return tagMap(Role?.Tags);
  },

  explain(path) {
    if (path === '' || path.startsWith('/trust')) return 'S3 must be allowed to assume the role';
    if (path === '/permissionsBoundary') return 'a permissions boundary is declared';
    return path.startsWith('/tags') ? 'tags are declared' : undefined;
  },

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

  settles: [{ code: 'NoSuchEntityException', waitsFor: 'IAM to see the new role' }],
};

/** Each change has a call of its own. */
async function update(aws: Aws, at: Place, spec: IamRole, was: IamRole, trust: string): Promise<void> {
  const RoleName = spec.name;
  if (stableJson(spec.trust) !== stableJson(was.trust)) {
    await aws.send(at, new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: trust }));
  }
  const { permissionsBoundary: PermissionsBoundary } = spec;
  if (PermissionsBoundary !== undefined && PermissionsBoundary !== was.permissionsBoundary) {
    await aws.send(at, new PutRolePermissionsBoundaryCommand({ RoleName, PermissionsBoundary }));
  }
  if (spec.tags && stableJson(spec.tags) !== stableJson(was.tags)) {
    await aws.send(at, new TagRoleCommand({ RoleName, Tags: asList(spec.tags) }));
  }
}

const declaredTags = (declared: Record<string, string>, found: Tag[]): Record<string, string> =>
  Object.fromEntries(found.flatMap(({ Key = '', Value = '' }) => (Key in declared ? [[Key, Value]] : [])));

const asList = (tags: Record<string, string> = {}): { Key: string; Value: string }[] =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
