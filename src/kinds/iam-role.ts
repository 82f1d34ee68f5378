import { CreateRoleCommand, GetRoleCommand, UpdateAssumeRolePolicyCommand } from '@aws-sdk/client-iam';
import { defined } from '../core/canonical.ts';
import { place, position, roleId } from '../core/names.ts';
import { trustStatements } from '../core/permissions.ts';
import type { Kind } from '../core/resource.ts';
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
import { ownTags } from './tags.ts';

/** The role that S3 assumes, with its trust policy: by name, or by the ARN of one that is never altered. */
export interface IamRole {
  name: string;
  arn?: string;
  trust?: Statements;
}

export const iamRole: Kind<IamRole> = {
  name: 'iam.role',
  actions: { read: ['iam:GetRole'], write: ['iam:CreateRole', 'iam:TagRole', 'iam:UpdateAssumeRolePolicy'] },

  want: ({ pair }) => [
    {
      id: roleId(pair),
      kind: 'iam.role',
      at: place(pair.source),
      spec:
        'arn' in pair.role
          ? { name: pair.role.arn.slice(pair.role.arn.lastIndexOf('/') + 1), arn: pair.role.arn }
          : { name: pair.role.name, trust: trustStatements },
      after: [],
      pairs: [pair.name],
      from: position(pair, 'spec.role'),
    },
  ],

  canonical: ({ name, arn, trust }) => defined({ name, arn, trust: trust && canonicalStatements(trust) }),

  complete: (desired, seen) =>
    desired.trust
      ? { ...desired, trust: withoutRepeats(desired.trust, (seen?.rest as Statement[] | undefined) ?? []) }
      : desired,

  blocks(desired, seen) {
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
    const { ours, foreign } = splitPolicy(policyOf(role.AssumeRolePolicyDocument ?? '{"Statement":[]}'));
    return { spec: { name: spec.name, trust: ours }, attrs, rest: foreign };
  },

  async write(aws, { at, spec, pairs }, was) {
    if (!spec.trust) return;
    const trust = JSON.stringify(joinPolicy(spec.trust, (was?.rest as Statement[] | undefined) ?? []));
    if (was) {
      await aws.send(at, new UpdateAssumeRolePolicyCommand({ RoleName: spec.name, PolicyDocument: trust }));
      return;
    }
    const command = new CreateRoleCommand({
      RoleName: spec.name,
      AssumeRolePolicyDocument: trust,
      Description: 'S3 assumes this role to replicate objects; created by replikey',
      Tags: ownTags(pairs),
    });
    // It is there already when the answer to an earlier attempt was lost; reading it back tells whether as wanted.
    await orAbsent(aws.send(at, command), 'EntityAlreadyExistsException');
  },

  explain: (path) =>
    path === '' || path.startsWith('/trust') ? 'S3 must be allowed to assume the role' : undefined,
};
