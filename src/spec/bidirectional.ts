import { defaultRoleName } from './patterns.ts';
import type { BucketReplication } from './types.ts';

/** What a two-way spec calls the way back, in rule ids and tags. */
export const reverseNameOf = (name: string): string => `${name}-reverse`;

/**
 * A pair and the same pair turned round. Changes of replicas are synced both ways, as S3 wants it: with a rule that says
 * so on either side. The way back has a role of its own, named after its own source, unless the role is given by ARN.
 */
export function expandBidirectional(pair: BucketReplication): BucketReplication[] {
  const rules = pair.rules.map((rule) => ({ ...rule, replicaModifications: true }));
  const { storageClass: _, objectOwner, ...reverseSource } = pair.destination;
  const forward = { ...pair, rules };
  return [
    forward,
    {
      ...forward,
      name: reverseNameOf(pair.name),
      source: reverseSource,
      destination: { ...pair.source, objectOwner },
      sourceKeys: [],
      role: 'arn' in pair.role ? pair.role : { ...pair.role, name: defaultRoleName(reverseSource.bucket) },
      positions: swapSides(pair.positions),
    },
  ];
}

function swapSides(positions: BucketReplication['positions']): BucketReplication['positions'] {
  const opposite: Record<string, string> = { source: 'destination', destination: 'source' };
  return Object.fromEntries(
    Object.entries(positions).map(([path, position]) => [
      path.replace(/^spec\.(source|destination)(?![A-Za-z])/, (_, side: string) => `spec.${opposite[side]}`),
      position,
    ]),
  );
}
