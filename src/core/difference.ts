import { compareCodeUnits, isJsonEqual } from '../util/canonical-json.ts';

/** One change of a value: an operation of JSON Patch (RFC 6902), of the three that are ever needed. */
export type PatchOperation =
  | { op: 'add' | 'replace'; path: string; value: unknown }
  | { op: 'remove'; path: string };

/**
 * What turns one value into another, as a JSON Patch. Lists stand in normal form for sets, so that one that differs is
 * replaced as a whole: which place an item has says nothing, and its index would only confuse a reader.
 */
export function diffJson(before: unknown, after: unknown, path = ''): PatchOperation[] {
  if (isJsonEqual(before, after)) return [];
  if (!isKeyedObject(before) || !isKeyedObject(after)) return [{ op: 'replace', path, value: after }];
  const childPath = (key: string) => `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort(compareCodeUnits);
  return keys.flatMap((key): PatchOperation[] => {
    if (!Object.hasOwn(after, key)) return [{ op: 'remove', path: childPath(key) }];
    if (!Object.hasOwn(before, key)) return [{ op: 'add', path: childPath(key), value: after[key] }];
    return diffJson(before[key], after[key], childPath(key));
  });
}

const isKeyedObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
