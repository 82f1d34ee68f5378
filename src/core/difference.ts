import { byCodeUnit, sameJson } from '../canonical.ts';

/** One change of a value: an operation of JSON Patch (RFC 6902), of the three that are ever needed. */
export type Operation =
  | { op: 'add' | 'replace'; path: string; value: unknown }
  | { op: 'remove'; path: string };

/**
 * What turns one value into another, as a JSON Patch. Lists stand in normal form for sets, so that one that differs is
 * replaced as a whole: which place an item has says nothing, and its index would only confuse a reader.
 */
export function differences(before: unknown, after: unknown, path = ''): Operation[] {
  if (sameJson(before, after)) return [];
  if (!isRecord(before) || !isRecord(after)) return [{ op: 'replace', path, value: after }];
  const at = (key: string) => `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort(byCodeUnit);
  return keys.flatMap((key): Operation[] => {
    if (!Object.hasOwn(after, key)) return [{ op: 'remove', path: at(key) }];
    if (!Object.hasOwn(before, key)) return [{ op: 'add', path: at(key), value: after[key] }];
    return differences(before[key], after[key], at(key));
  });
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
