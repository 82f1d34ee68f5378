/** Splits a JSON Pointer (RFC 6901) into its keys, for example `/rules/replikey~1tax~1tax/priority`. */
export const parsePointer = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));

/** Returns the JSON Pointer of a member of the object at a JSON Pointer. */
export const appendToPointer = (pointer: string, key: string): string =>
  `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;

/** Returns the value at a JSON Pointer; undefined if there is none. */
export function valueAtPointer(value: unknown, pointer: string): unknown {
  let node = value;
  for (const key of parsePointer(pointer)) {
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, key)) return undefined;
    node = (node as Record<string, unknown>)[key];
  }
  return node;
}

/** Returns a JSON Pointer in path notation: `rules["replikey/tax/tax"].priority`. */
export function formatPointer(pointer: string): string {
  return parsePointer(pointer)
    .map((key, index) => {
      if (/^\d+$/.test(key)) return `[${key}]`;
      if (/^[A-Za-z][\w-]*$/.test(key)) return index === 0 ? key : `.${key}`;
      return `["${key}"]`;
    })
    .join('');
}
