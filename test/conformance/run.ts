import type { Aws } from './aws.ts';
import { differences } from './compare.ts';
import type { Fact } from './facts.ts';
import { OUTPUTS_AS_DATA } from './outputs-as-data.ts';
import { responseOf } from './raw-response.ts';
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

/** All scenarios, by fact id. */
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

/** Returns the differences between the endpoint's responses and the fact, for all its scenarios. */
export async function differencesFrom(fact: Fact, aws: Aws): Promise<string[]> {
  const expected = { ...fact, output: OUTPUTS_AS_DATA[fact.id] ?? fact.output };
  const allDifferences: string[] = [];
  for (const scenario of [scenarios[fact.id] ?? []].flat()) {
    allDifferences.push(...differences(expected, await responseOf(scenario(aws)), aws.account));
  }
  return allDifferences;
}
