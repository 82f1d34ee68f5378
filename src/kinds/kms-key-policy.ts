import { DescribeKeyCommand, GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { keyId, place, position } from '../core/names.ts';
import { type KeyUse, keyStatements, roleArn } from '../core/permissions.ts';
import type { Kind, Resource } from '../core/resource.ts';
import {
  canonicalStatements,
  joinPolicy,
  type Statements,
  splitPolicy,
  withoutRepeats,
} from '../core/statements.ts';
import type { Statement } from '../iam/types.ts';
import type { BucketReplication } from '../spec/types.ts';
import { orAbsent } from './absent.ts';
import { policyOf } from './policy-text.ts';

/**
 * Our statements in the policy of a key that is declared by alias. Everybody else's, the account's own administration
 * first of all, stay as they are; the lock-out check of KMS is never bypassed.
 */
export interface KmsKeyPolicy {
  alias: string;
  statements: Statements;
}

export const kmsKeyPolicy: Kind<KmsKeyPolicy> = {
  name: 'kms.key-policy',
  actions: { read: ['kms:DescribeKey', 'kms:GetKeyPolicy'], write: ['kms:PutKeyPolicy'] },

  want: ({ pair, pairs }) => [...want(pair, 'source', pairs), ...want(pair, 'destination', pairs)],

  canonical: ({ alias, statements }) => ({ alias, statements: canonicalStatements(statements) }),

  complete: (desired, seen) => ({
    ...desired,
    statements: withoutRepeats(desired.statements, (seen?.rest as Statement[] | undefined) ?? []),
  }),

  async read(aws, { at, spec }) {
    // GetKeyPolicy takes no alias; the door shares this read with the one of the key itself.
    const key = await orAbsent(
      aws.send(at, new DescribeKeyCommand({ KeyId: spec.alias })),
      'NotFoundException',
    );
    if (key?.KeyMetadata?.KeyId === undefined) return undefined;
    const arn = key.KeyMetadata.Arn ?? '';
    const answer = await aws.send(at, new GetKeyPolicyCommand({ KeyId: arn, PolicyName: 'default' }));
    const { ours, foreign } = splitPolicy(policyOf(answer.Policy ?? '{"Statement":[]}'));
    return { spec: { alias: spec.alias, statements: ours }, attrs: { arn }, rest: foreign };
  },

  async write(aws, { at, spec }, was) {
    // A key that this run made has had a policy since: what KMS put there must be carried, not replaced.
    const before = was ?? (await kmsKeyPolicy.read(aws, { at, spec } as Resource<KmsKeyPolicy>));
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

  notes: (_, seen) =>
    Object.values(seen.spec.statements).some((statement) =>
      JSON.stringify(statement.Principal).includes('"AROA'),
    )
      ? ['a principal reads as a bare AROA id: the role that it named was deleted and made anew']
      : [],

  settles: [
    { code: 'MalformedPolicyDocumentException', waitsFor: 'KMS to see the new role as a principal' },
    { code: 'NotFoundException', waitsFor: 'KMS to see the new key' },
  ],
};

function want(
  pair: BucketReplication,
  side: 'source' | 'destination',
  pairs: readonly BucketReplication[],
): Resource<KmsKeyPolicy>[] {
  const { key } = pair[side];
  if ('arn' in key) return [];
  const id = keyId(pair[side]);
  const uses: KeyUse[] = pairs.flatMap((other) =>
    (['source', 'destination'] as const)
      .filter((name) => keyId(other[name]) === id)
      .map((name) => ({ pair: other, side: name, role: roleArn(other) })),
  );
  return [
    {
      id: keyId(pair[side], 'kms.key-policy'),
      kind: 'kms.key-policy',
      at: place(pair[side]),
      spec: { alias: key.alias, statements: keyStatements(uses) },
      after: [id],
      pairs: [pair.name],
      from: position(pair, `spec.${side}.key`),
    },
  ];
}
