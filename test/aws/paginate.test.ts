import { expect, test } from 'vitest';
import { paginate } from '../../src/aws/paginate.ts';

interface Page {
  items: string[];
  more?: boolean;
  marker?: string;
}

/** Returns the items of all pages. Fails after more requests than any test needs. */
async function list(page: (marker: string | undefined, requests: number) => Page) {
  const items: string[] = [];
  let requests = 0;
  const fetchPage = async (marker: string | undefined) => {
    requests += 1;
    if (requests > 20_000) throw new Error('paginate does not stop');
    return page(marker, requests);
  };
  for await (const { items: pageItems } of paginate(fetchPage, ({ more, marker }) => ({
    hasMore: more,
    marker,
  })))
    items.push(...pageItems);
  return items;
}

test('paginate: reads every page once', async () => {
  const pages: Record<string, Page> = {
    first: { items: ['a', 'b'], more: true, marker: '' },
    '': { items: [], more: true, marker: 'last' },
    last: { items: ['c'], more: false, marker: 'ignored' },
  };
  expect(await list((marker = 'first') => pages[marker] ?? { items: ['?'] })).toEqual(['a', 'b', 'c']);
});

test.each<[name: string, page: (marker: string | undefined, requests: number) => Page, why: RegExp]>([
  [
    'whose page repeats its own marker',
    () => ({ items: [], more: true, marker: 'x' }),
    /repeats an earlier marker/,
  ],
  [
    'whose markers form a cycle',
    (_, requests) => ({ items: [], more: true, marker: String(requests % 3) }),
    /repeats an earlier marker/,
  ],
  [
    'with too many pages',
    (_, requests) => ({ items: [], more: true, marker: String(requests) }),
    /10000 pages/,
  ],
  ['without the next marker', () => ({ items: [], more: true }), /has no marker/],
])('paginate: refuses a listing %s', async (_, page, why) => {
  await expect(list(page)).rejects.toThrow(why);
});
