/** Pairs for the benchmarks. Their names differ only in a number of seven digits, so that all share one recorded response. */

export type KeyMode = 'own' | 'shared';

export const ACCOUNT = '111122223333';

export const pairName = (index: number): string => `p${String(index).padStart(7, '0')}`;

/** ARNs of the two keys that all pairs share. */
export interface SharedKeys {
  source: string;
  destination: string;
}

/** Returns the spec of a pair. It has its own keys by alias, or the shared keys by ARN. */
export function pairYaml(index: number, keys?: SharedKeys): string {
  const name = pairName(index);
  return `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: ${name} }
spec:
  source: { bucket: bench-${name}-source, region: us-east-1, key: "${keys?.source ?? `alias/bench-${name}-source`}" }
  destination: { bucket: bench-${name}-replica, region: us-west-2, key: "${keys?.destination ?? `alias/bench-${name}-replica`}" }
  rules: [{ prefix: Data/ }]
`;
}
