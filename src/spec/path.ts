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
export function pathsOverlap(a: Path, b: Path): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return short.every((part, index) => part === long[index]);
}

/** Whether what stands at the second path is, or is in, what stands at the first. */
export const isPrefixOf = (ancestor: Path, path: Path): boolean =>
  ancestor.every((part, index) => part === path[index]);

/** What stands at a path; undefined where nothing does. */
export function valueAtPath(value: unknown, path: Path): unknown {
  let current = value;
  for (const part of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, part)) return undefined;
    current = (current as Record<PropertyKey, unknown>)[part];
  }
  return current;
}

/** What stands at a path, as text; nothing for a mapping or a list: its `toString` may be a key that somebody wrote. */
export function textAtPath(value: unknown, path: Path): string {
  const target = valueAtPath(value, path);
  return typeof target === 'object' ? '' : String(target);
}

/** The same value with something else at the paths; undefined takes away what is there. */
export function replaceAtPaths(
  value: unknown,
  paths: readonly Path[],
  replacementFor: (path: Path) => unknown,
): unknown {
  const copy = structuredClone(value);
  for (const path of paths) {
    const container = valueAtPath(copy, path.slice(0, -1));
    const lastPart = path.at(-1);
    if (lastPart === undefined || typeof container !== 'object' || container === null) continue;
    const replacement = replacementFor(path);
    if (replacement === undefined) delete (container as Record<PropertyKey, unknown>)[lastPart];
    else (container as Record<PropertyKey, unknown>)[lastPart] = replacement;
  }
  return copy;
}
