import { formatProblems } from '../../src/spec/format-problems.ts';
import { loadSpecs } from '../../src/spec/load.ts';
import type { BucketReplication, Problem, Specs } from '../../src/spec/types.ts';
import { NO_VARIABLE_INPUT, type VariableInput } from '../../src/spec/variables.ts';

/** The smallest valid spec. */
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

/** Variables of each type: with a default, without, and from the environment. */
export const VARIABLES = `apiVersion: replikey.dev/v1
kind: Variables
metadata: { name: stage }
spec:
  variables:
    stage: { type: string, enum: [dev, prod], default: dev }
    team: { type: string }
    paused: { type: boolean, default: false }
    first: { type: number, default: 10, env: REPLIKEY_FIRST }
`;

/** Defaults of several pairs. SHORT is a pair that uses them. */
export const HOUSE = `apiVersion: replikey.dev/v1
kind: Defaults
metadata: { name: house }
spec:
  source: { region: us-east-1, key: { rotation: true } }
  destination:
    bucket: acme-tax-replica
    region: us-west-2
    key: alias/acme-tax-replica
  rules:
    - prefix: Tax/
`;

export const SHORT = `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata:
  name: tax
spec:
  defaults: house
  source:
    bucket: acme-tax
    key: alias/acme-tax
`;

/** Returns a reference to a variable. */
export const referring = (name: string): string => `\${var.${name}}`;

/** Returns the spec with replaced texts. A text that the spec does not contain is a mistake of the test. */
export const tax = (...changes: [from: string, to: string][]): string => changed(TAX, ...changes);

export function changed(document: string, ...changes: [from: string, to: string][]): string {
  return changes.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`not in the spec: ${from}`);
    return text.replace(from, () => to);
  }, document);
}

/** Joins documents in one file. */
export const together = (...documents: string[]): string => documents.join('---\n');

export async function problemsOf(
  yaml: string | Uint8Array,
  variableInput?: Partial<VariableInput>,
): Promise<Problem[]> {
  const { problems } = await loadSpecs(['-'], async () => yaml, {
    variableInput: { ...NO_VARIABLE_INPUT, ...variableInput },
    nowMs: Date.parse('2026-12-01T00:00:00Z'),
  });
  return problems;
}

export async function specsOf(yaml: string, variableInput?: Partial<VariableInput>): Promise<Specs> {
  const { specs, problems } = await loadSpecs(['-'], async () => yaml, {
    variableInput: { ...NO_VARIABLE_INPUT, ...variableInput },
  });
  if (!specs) throw new Error(formatProblems(problems));
  return specs;
}

export async function pairsOf(yaml: string): Promise<BucketReplication[]> {
  return (await specsOf(yaml)).pairs;
}

export async function pairOf(yaml: string): Promise<BucketReplication> {
  const [pair] = await pairsOf(yaml);
  if (!pair) throw new Error('no pair found');
  return pair;
}
