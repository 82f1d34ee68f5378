import { DescribeKeyCommand, GetKeyPolicyCommand } from '@aws-sdk/client-kms';
import { defined } from '../canonical.ts';
import type { Fact, KeyFacts } from '../core/observed.ts';
import type { Aws } from '../core/resource.ts';
import { policyOf } from '../kinds/policy-text.ts';
import { type Atlas, placeOf } from './atlas.ts';
import { fact } from './fact.ts';

/** A key by its ARN, or by that of an alias, with its policy. */
export async function readKey(aws: Aws, name: string, atlas: Atlas): Promise<Fact<KeyFacts>> {
  const at = placeOf(name, atlas, name.split(':')[3] ?? atlas.region);
  const policyOfKey = (KeyId: string) =>
    fact(
      aws
        .send(at, new GetKeyPolicyCommand({ KeyId, PolicyName: 'default' }))
        .then(({ Policy = '{"Statement":[]}' }) => policyOf(Policy)),
      'kms:GetKeyPolicy',
      at,
    );
  // KMS tells the policy of a key by its id or ARN, never by an alias: which key that is must be known before.
  const isAlias = name.includes(':alias/');
  const early = isAlias ? undefined : policyOfKey(name);
  const answer = await fact(
    aws.send(at, new DescribeKeyCommand({ KeyId: name })),
    'kms:DescribeKey',
    at,
    'NotFoundException',
  );
  if (answer === null || 'unread' in answer) return answer;
  const { Arn: arn = name, KeyState, KeyUsage, KeySpec, KeyManager } = answer.KeyMetadata ?? {};
  return defined({
    arn,
    state: KeyState,
    usage: KeyUsage,
    keySpec: KeySpec,
    manager: KeyManager,
    policy: await (early ?? policyOfKey(arn)),
  });
}
