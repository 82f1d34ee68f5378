import { DescribeKeyCommand, GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { unwanted } from '../core/leftover.ts';
import { bucketId, keyArnId, keyId, place, position } from '../core/names.ts';
import { type KeyUse, keyStatements, roleArn, rolesByArn } from '../core/permissions.ts';
import type { Kind, Resource } from '../core/resource.ts';
import {
  canonicalStatements,
  joinPolicy,
  type Statements,
  splitPolicy,
  statementList,
  withoutRepeats,
} from '../core/statements.ts';
import type { Statement } from '../iam/types.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { orAbsent } from './absent.ts';
import { policyOf, remarks } from './policy-text.ts';
import { keyTrail } from './trail.ts';

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
const LIMIT = 32_768;

export const kmsKeyPolicy: Kind<KmsKeyPolicy> = {
  name: 'kms.key-policy',
  actions: { read: ['kms:DescribeKey', 'kms:GetKeyPolicy'], write: ['kms:PutKeyPolicy'] },

  want: ({ pair, pairs }) => sidesOf(pair).flatMap((use) => want(pair, use, pairs)),

  left: (of) =>
    of.keys.map(({ arn, at }) =>
      unwanted(of, {
        id: keyArnId(arn),
        kind: 'kms.key-policy',
        at,
        spec: { alias: arn, statements: {} },
        after: of.sources.map(({ bucket }) => bucketId('s3.replication', bucket)),
      }),
    ),

  canonical: ({ alias, statements }) => ({ alias, statements: canonicalStatements(statements) }),

  complete: (desired, seen) => ({
    ...desired,
    statements: withoutRepeats(desired.statements, (seen?.rest as Statement[] | undefined) ?? []),
  }),

  blocks(desired, seen) {
    const policy = joinPolicy(desired.statements, (seen?.rest as Statement[] | undefined) ?? []);
    const size = Buffer.byteLength(JSON.stringify(policy));
    if (size <= LIMIT) return undefined;
    return `the policy of the key ${desired.alias} would have ${size} bytes, and KMS allows ${LIMIT}: let fewer specs use it`;
  },

  async read(aws, { at, spec, pairs, prune }) {
    // GetKeyPolicy takes no alias; the door shares this read with the one of the key itself.
    const key = await orAbsent(
      aws.send(at, new DescribeKeyCommand({ KeyId: spec.alias })),
      'NotFoundException',
    );
    if (key?.KeyMetadata?.KeyId === undefined) return undefined;
    const arn = key.KeyMetadata.Arn ?? '';
    const answer = await aws.send(at, new GetKeyPolicyCommand({ KeyId: arn, PolicyName: 'default' }));
    const { ours, foreign } = splitPolicy(policyOf(answer.Policy ?? '{"Statement":[]}'), pairs, prune);
    return { spec: { alias: spec.alias, statements: ours }, attrs: { arn }, rest: foreign };
  },

  calls: () => ['kms:PutKeyPolicy'],

  async write(aws, { at, spec, pairs }, was) {
    // A key that this run made has had a policy since: what KMS put there must be carried, not replaced.
    const before = was ?? (await kmsKeyPolicy.read(aws, { at, spec, pairs } as Resource<KmsKeyPolicy>));
    const policy = joinPolicy(spec.statements, (before?.rest as Statement[] | undefined) ?? []);
    await aws.send(
      at,
      new PutKeyPolicyCommand({
        KeyId: before?.attrs.arn,
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

  notes: (_, seen) => remarks(seen.spec.statements, seen.rest),

  // A new key lets its account decide: so KMS makes it where nobody says otherwise.
  facts: ({ statements }, { seen, arn, accountId }) => ({
    keys: {
      [arn]: {
        arn,
        policy: joinPolicy(
          statements,
          (seen?.rest as Statement[] | undefined) ?? [accountDecides(arn, accountId)],
        ),
      },
    },
  }),

  byHand: ({ alias, statements }) => ({
    what: `add these statements to the policy of ${alias}`,
    document: statementList(statements),
    command: `aws kms put-key-policy --key-id ${alias} --policy-name default --policy file://policy.json`,
  }),

  settles: [
    { code: 'MalformedPolicyDocumentException', waitsFor: 'KMS to see the new role as a principal' },
    { code: 'NotFoundException', waitsFor: 'KMS to see the new key' },
  ],

  trail: keyTrail({ '': ['PutKeyPolicy', 'UpdateAlias'] }),
};

/** Every use that a pair makes of a key: the side, as it is with that key, and where the key was declared. */
interface Use {
  side: 'source' | 'destination';
  as: Side;
  path: string;
}

const sidesOf = (pair: BucketReplication): Use[] => [
  { side: 'source', as: pair.source, path: 'spec.source.key' },
  { side: 'destination', as: pair.destination, path: 'spec.destination.key' },
  ...pair.sourceKeys.map(
    (key, index): Use => ({ side: 'source', as: { ...pair.source, key }, path: `spec.sourceKeys[${index}]` }),
  ),
];

function want(
  pair: BucketReplication,
  { as, path }: Use,
  pairs: readonly BucketReplication[],
): Resource<KmsKeyPolicy>[] {
  // A key that is given by ARN is never altered; the owner of another account is told what its policy needs.
  if ('arn' in as.key && as.managed) return [];
  const id = keyId(as);
  const uses = pairs.flatMap((other) =>
    sidesOf(other)
      .filter((use) => keyId(use.as) === id)
      .map(({ side }): KeyUse => ({ pair: other, side, role: roleArn(other) })),
  );
  const statements = keyStatements(uses);
  if (Object.keys(statements).length === 0) return [];
  return [
    {
      id: keyId(as, 'kms.key-policy'),
      kind: 'kms.key-policy',
      at: place(as),
      spec: { alias: 'arn' in as.key ? as.key.arn : as.key.alias, statements },
      after: [id, ...rolesByArn(uses.map((use) => use.pair))],
      pairs: [pair.name],
      from: position(pair, path),
    },
  ];
}

const accountDecides = (arn: string, accountId: string): Statement => ({
  Effect: 'Allow',
  Principal: { AWS: `arn:${arn.split(':')[1]}:iam::${accountId}:root` },
  Action: 'kms:*',
  Resource: '*',
});
