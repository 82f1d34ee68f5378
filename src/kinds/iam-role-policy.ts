import { DeleteRolePolicyCommand, GetRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { requireField } from '../aws/response.ts';
import {
  batchRoleId,
  batchRoleResourceId,
  batchRolesOf,
  bucketResourceId,
  locationOfSide,
  namedRoleResourceId,
  positionOfPath,
  ROLE_POLICY_NAME,
  roleResourceId,
} from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import { orphanResource } from '../core/orphan.ts';
import type { Aws, Id, Location, Resource, Risk } from '../core/resource.ts';
import type { Policy, Statement } from '../iam/types.ts';
import {
  batchRoleStatements,
  reencryptRoleStatements,
  rolePolicyStatements,
} from '../policy/required-statements.ts';
import { normalizeStatements, type Statements, toStatementList } from '../policy/statements.ts';
import { reencryptedSidesOf } from '../spec/key-uses.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { awsCli, MERGED_FILE, mergePolicyCommand } from '../util/aws-cli.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { roleAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors, keyArnOrRef } from './helpers.ts';
import { parsePolicyDocument, policyNotes, renderPolicy, splitByOwner } from './policy-document.ts';
import { roleScope } from './scopes.ts';

/** The inline policy of the role that replication needs. Other policies of the role stay as they are. */
export interface IamRolePolicy {
  role: string;
  statements: Statements;
}

/** More input for `check`. */
export interface RolePolicyContext {
  /** Size of the other inline policies of the role, in characters. */
  otherPolicies: number;
  /** Keys that the role may no longer decrypt with. */
  removedKeys: RemovedKey[];
}

/** A key that a role may no longer use for the objects of a bucket. */
export interface RemovedKey {
  /** ARN. */
  key: string;
  bucket: string;
  /** When S3 found no object of the bucket under the key, in UTC, ISO 8601; absent: the number of objects is not known. */
  emptyAt?: string;
}

/** Inline policies of a role may hold 10,240 characters in all, white space not counted. */
const MAX_ROLE_POLICY_LENGTH = 10_240;

/** Returns the size of a policy, in characters as IAM counts them. */
export const sizeOfPolicy = (policy: Policy | undefined): number =>
  policy === undefined ? 0 : JSON.stringify(policy).replace(/\s/g, '').length;

export const iamRolePolicy: Kind<IamRolePolicy, Policy, Statement[]> = {
  name: 'iam.role-policy',
  scope: {
    ...roleScope,
    facts: (policy) => ({ policies: { [ROLE_POLICY_NAME]: policy } }),
    factsOfDeleted: { policies: { [ROLE_POLICY_NAME]: { Statement: [] } } },
  },
  permissions: { read: ['iam:GetRolePolicy'], write: ['iam:PutRolePolicy', 'iam:DeleteRolePolicy'] },

  desired: ({ pair, relatedPairs }) => [
    ...('arn' in pair.role
      ? []
      : [
          policyOf(pair, roleResourceId('iam.role', pair), {
            name: pair.role.name,
            path: pair.role.path,
            statements: rolePolicyStatements(
              relatedPairs.filter(
                (other) => roleResourceId('iam.role', other) === roleResourceId('iam.role', pair),
              ),
              keyArnOrRef,
            ),
            field: 'spec.role',
          }),
        ]),
    ...batchRolePoliciesOf(pair, relatedPairs),
  ],

  // The last resource but the role: prune finds all other orphans through this policy.
  orphans: (orphan) => [
    orphanResource(orphan, {
      id: namedRoleResourceId('iam.role-policy', orphan.role.name, orphan.role.location.account),
      kind: 'iam.role-policy',
      name: orphan.role.name,
      location: orphan.role.location,
      spec: { role: orphan.role.name, statements: {} },
      after: [
        ...orphan.sources.map(({ bucket }) => bucketResourceId('s3.replication', bucket)),
        ...orphan.destinations.map(({ bucket }) => bucketResourceId('s3.bucket-policy', bucket)),
        ...orphan.keys.map(({ arn }): Id => `kms.key-policy/${arn}`),
      ],
    }),
  ],

  fetch: (aws, location, name) =>
    ignoreErrors(fetchInlinePolicy(aws, location, name, ROLE_POLICY_NAME), 'NoSuchEntityException'),

  parse(policy, resource) {
    const { managed, ...others } = splitByOwner(policy, resource);
    return { spec: { role: resource.name, statements: managed }, ...others };
  },

  normalize: ({ role, statements }) => ({ role, statements: normalizeStatements(statements) }),

  render: renderPolicy,

  operations: ({ doc, desired: { statements }, resource: { name } }) =>
    doc === undefined
      ? [{ call: 'iam:DeleteRolePolicy' }]
      : [
          {
            call: 'iam:PutRolePolicy',
            manual: {
              what: `grant the role ${name} the permissions for replication`,
              document: doc,
              command: addToRolePolicyCommand(name, statements),
            },
          },
        ],

  async send(aws, { resource: { name, location }, doc }) {
    await aws.send(
      location,
      new PutRolePolicyCommand({
        RoleName: name,
        PolicyName: ROLE_POLICY_NAME,
        PolicyDocument: JSON.stringify(doc),
      }),
    );
  },

  async remove(aws, { name, location }) {
    const input = { RoleName: name, PolicyName: ROLE_POLICY_NAME };
    await ignoreErrors(aws.send(location, new DeleteRolePolicyCommand(input)), 'NoSuchEntityException');
  },

  response: { replacesWholeDocument: true },

  check(change) {
    const { otherPolicies = 0, removedKeys = [] } = (change.resource.context ??
      {}) as Partial<RolePolicyContext>;
    const size = sizeOfPolicy(change.doc);
    const total = size + otherPolicies;
    const subject =
      otherPolicies === 0
        ? `the policy of the role ${change.resource.name}`
        : `the inline policies of the role ${change.resource.name}`;
    const parts = otherPolicies === 0 ? '' : ` (${size} in ${ROLE_POLICY_NAME}, ${otherPolicies} in others)`;
    return {
      blocked:
        total <= MAX_ROLE_POLICY_LENGTH
          ? undefined
          : `${subject} would have ${total} characters${parts}, but IAM allows ${MAX_ROLE_POLICY_LENGTH}; declare fewer specs for its source bucket, or shorter prefixes${otherPolicies === 0 ? '' : ', or move the others to a managed policy'}`,
      risks: removedKeys.flatMap(removalRisk),
      notes: policyNotes(change),
      changeNotes: removedKeys.flatMap(removalNote),
    };
  },

  explain: (path) =>
    path === ''
      ? 'S3 needs these permissions as the role'
      : STATEMENT_REASONS.find(([sidPrefix]) => path.startsWith(`/statements/Replikey${sidPrefix}`))?.[1],

  transientErrors: [{ code: 'NoSuchEntityException', waitsFor: 'IAM to see the new role' }],

  auditEvents: roleAuditEvents(
    { '': ['DeleteRolePolicy'], '/': ['PutRolePolicy'] },
    { inlinePolicy: ROLE_POLICY_NAME },
  ),
};

const removalRisk = ({ key, bucket, emptyAt }: RemovedKey): Risk[] =>
  emptyAt === undefined
    ? [
        {
          id: 'remove-key-in-use',
          subject: `${bucket}/${key.slice(key.lastIndexOf('/') + 1)}`,
          message: `S3 could no longer decrypt objects of ${bucket} under ${key} as the role, and their number is not known; keep the key in replaces, and declare reencrypt until none is left`,
        },
      ]
    : [];

const removalNote = ({ key, bucket, emptyAt }: RemovedKey): string[] =>
  emptyAt === undefined
    ? []
    : [
        `no object of ${bucket} was encrypted under ${key} on ${emptyAt}; an object that a writer has encrypted under it since then is not replicated`,
      ];

function policyOf(
  pair: BucketReplication,
  roleId: Id,
  role: { name: string; path?: string | undefined; statements: Statements; field: string },
  side: Side = pair.source,
): Resource<IamRolePolicy> {
  return {
    id: namedRoleResourceId('iam.role-policy', role.name, side.account),
    kind: 'iam.role-policy',
    name: role.name,
    location: locationOfSide(side),
    spec: { role: role.name, statements: role.statements },
    context: omitUndefined({ path: role.path }),
    after: [roleId],
    declaredBy: [pair.name],
    position: positionOfPath(pair, role.field),
  };
}

/** Returns the policies of the roles of the batch jobs of a pair, and of the others that use these roles. */
function batchRolePoliciesOf(
  pair: BucketReplication,
  relatedPairs: readonly BucketReplication[],
): Resource<IamRolePolicy>[] {
  return batchRolesOf(pair).flatMap(({ role, side, path }) => {
    if ('arn' in role) return [];
    const id = batchRoleId('iam.role', { role, side });
    const sharing = relatedPairs.filter((other) =>
      batchRolesOf(other).some((batchRole) => batchRoleId('iam.role', batchRole) === id),
    );
    const statements = {
      ...batchRoleStatements(sharing.filter((other) => batchRoleResourceId('iam.role', other) === id)),
      ...reencryptRoleStatements(
        sharing.flatMap(reencryptedSidesOf).filter((use) => batchRoleId('iam.role', use) === id),
        keyArnOrRef,
      ),
    };
    return policyOf(pair, id, { name: role.name, statements, field: path }, side);
  });
}

/** Returns the command that adds statements to the inline policy, in an account that replikey cannot read. */
function addToRolePolicyCommand(role: string, statements: Statements): string {
  const options = { 'role-name': role, 'policy-name': ROLE_POLICY_NAME };
  return mergePolicyCommand(
    {
      get: awsCli('iam get-role-policy', { ...options, query: 'PolicyDocument', output: 'json' }),
      absentError: 'NoSuchEntity',
      put: awsCli('iam put-role-policy', { ...options, 'policy-document': MERGED_FILE }),
    },
    toStatementList(statements),
  );
}

/**
 * Reads one inline policy of a role.
 *
 * @throws the error of AWS, `NoSuchEntityException` among them.
 */
export async function fetchInlinePolicy(
  aws: Aws,
  location: Location,
  role: string,
  policyName: string,
): Promise<Policy> {
  const input = { RoleName: role, PolicyName: policyName };
  const response = await aws.send(location, new GetRolePolicyCommand(input));
  return parsePolicyDocument(requireField(response, 'PolicyDocument'));
}

/** Reasons for the statements of batch jobs, for a backfill and for a re-drive. */
const JOB_REASONS: readonly [subject: string, reason: string][] = [
  ['Objects', 'a batch job starts the replication of existing objects as the role'],
  ['Bucket', 'a batch job finds the objects that the rules select as the role'],
  ['Report', 'a batch job writes its report as the role'],
];

const REENCRYPTION_REASONS: readonly [subject: string, reason: string][] = [
  ['Objects', 'a batch job re-encrypts objects in place as the role'],
  ['Bucket', 'a batch job finds the objects under a replaced key as the role'],
  ['Key', 'a batch job decrypts with the replaced keys and encrypts with the new one as the role'],
];

const STATEMENT_REASONS: [string, string][] = [
  ...['Backfill', 'Redrive'].flatMap((prefix) =>
    JOB_REASONS.map(([subject, reason]): [string, string] => [prefix + subject, reason]),
  ),
  ...['ReencryptSource', 'ReencryptDestination'].flatMap((prefix) =>
    REENCRYPTION_REASONS.map(([subject, reason]): [string, string] => [prefix + subject, reason]),
  ),
  ['SourceBucket', 'S3 reads the replication configuration as the role'],
  ['SourceObjects', 'S3 reads source objects, their ACLs and tags as the role'],
  ['SourceKey', 'S3 decrypts source objects as the role, with and without an S3 Bucket Key'],
  ['DestinationObjects', 'S3 writes replicas and their tags as the role'],
  ['DestinationDeletes', 'a rule replicates delete markers'],
  ['DestinationOwner', 'S3 transfers the ownership of replicas to the destination account as the role'],
  [
    'DestinationKey',
    'S3 encrypts replicas under the destination key as the role, with and without an S3 Bucket Key',
  ],
  ['ReplacedKey', 'replicas may still be encrypted under a key that another key replaces'],
];
