import { suggest } from './did-you-mean.ts';
import { reverseNameOf } from './resolve.ts';
import { fileProblem } from './source-file.ts';
import type { BucketReplication, Problem, Specs } from './types.ts';

/** The selection of specs for a run. */
export interface Selection {
  /** Names of specs; empty: all. */
  only: readonly string[];
  /** A label selector in Kubernetes syntax; absent: all. */
  selector?: string;
}

/** The reason why a selection is invalid or empty. */
export class SelectionError extends Error {}

/**
 * Selects specs after all specs are checked together. Both directions of a two-way spec are selected together.
 *
 * @throws SelectionError for an unknown spec name, an invalid selector, or an empty selection.
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
    throw new SelectionError(
      `the selection matches none of ${names.length} specs: ${describeLabels(specs.pairs)}`,
    );
  return { ...specs, pairs };
}

/** Returns why a selection is invalid or empty, as a problem of the option. Returns none for a valid selection. */
export function selectionProblems(specs: Specs, selection: Selection): Problem[] {
  try {
    selectSpecs(specs, selection);
    return [];
  } catch (error) {
    if (!(error instanceof SelectionError)) throw error;
    const option = selection.only.length > 0 ? '--only' : '--selector';
    return [fileProblem(option, { message: error.message, hint: 'correct the option, or declare the spec' })];
  }
}

type LabelPredicate = (labels: Record<string, string>) => boolean;

/** Patterns of a label key, with its prefix, and of a label value. */
const LABEL_KEY = '[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?';
const LABEL_VALUE = '[A-Za-z0-9._-]*';

/** Forms of a requirement, each with its predicate over labels. A missing key differs from every value. */
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

/** Parses a label selector. All requirements must match: `team=tax,env!=dev,tier in (gold, silver),!paused`. */
export function parseLabelSelector(selector: string): LabelPredicate {
  // A comma inside parentheses separates the values of a list.
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
      `invalid selector "${part}": use key=value, key!=value, key in (a, b), key notin (a, b), key, or !key`,
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
