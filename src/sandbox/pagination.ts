/** One page of a list, and the marker of the next. */
export function pageOf<T>(
  items: readonly T[],
  limit: number,
  marker: string | undefined,
): { items: T[]; next?: string } {
  const start = marker === undefined ? 0 : Number(Buffer.from(marker, 'base64url').toString()) || 0;
  const end = start + limit;
  const next = end < items.length ? { next: Buffer.from(String(end)).toString('base64url') } : {};
  return { items: items.slice(start, end), ...next };
}
