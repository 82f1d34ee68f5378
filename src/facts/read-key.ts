import { DescribeKeyCommand, GetKeyPolicyCommand } from '@aws-sdk/client-kms';
import type { Fact, KeyFacts } from '../core/facts.ts';
import type { Aws } from '../core/resource.ts';
import { parsePolicyDocument } from '../kinds/policy-document.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { type Locations, locationOfArn } from './locations.ts';
import { readFact } from './read-fact.ts';

/** A key by its ARN, or by that of an alias, with its policy. */
export async function readKeyFacts(aws: Aws, keyArn: string, locations: Locations): Promise<Fact<KeyFacts>> {
  const location = locationOfArn(keyArn, locations, keyArn.split(':')[3] ?? locations.region);
  const readKeyPolicy = (KeyId: string) =>
    readFact(
      aws
        .send(location, new GetKeyPolicyCommand({ KeyId, PolicyName: 'default' }))
        .then(({ Policy = '{"Statement":[]}' }) => parsePolicyDocument(Policy)),
      'kms:GetKeyPolicy',
      location,
    );
  // KMS tells the policy of a key by its id or ARN, never by an alias: which key that is must be known before.
  const isAlias = keyArn.includes(':alias/');
  const policyPromise = isAlias ? undefined : readKeyPolicy(keyArn);
  const response = await readFact(
    aws.send(location, new DescribeKeyCommand({ KeyId: keyArn })),
    'kms:DescribeKey',
    location,
    'NotFoundException',
  );
  if (response === null || 'unread' in response) return response;
  const { Arn: arn = keyArn, KeyState, KeyUsage, KeySpec, KeyManager } = response.KeyMetadata ?? {};
  return omitUndefined({
    arn,
    state: KeyState,
    usage: KeyUsage,
    keySpec: KeySpec,
    manager: KeyManager,
    policy: await (policyPromise ?? readKeyPolicy(arn)),
  });
}
