/** A limit above any real listing: 100,000 aliases are 1,000 pages of a hundred. */
const MAX_PAGES = 10_000;

/** Whether another page follows, and the marker that requests it. */
export interface PageCursor {
  hasMore: boolean | undefined;
  marker: string | undefined;
}

/**
 * Yields the pages of a listing in order.
 *
 * @throws Error for an endless listing, or a truncated one without a marker: an entry that a listing omits must not
 * count as absent.
 */
export async function* paginate<P>(
  fetchPage: (marker: string | undefined) => Promise<P>,
  cursorOf: (page: P) => PageCursor,
): AsyncGenerator<P> {
  const seenMarkers = new Set<string>();
  for (let marker: string | undefined; ; ) {
    const page = await fetchPage(marker);
    yield page;
    const cursor = cursorOf(page);
    if (!cursor.hasMore) return;
    marker = cursor.marker;
    if (marker === undefined)
      throw new Error('invalid listing: more pages follow, but the page has no marker');
    if (seenMarkers.has(marker)) throw new Error('invalid listing: the page repeats an earlier marker');
    if (seenMarkers.size === MAX_PAGES)
      throw new Error(`invalid listing: it has more than ${MAX_PAGES} pages`);
    seenMarkers.add(marker);
  }
}
