/** `*` within a name, `**` across folders, `?` for one character. */
export function globToRegExp(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*+|[?]|[^*?]+/g, (part) => {
    if (part === '**/') return '(?:.*/)?';
    if (part === '*') return '[^/]*';
    if (part.startsWith('*')) return '.*';
    if (part === '?') return '[^/]';
    return part.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${source}$`, 'u');
}

export const isGlob = (text: string): boolean => /[*?]/.test(text);

/** The folder below which everything lies that a pattern can match. */
export function globRoot(pattern: string): string {
  const literalPart = pattern.slice(0, pattern.search(/[*?]/));
  return literalPart.includes('/') ? literalPart.slice(0, literalPart.lastIndexOf('/')) || '/' : '.';
}
