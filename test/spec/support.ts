import { loadSpecs } from '../../src/spec/load.ts';
import { formatProblems } from '../../src/spec/report.ts';
import type { BucketReplication, Problem } from '../../src/spec/types.ts';

/** The smallest spec that is right. */
export const TAX = `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata:
  name: tax
spec:
  source:
    bucket: acme-tax
    region: us-east-1
    key: alias/acme-tax
  destination:
    bucket: acme-tax-replica
    region: us-west-2
    key: alias/acme-tax-replica
  rules:
    - prefix: Tax/
`;

export const MAIN = `apiVersion: replikey.dev/v1
kind: Account
metadata:
  name: main
spec:
  id: "111122223333"
`;

/** A spec with some of its text replaced; a text that is not there is a mistake of the test. */
export function tax(...changes: [from: string, to: string][]): string {
  return changes.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`not in the spec: ${from}`);
    return text.replace(from, to);
  }, TAX);
}

/** Documents in one file. */
export const together = (...documents: string[]): string => documents.join('---\n');

export async function problemsOf(yaml: string | Uint8Array): Promise<Problem[]> {
  return (await loadSpecs(['-'], async () => yaml)).problems;
}

export async function pairsOf(yaml: string): Promise<BucketReplication[]> {
  const { specs, problems } = await loadSpecs(['-'], async () => yaml);
  if (!specs) throw new Error(formatProblems(problems));
  return specs.pairs;
}

export async function pairOf(yaml: string): Promise<BucketReplication> {
  const [pair] = await pairsOf(yaml);
  if (!pair) throw new Error('there is no pair');
  return pair;
}
