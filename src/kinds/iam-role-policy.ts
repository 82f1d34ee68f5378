import { DeleteRolePolicyCommand, GetRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { unwanted } from '../core/leftover.ts';
import { bucketId, keyArnId, namedRoleId, place, position, roleId } from '../core/names.ts';
import { roleStatements } from '../core/permissions.ts';
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
import { isSpent, policyOf, remarks } from './policy-text.ts';
import { roleTrail } from './trail.ts';

/** Our inline policy of the role: what replication needs. Other policies of the same role stay as they are. */
export interface IamRolePolicy {
  role: string;
  statements: Statements;
}

export const POLICY_NAME = 'replikey';

/** Inline policies of a role may hold 10,240 characters in all, white space not counted. */
const LIMIT = 10_240;

export const iamRolePolicy: Kind<IamRolePolicy> = {
  name: 'iam.role-policy',
  actions: { read: ['iam:GetRolePolicy'], write: ['iam:PutRolePolicy', 'iam:DeleteRolePolicy'] },

  want({ pair, pairs }) {
    if ('arn' in pair.role) return [];
    const id = roleId(pair);
    return [
      {
        id: roleId(pair, 'iam.role-policy'),
        kind: 'iam.role-policy',
        at: place(pair.source),
        spec: {
          role: pair.role.name,
          statements: roleStatements(pairs.filter((other) => roleId(other) === id)),
        },
        after: [id],
        pairs: [pair.name],
        from: position(pair, 'spec.role'),
      },
    ];
  },

  // Last but the role: all the rest is found through it.
  left: (of) => [
    unwanted(of, {
      id: namedRoleId(of.role.name, of.role.at.account, 'iam.role-policy'),
      kind: 'iam.role-policy',
      at: of.role.at,
      spec: { role: of.role.name, statements: {} },
      after: [
        ...of.sources.map(({ bucket }) => bucketId('s3.replication', bucket)),
        ...of.destinations.map(({ bucket }) => bucketId('s3.bucket-policy', bucket)),
        ...of.keys.map(({ arn }) => keyArnId(arn)),
      ],
    }),
  ],

  canonical: ({ role, statements }) => ({ role, statements: canonicalStatements(statements) }),

  complete: (desired, seen) => ({
    ...desired,
    statements: withoutRepeats(desired.statements, (seen?.rest as Statement[] | undefined) ?? []),
  }),

  blocks(desired, seen) {
    const policy = joinPolicy(desired.statements, (seen?.rest as Statement[] | undefined) ?? []);
    const size = JSON.stringify(policy).length;
    if (size <= LIMIT) return undefined;
    return `the policy of the role ${desired.role} would have ${size} characters, and IAM allows ${LIMIT}: declare fewer specs for its source bucket, or shorter prefixes`;
  },

  async read(aws, { at, spec, pairs, prune }) {
    const answer = await orAbsent(
      aws.send(at, new GetRolePolicyCommand({ RoleName: spec.role, PolicyName: POLICY_NAME })),
      'NoSuchEntityException',
    );
    if (answer?.PolicyDocument === undefined) return undefined;
    const { ours, foreign } = splitPolicy(policyOf(answer.PolicyDocument), pairs, prune);
    return { spec: { role: spec.role, statements: ours }, attrs: {}, rest: foreign };
  },

  calls: (_, __, goes) => [goes ? 'iam:DeleteRolePolicy' : 'iam:PutRolePolicy'],

  async write(aws, { at, spec }, was) {
    const policy = joinPolicy(spec.statements, (was?.rest as Statement[] | undefined) ?? []);
    await aws.send(
      at,
      new PutRolePolicyCommand({
        RoleName: spec.role,
        PolicyName: POLICY_NAME,
        PolicyDocument: JSON.stringify(policy),
      }),
    );
  },

  isSpent,

  async remove(aws, { at, spec }) {
    const policy = { RoleName: spec.role, PolicyName: POLICY_NAME };
    await orAbsent(aws.send(at, new DeleteRolePolicyCommand(policy)), 'NoSuchEntityException');
  },

  explain: (path) =>
    path === ''
      ? 'what S3 must be allowed to do as the role'
      : EXPLAINED.find(([start]) => path.startsWith(`/statements/Replikey${start}`))?.[1],

  notes: (_, seen) => remarks(seen.spec.statements, seen.rest),

  facts: ({ statements }, { seen, arn }) => ({
    roles: {
      [arn]: {
        policies: {
          [POLICY_NAME]: joinPolicy(statements, (seen?.rest as Statement[] | undefined) ?? []),
        },
      },
    },
  }),

  byHand: ({ role, statements }) => ({
    what: `give the role ${role} what replication needs`,
    document: joinPolicy(statements),
    command: `aws iam put-role-policy --role-name ${role} --policy-name ${POLICY_NAME} --policy-document file://role-policy.json`,
  }),

  settles: [{ code: 'NoSuchEntityException', waitsFor: 'IAM to see the new role' }],

  trail: roleTrail({ '': ['DeleteRolePolicy'], '/': ['PutRolePolicy'] }, POLICY_NAME),
};

const EXPLAINED: [string, string][] = [
  ['SourceBucket', 'S3 reads the replication configuration as the role'],
  ['SourceObjects', 'S3 reads source objects, their ACLs and tags as the role'],
  ['SourceKey', 'S3 decrypts source objects as the role, with an S3 Bucket Key and without'],
  ['DestinationObjects', 'S3 writes replicas and their tags as the role'],
  ['DestinationDeletes', 'a rule replicates delete markers'],
  ['DestinationOwner', 'S3 hands replicas to the account of the destination as the role'],
  [
    'DestinationKey',
    'S3 encrypts replicas under the destination key as the role, with an S3 Bucket Key and without',
  ],
];
