/** Helpers with which kinds bring both sides to one normal form, and the plan to one text. */

/** Compare as code units: the same on every machine, unlike a locale's order. */
export const byCodeUnit = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** JSON with sorted keys: equal values give equal text. */
export function stableJson(value: unknown): string {
  return JSON.stringify(sortKeys(value)) ?? 'null';
}

/** The same value with the keys of every object in order, and without what is undefined. */
export function sortKeys<T>(value: T): T {
  if (Array.isArray(value)) return value.map(sortKeys) as T;
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => byCodeUnit(a, b))
    .map(([key, item]) => [key, sortKeys(item)]);
  return Object.fromEntries(entries) as T;
}

/** A set of strings in its normal form: sorted, each once. */
export const sortedSet = (values: Iterable<string>): string[] => [...new Set(values)].sort(byCodeUnit);

/** An object without its undefined members, as `exactOptionalPropertyTypes` wants it. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as never;
}
