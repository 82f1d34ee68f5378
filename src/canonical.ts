/** Values in one normal form, and as one text, whoever compares them. */

/** Compare as code units: the same on every machine, unlike a locale's order. */
export const byCodeUnit = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** JSON with sorted keys: equal values give equal text. */
export function stableJson(value: unknown): string {
  return JSON.stringify(sortKeys(value)) ?? 'null';
}

/** The same value with the keys of every object in order, and without what is undefined; itself where it is so already. */
export function sortKeys<T>(value: T): T {
  if (isSorted(value)) return value;
  if (Array.isArray(value)) return value.map(sortKeys) as T;
  const given = value as Record<string, unknown>;
  const sorted: Record<string, unknown> = {};
  for (const key of Object.keys(given).sort(byCodeUnit))
    if (given[key] !== undefined) set(sorted, key, sortKeys(given[key]));
  return sorted as T;
}

function isSorted(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every(isSorted);
  let before: string | undefined;
  for (const key of Object.keys(value)) {
    const item = (value as Record<string, unknown>)[key];
    if (item === undefined || (before !== undefined && key < before) || !isSorted(item)) return false;
    before = key;
  }
  return true;
}

/** A list with each item changed; itself where none is. */
export function mappedList<T>(list: T[], change: (item: T) => T): T[] {
  let result: T[] | undefined;
  for (const [index, item] of list.entries()) {
    const changed = change(item);
    if (changed === item) continue;
    result ??= [...list];
    result[index] = changed;
  }
  return result ?? list;
}

/** An object with each value changed; itself where none is. */
export function mapped<T extends object>(object: T, change: (item: unknown, key: string) => unknown): T {
  let result: T | undefined;
  for (const key of Object.keys(object)) {
    const item = (object as Record<string, unknown>)[key];
    const changed = change(item, key);
    if (changed === item) continue;
    result ??= { ...object };
    set(result as Record<string, unknown>, key, changed);
  }
  return result ?? object;
}

/** Whether two values are the same whatever the order of their keys, and leaving out what is undefined. */
export function sameJson(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  if (Array.isArray(one) || Array.isArray(other)) {
    if (!Array.isArray(one) || !Array.isArray(other) || one.length !== other.length) return false;
    return one.every((item, index) => sameJson(item, other[index]));
  }
  const [a, b] = [one as Record<string, unknown>, other as Record<string, unknown>];
  let more = 0;
  for (const key of Object.keys(a)) {
    if (a[key] === undefined) continue;
    if (!Object.hasOwn(b, key) || !sameJson(a[key], b[key])) return false;
    more += 1;
  }
  for (const key of Object.keys(b)) if (b[key] !== undefined) more -= 1;
  return more === 0;
}

/** Any name may be a key, `__proto__` too. */
function set(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value;
  else Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}

/** A set of strings in its normal form: sorted, each once. */
export const sortedSet = (values: Iterable<string>): string[] => {
  const all = [...values];
  return all.length < 2 ? all : [...new Set(all)].sort(byCodeUnit);
};

/** An object without its undefined members, as `exactOptionalPropertyTypes` wants it. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const result: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) if (item !== undefined) set(result, key, item);
  return result as never;
}
