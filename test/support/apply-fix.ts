import * as kms from '@aws-sdk/client-kms';
import * as s3 from '@aws-sdk/client-s3';
import type { Aws, Command } from '../../src/core/resource.ts';
import { type Locations, locationOfArn } from '../../src/facts/locations.ts';
import type { Fix, PolicyRef } from '../../src/proof/findings.ts';
import { applyFixToPolicy } from '../../src/proof/fix.ts';
import { changePolicy } from './policies.ts';

/** Applies fixes as printed. Writes each policy once, with all its changes. */
export async function applyFixes(aws: Aws, locations: Locations, fixes: readonly Fix[]): Promise<void> {
  const policies = new Map<string, PolicyFix[]>();
  for (const fix of fixes) {
    if ('call' in fix) await call(aws, locations, fix);
    else {
      const id = JSON.stringify(fix.policy);
      policies.set(id, [...(policies.get(id) ?? []), fix]);
    }
  }
  for (const [id, changes] of policies) {
    await changePolicy(aws, locations, JSON.parse(id) as PolicyRef, (policy) =>
      changes.reduce(applyFixToPolicy, policy),
    );
  }
}

type CallFix = Extract<Fix, { call: unknown }>;
type PolicyFix = Exclude<Fix, CallFix>;

function call(aws: Aws, locations: Locations, { call: { service, operation, region, input } }: CallFix) {
  const at =
    service === 's3'
      ? locations.buckets.get(String(input.Bucket))
      : locationOfArn(String(input.KeyId), locations, region);
  return aws.send({ ...at, region }, commandOf(service, operation, input));
}

function commandOf(service: 's3' | 'kms', operation: string, input: object): Command<unknown> {
  const commands = (service === 's3' ? s3 : kms) as unknown as Record<
    string,
    new (
      input: object,
    ) => Command<unknown>
  >;
  const CommandClass = commands[`${operation}Command`];
  if (!CommandClass) throw new Error(`the SDK has no ${service}:${operation}`);
  return new CommandClass(input);
}
