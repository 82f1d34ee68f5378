import { DescribeKeyCommand, GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import {
  bucketResourceId,
  keyArnResourceId,
  keyResourceId,
  locationOfSide,
  positionOfPath,
} from '../core/ids.ts';
import { orphanResource } from '../core/orphan.ts';
import type { Kind, Resource } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import {
  externalRoleIds,
  keyPolicyStatements,
  type RoleKeyUse,
  roleArnOrRef,
} from '../policy/replication-policies.ts';
import {
  joinPolicy,
  normalizeStatements,
  omitRedundantStatements,
  type Statements,
  splitPolicy,
  toStatementList,
} from '../policy/statements.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { keyAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { parsePolicyDocument, policyNotes } from './policy-document.ts';

/**
 * Our statements in the policy of a key that is declared by alias. Everybody else's, the account's own administration
 * first of all, stay as they are; the lock-out check of KMS is never bypassed.
 */
export interface KmsKeyPolicy {
  alias: string;
  statements: Statements;
}

/**
 * Bytes of a key's policy.
 *
 * https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
 */
const MAX_KEY_POLICY_BYTES = 32_768;

export const kmsKeyPolicy: Kind<KmsKeyPolicy> = {
  name: 'kms.key-policy',
  permissions: { read: ['kms:DescribeKey', 'kms:GetKeyPolicy'], write: ['kms:PutKeyPolicy'] },

  desired: ({ pair, relatedPairs: pairs }) =>
    keyUsesOf(pair).flatMap((use) => desiredKeyPolicies(pair, use, pairs)),

  orphans: (orphan) =>
    orphan.keys.map(({ arn, location }) =>
      orphanResource(orphan, {
        id: keyArnResourceId(arn),
        kind: 'kms.key-policy',
        location,
        spec: { alias: arn, statements: {} },
        after: orphan.sources.map(({ bucket }) => bucketResourceId('s3.replication', bucket)),
      }),
    ),

  normalize: ({ alias, statements }) => ({ alias, statements: normalizeStatements(statements) }),

  complete: (desired, current) => ({
    ...desired,
    statements: omitRedundantStatements(
      desired.statements,
      (current?.foreign as Statement[] | undefined) ?? [],
    ),
  }),

  blockedReason(desired, current) {
    const policy = joinPolicy(desired.statements, (current?.foreign as Statement[] | undefined) ?? []);
    const size = Buffer.byteLength(JSON.stringify(policy));
    if (size <= MAX_KEY_POLICY_BYTES) return undefined;
    return `the policy of the key ${desired.alias} would have ${size} bytes, and KMS allows ${MAX_KEY_POLICY_BYTES}: let fewer specs use it`;
  },

  async read(aws, { location, spec, declaredBy, pruneOwners: prune }) {
    // GetKeyPolicy takes no alias; the door shares this read with the one of the key itself.
    const key = await ignoreErrors(
      aws.send(location, new DescribeKeyCommand({ KeyId: spec.alias })),
      'NotFoundException',
    );
    if (key?.KeyMetadata?.KeyId === undefined) return undefined;
    const arn = key.KeyMetadata.Arn ?? '';
    const response = await aws.send(location, new GetKeyPolicyCommand({ KeyId: arn, PolicyName: 'default' }));
    const { managed, foreign } = splitPolicy(
      parsePolicyDocument(response.Policy ?? '{"Statement":[]}'),
      declaredBy,
      prune,
    );
    return { spec: { alias: spec.alias, statements: managed }, attrs: { arn }, foreign: foreign };
  },

  operations: () => ['kms:PutKeyPolicy'],

  async write(aws, { location, spec, declaredBy }, current) {
    // A key that this run made has had a policy since: what KMS put there must be carried, not replaced.
    const latest =
      current ?? (await kmsKeyPolicy.read(aws, { location, spec, declaredBy } as Resource<KmsKeyPolicy>));
    const policy = joinPolicy(spec.statements, (latest?.foreign as Statement[] | undefined) ?? []);
    await aws.send(
      location,
      new PutKeyPolicyCommand({
        KeyId: latest?.attrs.arn,
        PolicyName: 'default',
        Policy: JSON.stringify(policy),
      }),
    );
  },

  explain: (path) =>
    path.startsWith('/statements/ReplikeySource')
      ? 'the role must be allowed to decrypt source objects, of both encryption contexts'
      : path.startsWith('/statements/ReplikeyDestination')
        ? 'the role must be allowed to encrypt replicas, of both encryption contexts'
        : undefined,

  notes: (_, current) => policyNotes(current.spec.statements, current.foreign),

  // A new key lets its account decide: so KMS makes it where nobody says otherwise.
  facts: ({ statements }, { current, arn, accountId }) => ({
    keys: {
      [arn]: {
        arn,
        policy: joinPolicy(
          statements,
          (current?.foreign as Statement[] | undefined) ?? [accountRootStatement(arn, accountId)],
        ),
      },
    },
  }),

  manualSteps: ({ alias, statements }) => ({
    what: `add these statements to the policy of ${alias}`,
    document: toStatementList(statements),
    command: `aws kms put-key-policy --key-id ${alias} --policy-name default --policy file://policy.json`,
  }),

  transientErrors: [
    { code: 'MalformedPolicyDocumentException', waitsFor: 'KMS to see the new role as a principal' },
    { code: 'NotFoundException', waitsFor: 'KMS to see the new key' },
  ],

  auditEvents: keyAuditEvents({ '': ['PutKeyPolicy', 'UpdateAlias'] }),
};

/** Every use that a pair makes of a key: the side, as it is with that key, and where the key was declared. */
interface DeclaredKeyUse {
  side: 'source' | 'destination';
  declaredSide: Side;
  path: string;
}

const keyUsesOf = (pair: BucketReplication): DeclaredKeyUse[] => [
  { side: 'source', declaredSide: pair.source, path: 'spec.source.key' },
  { side: 'destination', declaredSide: pair.destination, path: 'spec.destination.key' },
  ...pair.sourceKeys.map(
    (key, index): DeclaredKeyUse => ({
      side: 'source',
      declaredSide: { ...pair.source, key },
      path: `spec.sourceKeys[${index}]`,
    }),
  ),
];

function desiredKeyPolicies(
  pair: BucketReplication,
  { declaredSide: side, path }: DeclaredKeyUse,
  pairs: readonly BucketReplication[],
): Resource<KmsKeyPolicy>[] {
  // A key that is given by ARN is never altered; the owner of another account is told what its policy needs.
  if ('arn' in side.key && side.managed) return [];
  const id = keyResourceId(side);
  const uses = pairs.flatMap((otherPair) =>
    keyUsesOf(otherPair)
      .filter((use) => keyResourceId(use.declaredSide) === id)
      .map(({ side }): RoleKeyUse => ({ pair: otherPair, side, role: roleArnOrRef(otherPair) })),
  );
  const statements = keyPolicyStatements(uses);
  if (Object.keys(statements).length === 0) return [];
  return [
    {
      id: keyResourceId(side, 'kms.key-policy'),
      kind: 'kms.key-policy',
      location: locationOfSide(side),
      spec: { alias: 'arn' in side.key ? side.key.arn : side.key.alias, statements },
      after: [id, ...externalRoleIds(uses.map((use) => use.pair))],
      declaredBy: [pair.name],
      position: positionOfPath(pair, path),
    },
  ];
}

const accountRootStatement = (arn: string, accountId: string): Statement => ({
  Effect: 'Allow',
  Principal: { AWS: `arn:${arn.split(':')[1]}:iam::${accountId}:root` },
  Action: 'kms:*',
  Resource: '*',
});
