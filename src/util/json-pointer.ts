/** A JSON Pointer as people write paths: `/rules/replikey~1tax~1tax/priority` is `rules["replikey/tax/tax"].priority`. */
export function formatPointer(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((segment, index) => {
      if (/^\d+$/.test(segment)) return `[${segment}]`;
      if (/^[A-Za-z][\w-]*$/.test(segment)) return index === 0 ? segment : `.${segment}`;
      return `["${segment}"]`;
    })
    .join('');
}
