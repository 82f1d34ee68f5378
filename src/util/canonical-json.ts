/** Compares strings by code units: the same order on every machine, unlike a locale's order. */
export const compareCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Returns JSON with sorted keys: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sortKeys(value)) ?? 'null';
}

/**
 * Returns the same value with sorted keys in every object and without undefined members, or the value itself if nothing
 * changes.
 */
export function sortKeys<T>(value: T): T {
  if (hasSortedKeys(value)) return value;
  if (Array.isArray(value)) return value.map(sortKeys) as T;
  const source = value as Record<string, unknown>;
  const sorted: Record<string, unknown> = {};
  for (const key of Object.keys(source).sort(compareCodeUnits))
    if (source[key] !== undefined) setOwnProperty(sorted, key, sortKeys(source[key]));
  return sorted as T;
}

function hasSortedKeys(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every(hasSortedKeys);
  let previous: string | undefined;
  for (const key of Object.keys(value)) {
    const item = (value as Record<string, unknown>)[key];
    if (item === undefined || (previous !== undefined && key < previous) || !hasSortedKeys(item))
      return false;
    previous = key;
  }
  return true;
}

/** Applies a function to each item of a list. Returns the list itself if no item changes. */
export function mapItems<T>(list: T[], change: (item: T) => T): T[] {
  let result: T[] | undefined;
  for (const [index, item] of list.entries()) {
    const changed = change(item);
    if (changed === item) continue;
    result ??= [...list];
    result[index] = changed;
  }
  return result ?? list;
}

/** Applies a function to each value of an object. Returns the object itself if no value changes. */
export function mapValues<T extends object>(object: T, change: (item: unknown, key: string) => unknown): T {
  let result: T | undefined;
  for (const key of Object.keys(object)) {
    const item = (object as Record<string, unknown>)[key];
    const changed = change(item, key);
    if (changed === item) continue;
    result ??= { ...object };
    setOwnProperty(result as Record<string, unknown>, key, changed);
  }
  return result ?? object;
}

/** Whether two values are equal, without regard to key order and undefined members. */
export function isJsonEqual(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) return false;
    return left.every((item, index) => isJsonEqual(item, right[index]));
  }
  const [a, b] = [left as Record<string, unknown>, right as Record<string, unknown>];
  let definedCount = 0;
  for (const key of Object.keys(a)) {
    if (a[key] === undefined) continue;
    if (!Object.hasOwn(b, key) || !isJsonEqual(a[key], b[key])) return false;
    definedCount += 1;
  }
  for (const key of Object.keys(b)) if (b[key] !== undefined) definedCount -= 1;
  return definedCount === 0;
}

/** Sets a property of any name, also `__proto__`. */
function setOwnProperty(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value;
  else Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}

/** Returns the normal form of a set of strings: sorted and unique. */
export const toSortedSet = (values: Iterable<string>): string[] => {
  const items = [...values];
  return items.length < 2 ? items : [...new Set(items)].sort(compareCodeUnits);
};

/** Returns an object without its undefined members, as `exactOptionalPropertyTypes` requires. */
export function omitUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const result: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) if (item !== undefined) setOwnProperty(result, key, item);
  return result as never;
}
