/** A JSON Pointer as people write paths: `/rules/replikey~1tax~1tax/priority` is `rules["replikey/tax/tax"].priority`. */
export function showPointer(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part, index) => {
      if (/^\d+$/.test(part)) return `[${part}]`;
      if (/^[A-Za-z][\w-]*$/.test(part)) return index === 0 ? part : `.${part}`;
      return `["${part}"]`;
    })
    .join('');
}
