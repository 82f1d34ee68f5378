/** More pages than any listing has: a hundred aliases a page, of at most 100,000. */
const MAX_PAGES = 10_000;

/** Whether a page says that another one follows, and what that is asked for with. */
export interface PageCursor {
  hasMore: boolean | undefined;
  marker: string | undefined;
}

/**
 * The pages of a listing, one after the other.
 *
 * @throws Error for a listing without end, or one that does not tell how it goes on: what is left out of a listing must
 * not be taken for what is not there.
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
    if (marker === undefined) throw new Error('the listing goes on, but does not say from where');
    if (seenMarkers.has(marker))
      throw new Error('the listing never ends: it goes on from where it went on before');
    if (seenMarkers.size === MAX_PAGES) throw new Error(`the listing has more than ${MAX_PAGES} pages`);
    seenMarkers.add(marker);
  }
}
