import jsonPatch from 'fast-json-patch';
import { canonicalJson, compareCodeUnits, isJsonEqual, mapValues, sortKeys } from '../util/canonical-json.ts';
import { appendToPointer, parsePointer, valueAtPointer } from '../util/json-pointer.ts';
import { isRef } from './ref.ts';
import type { PatchOperation, Step } from './resource.ts';

/** The difference between two normal forms: a JSON Patch, and the previous values by its paths. */
export type Diff = Pick<Step, 'patch' | 'before'>;

/**
 * Compares two normal forms. Sets are keyed before the comparison, so that one more element is one `add`. Equal normal
 * forms are found first, since most are equal and the comparison costs more. Operations are sorted by path.
 */
export function diffNormalForms(before: unknown, after: unknown): Diff {
  if (isJsonEqual(before, after)) return { patch: [], before: {} };
  const keyedBefore = keySets(sortKeys(before)) as object;
  const keyedAfter = keySets(sortKeys(after)) as object;
  const patch = (jsonPatch.compare(keyedBefore, keyedAfter) as PatchOperation[]).sort(compareByPath);
  const previousValues = patch
    .map(({ path }) => [path, valueAtPointer(keyedBefore, path)] as const)
    .filter(([, value]) => value !== undefined);
  return { patch, before: Object.fromEntries(previousValues) };
}

/**
 * Orders operations in the reading order of the tree of their paths: each field before the next field of the same
 * object.
 */
function compareByPath(a: PatchOperation, b: PatchOperation): number {
  const [keysOfA, keysOfB] = [parsePointer(a.path), parsePointer(b.path)];
  const index = keysOfA.findIndex((key, position) => key !== keysOfB[position]);
  return compareCodeUnits(keysOfA[index] ?? '', keysOfB[index] ?? '');
}

/**
 * Returns a value with an object in place of each list. A list in a normal form represents a set: the object holds each
 * element under its text, so that a path names an element and not its position.
 */
export function keySets(value: unknown): unknown {
  if (Array.isArray(value))
    return Object.fromEntries(value.map((element) => [elementText(element), element]));
  if (typeof value !== 'object' || value === null || isRef(value)) return value;
  return mapValues(value, keySets);
}

/** Returns the text of an element of a set; of a reference `kms.key/alias/x@us-east-1#arn`. */
function elementText(element: unknown): string {
  if (typeof element === 'string') return element;
  return isRef(element) ? `${element.$ref}#${element.attr}` : canonicalJson(element);
}

/**
 * The paths of all sets in normal forms. The keyed form does not distinguish a set of strings from a map, for example
 * tags.
 */
const SET_PATH =
  /^\/(?:v1Rules|removable|leaves|alarmActions|okActions|insufficientDataActions|entries\/[^/]+\/events|rules\/[^/]+\/exclude\/(?:prefixes|tags\/[^/]+)|(?:statements|trust)\/[^/]+\/(?:(?:Not)?(?:Action|Resource)|(?:Not)?Principal\/[^/]+|Condition\/[^/]+\/[^/]+))(?=\/|$)/;

/** Returns the path of the field that a path of a patch belongs to: that of the whole set for an element of a set. */
export const fieldPathOf = (path: string): string => SET_PATH.exec(path)?.[0] ?? path;

/** A change of one field as a plan shows it: sets are lists again, and the changes of one set are one change. */
export type FieldChange =
  | { type: PatchOperation['op']; path: string; before: unknown; after: unknown }
  | { type: 'elements'; path: string; removed: unknown[]; added: unknown[] };

/** Returns the changes of a step, a field each. */
export function fieldChangesOf({ patch, before }: Diff): FieldChange[] {
  const changes: FieldChange[] = [];
  for (const operation of patch) {
    const { op: type, path } = operation;
    const [oldValue, newValue] = [before[path], 'value' in operation ? operation.value : undefined];
    const fieldPath = fieldPathOf(path);
    if (fieldPath === path) {
      changes.push({ type, path, before: listSets(oldValue, path), after: listSets(newValue, path) });
      continue;
    }
    let change = changes.at(-1);
    if (change?.type !== 'elements' || change.path !== fieldPath) {
      change = { type: 'elements', path: fieldPath, removed: [], added: [] };
      changes.push(change);
    }
    if (type !== 'add') change.removed.push(oldValue);
    if (type !== 'remove') change.added.push(newValue);
  }
  return changes;
}

/** Returns the value at a path with a list in place of each keyed set. */
function listSets(value: unknown, path: string): unknown {
  if (typeof value !== 'object' || value === null || isRef(value)) return value;
  if (SET_PATH.exec(path)?.[0] === path) return Object.values(value);
  return mapValues(value, (item, key) => listSets(item, appendToPointer(path, key)));
}

/** Returns the paths of the rules and statements that a step removes. */
export const removedEntryPaths = ({ patch }: Pick<Step, 'patch'>): string[] =>
  patch
    .filter(({ op, path }) => op === 'remove' && /^\/(rules|statements)\/[^/]+$/.test(path))
    .map(({ path }) => path);
