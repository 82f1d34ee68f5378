import { DeleteRolePolicyCommand, GetRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import {
  bucketResourceId,
  keyArnResourceId,
  locationOfSide,
  namedRoleResourceId,
  positionOfPath,
  roleResourceId,
} from '../core/ids.ts';
import { orphanResource } from '../core/orphan.ts';
import type { Kind } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import { rolePolicyStatements } from '../policy/replication-policies.ts';
import {
  joinPolicy,
  normalizeStatements,
  omitRedundantStatements,
  type Statements,
  splitPolicy,
} from '../policy/statements.ts';
import { roleAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { isPolicyEmpty, parsePolicyDocument, policyNotes } from './policy-document.ts';

/** Our inline policy of the role: what replication needs. Other policies of the same role stay as they are. */
export interface IamRolePolicy {
  role: string;
  statements: Statements;
}

export const INLINE_POLICY_NAME = 'replikey';

/** Inline policies of a role may hold 10,240 characters in all, white space not counted. */
const MAX_ROLE_POLICY_CHARACTERS = 10_240;

export const iamRolePolicy: Kind<IamRolePolicy> = {
  name: 'iam.role-policy',
  permissions: { read: ['iam:GetRolePolicy'], write: ['iam:PutRolePolicy', 'iam:DeleteRolePolicy'] },

  desired({ pair, relatedPairs: pairs }) {
    if ('arn' in pair.role) return [];
    const id = roleResourceId(pair);
    return [
      {
        id: roleResourceId(pair, 'iam.role-policy'),
        kind: 'iam.role-policy',
        location: locationOfSide(pair.source),
        spec: {
          role: pair.role.name,
          statements: rolePolicyStatements(pairs.filter((otherPair) => roleResourceId(otherPair) === id)),
        },
        after: [id],
        declaredBy: [pair.name],
        position: positionOfPath(pair, 'spec.role'),
      },
    ];
  },

  // Last but the role: all the rest is found through it.
  orphans: (orphan) => [
    orphanResource(orphan, {
      id: namedRoleResourceId(orphan.role.name, orphan.role.location.account, 'iam.role-policy'),
      kind: 'iam.role-policy',
      location: orphan.role.location,
      spec: { role: orphan.role.name, statements: {} },
      after: [
        ...orphan.sources.map(({ bucket }) => bucketResourceId('s3.replication', bucket)),
        ...orphan.destinations.map(({ bucket }) => bucketResourceId('s3.bucket-policy', bucket)),
        ...orphan.keys.map(({ arn }) => keyArnResourceId(arn)),
      ],
    }),
  ],

  normalize: ({ role, statements }) => ({ role, statements: normalizeStatements(statements) }),

  complete: (desired, current) => ({
    ...desired,
    statements: omitRedundantStatements(
      desired.statements,
      (current?.foreign as Statement[] | undefined) ?? [],
    ),
  }),

  blockedReason(desired, current) {
    const policy = joinPolicy(desired.statements, (current?.foreign as Statement[] | undefined) ?? []);
    const size = JSON.stringify(policy).length;
    if (size <= MAX_ROLE_POLICY_CHARACTERS) return undefined;
    return `the policy of the role ${desired.role} would have ${size} characters, and IAM allows ${MAX_ROLE_POLICY_CHARACTERS}: declare fewer specs for its source bucket, or shorter prefixes`;
  },

  async read(aws, { location, spec, declaredBy, pruneOwners: prune }) {
    const response = await ignoreErrors(
      aws.send(location, new GetRolePolicyCommand({ RoleName: spec.role, PolicyName: INLINE_POLICY_NAME })),
      'NoSuchEntityException',
    );
    if (response?.PolicyDocument === undefined) return undefined;
    const { managed, foreign } = splitPolicy(parsePolicyDocument(response.PolicyDocument), declaredBy, prune);
    return { spec: { role: spec.role, statements: managed }, attrs: {}, foreign: foreign };
  },

  operations: (_, __, isRemoval) => [isRemoval ? 'iam:DeleteRolePolicy' : 'iam:PutRolePolicy'],

  async write(aws, { location, spec }, current) {
    const policy = joinPolicy(spec.statements, (current?.foreign as Statement[] | undefined) ?? []);
    await aws.send(
      location,
      new PutRolePolicyCommand({
        RoleName: spec.role,
        PolicyName: INLINE_POLICY_NAME,
        PolicyDocument: JSON.stringify(policy),
      }),
    );
  },

  isEmpty: isPolicyEmpty,

  async remove(aws, { location, spec }) {
    const policy = { RoleName: spec.role, PolicyName: INLINE_POLICY_NAME };
    await ignoreErrors(aws.send(location, new DeleteRolePolicyCommand(policy)), 'NoSuchEntityException');
  },

  explain: (path) =>
    path === ''
      ? 'what S3 must be allowed to do as the role'
      : STATEMENT_REASONS.find(([sidPrefix]) => path.startsWith(`/statements/Replikey${sidPrefix}`))?.[1],

  notes: (_, current) => policyNotes(current.spec.statements, current.foreign),

  facts: ({ statements }, { current, arn }) => ({
    roles: {
      [arn]: {
        policies: {
          [INLINE_POLICY_NAME]: joinPolicy(statements, (current?.foreign as Statement[] | undefined) ?? []),
        },
      },
    },
  }),

  manualSteps: ({ role, statements }) => ({
    what: `give the role ${role} what replication needs`,
    document: joinPolicy(statements),
    command: `aws iam put-role-policy --role-name ${role} --policy-name ${INLINE_POLICY_NAME} --policy-document file://role-policy.json`,
  }),

  transientErrors: [{ code: 'NoSuchEntityException', waitsFor: 'IAM to see the new role' }],

  auditEvents: roleAuditEvents({ '': ['DeleteRolePolicy'], '/': ['PutRolePolicy'] }, INLINE_POLICY_NAME),
};

const STATEMENT_REASONS: [string, string][] = [
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
