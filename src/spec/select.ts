import { suggest } from './did-you-mean.ts';
import { reverseNameOf } from './resolve.ts';
import type { BucketReplication, Specs } from './types.ts';

/** Which of the specs a run is about. */
export interface Selection {
  /** Names; empty: any. */
  only: readonly string[];
  /** A selector of labels, as Kubernetes writes it; absent: any. */
  selector?: string;
}

/** Why nothing can be selected so, in words. */
export class SelectionError extends Error {}

/**
 * The specs that were chosen; all of them have been checked together before. Both ways of a two-way spec go together.
 *
 * @throws SelectionError for a name that no spec has, a selector that cannot be read, and where nothing is selected.
 */
export function selectSpecs(specs: Specs, { only, selector }: Selection): Specs {
  if (only.length === 0 && selector === undefined) return specs;
  const names = specs.pairs.map(({ name }) => name);
  for (const name of only) {
    if (names.includes(name)) continue;
    const suggestion = suggest(name, names);
    throw new SelectionError(
      `no spec is named ${name}${suggestion === undefined ? '' : ` (did you mean ${suggestion}?)`}`,
    );
  }
  const selectedNames = new Set([...only, ...only.map(reverseNameOf)]);
  const matchesLabels = selector === undefined ? () => true : parseLabelSelector(selector);
  const pairs = specs.pairs.filter(
    (pair: BucketReplication) =>
      (only.length === 0 || selectedNames.has(pair.name)) && matchesLabels(pair.labels),
  );
  if (pairs.length === 0)
    throw new SelectionError(`none of ${names.length} specs is selected: ${describeLabels(specs.pairs)}`);
  return { ...specs, pairs };
}

type LabelPredicate = (labels: Record<string, string>) => boolean;

/** A key of a label, with its prefix; and a value. */
const LABEL_KEY = '[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?';
const LABEL_VALUE = '[A-Za-z0-9._-]*';

/** Each form of a requirement, and when labels meet it. A key that is not there differs from every value. */
const REQUIREMENT_FORMS: [pattern: RegExp, matches: (key: string, values: string[]) => LabelPredicate][] = [
  [new RegExp(`^(${LABEL_KEY})$`), (key) => (labels) => Object.hasOwn(labels, key)],
  [new RegExp(`^!\\s*(${LABEL_KEY})$`), (key) => (labels) => !Object.hasOwn(labels, key)],
  [
    new RegExp(`^(${LABEL_KEY})\\s*==?\\s*(${LABEL_VALUE})$`),
    (key, [value]) =>
      (labels) =>
        labels[key] === value,
  ],
  [
    new RegExp(`^(${LABEL_KEY})\\s*!=\\s*(${LABEL_VALUE})$`),
    (key, [value]) =>
      (labels) =>
        labels[key] !== value,
  ],
  [
    new RegExp(`^(${LABEL_KEY})\\s+in\\s+\\(([^()]*)\\)$`),
    (key, values) => (labels) => Object.hasOwn(labels, key) && values.includes(labels[key] ?? ''),
  ],
  [
    new RegExp(`^(${LABEL_KEY})\\s+notin\\s+\\(([^()]*)\\)$`),
    (key, values) => (labels) => !Object.hasOwn(labels, key) || !values.includes(labels[key] ?? ''),
  ],
];

/** Requirements, all of which must be met: `team=tax,env!=dev,tier in (gold, silver),!paused`. */
export function parseLabelSelector(selector: string): LabelPredicate {
  // A comma between parentheses is of a list of values.
  const requirements = selector.split(/,(?![^()]*\))/).map((part) => part.trim());
  const predicates = requirements.map((part) => {
    for (const [pattern, createPredicate] of REQUIREMENT_FORMS) {
      const [, key, values = ''] = pattern.exec(part) ?? [];
      if (key !== undefined)
        return createPredicate(
          key,
          values.split(',').map((value) => value.trim()),
        );
    }
    throw new SelectionError(
      `"${part}" selects nothing: write key=value, key!=value, key in (a, b), key notin (a, b), key, or !key`,
    );
  });
  return (labels) => predicates.every((predicate) => predicate(labels));
}

function describeLabels(pairs: readonly BucketReplication[]): string {
  const labels = new Set(
    pairs.flatMap((pair) => Object.entries(pair.labels).map(([key, value]) => `${key}=${value}`)),
  );
  if (labels.size === 0) return 'no spec has labels';
  return `their labels are ${[...labels].sort().slice(0, 20).join(', ')}`;
}
