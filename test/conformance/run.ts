import { answerOf } from './answer.ts';
import type { Aws } from './aws.ts';
import { differences } from './compare.ts';
import type { Fact } from './facts.ts';
import { iam } from './scenarios/iam.ts';
import { kms } from './scenarios/kms.ts';
import { s3Buckets } from './scenarios/s3-buckets.ts';
import { s3Control } from './scenarios/s3-control.ts';
import { s3EncryptedObjects } from './scenarios/s3-encrypted-objects.ts';
import { s3Objects } from './scenarios/s3-objects.ts';
import { s3Replicating } from './scenarios/s3-replicating.ts';
import { s3Replication } from './scenarios/s3-replication.ts';
import { s3Settings } from './scenarios/s3-settings.ts';
import { sts } from './scenarios/sts.ts';
import type { Scenarios } from './support.ts';
import { inData } from './words.ts';

/** Every scenario, by the fact that it leads to. */
export const scenarios: Scenarios = {
  ...s3Buckets,
  ...s3Settings,
  ...s3Objects,
  ...s3EncryptedObjects,
  ...s3Replication,
  ...s3Replicating,
  ...s3Control,
  ...iam,
  ...kms,
  ...sts,
};

/** How what the endpoint answers differs from the fact, over all scenarios of it; empty when the fact is met. */
export async function differencesFrom(fact: Fact, aws: Aws): Promise<string[]> {
  const expected = { ...fact, output: inData[fact.id] ?? fact.output };
  const found: string[] = [];
  for (const scenario of [scenarios[fact.id] ?? []].flat()) {
    found.push(...differences(expected, await answerOf(scenario(aws)), aws.account));
  }
  return found;
}
