/** The way to a value: keys of mappings and indexes of lists. */
export type Path = readonly PropertyKey[];

/** `spec.rules[0].prefix`; a key that is no plain word stands in quotes, `metadata.labels["app/part"]`. */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!/^[\w-]+$/.test(String(part))) text += `[${JSON.stringify(String(part))}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text;
}

/** Whether one path is the other, or leads through it. */
export function isAlong(a: Path, b: Path): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return short.every((part, index) => part === long[index]);
}

/** Whether what stands at the second path is, or is in, what stands at the first. */
export const leadsTo = (around: Path, path: Path): boolean =>
  around.every((part, index) => part === path[index]);

/** What stands at a path; undefined where nothing does. */
export function valueAt(value: unknown, path: Path): unknown {
  let found = value;
  for (const part of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, part)) return undefined;
    found = (found as Record<PropertyKey, unknown>)[part];
  }
  return found;
}

/** What stands at a path, as text; nothing for a mapping or a list: its `toString` may be a key that somebody wrote. */
export function textAt(value: unknown, path: Path): string {
  const found = valueAt(value, path);
  return typeof found === 'object' ? '' : String(found);
}

/** The same value with something else at the paths; undefined takes away what is there. */
export function replaced(value: unknown, paths: readonly Path[], by: (path: Path) => unknown): unknown {
  const copy = structuredClone(value);
  for (const path of paths) {
    const parent = valueAt(copy, path.slice(0, -1));
    const last = path.at(-1);
    if (last === undefined || typeof parent !== 'object' || parent === null) continue;
    const item = by(path);
    if (item === undefined) delete (parent as Record<PropertyKey, unknown>)[last];
    else (parent as Record<PropertyKey, unknown>)[last] = item;
  }
  return copy;
}
