import * as kms from '@aws-sdk/client-kms';
import * as s3 from '@aws-sdk/client-s3';
import type { Aws, Command } from '../../src/core/resource.ts';
import { type Atlas, placeOf } from '../../src/doctor/atlas.ts';
import { mendedPolicy } from '../../src/proof/mend.ts';
import type { Fix } from '../../src/proof/types.ts';
import { changePolicy } from './policies.ts';

/** Carry out a fix exactly as it is printed. */
export async function applyFix(aws: Aws, atlas: Atlas, fix: Fix): Promise<void> {
  if ('policy' in fix) return changePolicy(aws, atlas, fix.policy, (policy) => mendedPolicy(policy, fix));
  const { service, operation, region, input } = fix.call;
  const at =
    service === 's3' ? atlas.buckets.get(String(input.Bucket)) : placeOf(String(input.KeyId), atlas, region);
  await aws.send({ ...at, region }, commandOf(service, operation, input));
}

function commandOf(service: 's3' | 'kms', operation: string, input: object): Command<unknown> {
  const commands = (service === 's3' ? s3 : kms) as unknown as Record<
    string,
    new (
      input: object,
    ) => Command<unknown>
  >;
  const Made = commands[`${operation}Command`];
  if (!Made) throw new Error(`the SDK has no ${service}:${operation}`);
  return new Made(input);
}
