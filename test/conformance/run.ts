import { responseOf } from './aws.ts';
import { differences } from './compare.ts';
import type { Endpoint } from './endpoint.ts';
import type { Fact } from './facts.ts';
import { OUTPUTS_AS_DATA } from './outputs-as-data.ts';
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

/** How the responses of an endpoint differ from a fact. Both lists are empty if they match. */
export interface Comparison {
  differences: string[];
  /** Departures from the protocol. Those of the calls that only prepare the recorded one count as well. */
  faults: string[];
}

/** Runs the scenarios of a fact at an endpoint, and compares the responses as the client sees them. */
export async function compareWithFact(fact: Fact, endpoint: Endpoint): Promise<Comparison> {
  const expected = { ...fact, output: OUTPUTS_AS_DATA[fact.id] ?? fact.output };
  const comparison: Comparison = { differences: [], faults: [] };
  for (const scenario of [scenarios[fact.id] ?? []].flat()) {
    const aws = endpoint.aws(({ faults }) => comparison.faults.push(...faults));
    comparison.differences.push(...differences(expected, await responseOf(scenario(aws)), aws.account));
  }
  return comparison;
}
