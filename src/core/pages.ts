/** More pages than any listing has: a hundred aliases a page, of at most 100,000. */
const MOST_PAGES = 10_000;

/** Whether a page says that another one follows, and what that is asked for with. */
export interface Following {
  more: boolean | undefined;
  marker: string | undefined;
}

/**
 * The pages of a listing, one after the other.
 *
 * @throws Error for a listing without end, or one that does not tell how it goes on: what is left out of a listing must
 * not be taken for what is not there.
 */
export async function* pages<P>(
  ask: (marker: string | undefined) => Promise<P>,
  following: (page: P) => Following,
): AsyncGenerator<P> {
  const asked = new Set<string>();
  for (let marker: string | undefined; ; ) {
    const page = await ask(marker);
    yield page;
    const next = following(page);
    if (!next.more) return;
    marker = next.marker;
    if (marker === undefined) throw new Error('the listing goes on, but does not say from where');
    if (asked.has(marker)) throw new Error('the listing never ends: it goes on from where it went on before');
    if (asked.size === MOST_PAGES) throw new Error(`the listing has more than ${MOST_PAGES} pages`);
    asked.add(marker);
  }
}
