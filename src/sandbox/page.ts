/** One page of a list, and the marker of the next. */
export function page<T>(
  items: readonly T[],
  limit: number,
  marker: string | undefined,
): { items: T[]; next?: string } {
  const from = marker === undefined ? 0 : Number(Buffer.from(marker, 'base64url').toString()) || 0;
  const to = from + limit;
  const next = to < items.length ? { next: Buffer.from(String(to)).toString('base64url') } : {};
  return { items: items.slice(from, to), ...next };
}
