import { expect, test } from 'vitest';
import { paginate } from '../../src/aws/paginate.ts';

interface Page {
  items: string[];
  more?: boolean;
  marker?: string;
}

/** All that is listed, and how often it was asked for: never more often than any test takes. */
async function listed(page: (marker: string | undefined, asked: number) => Page) {
  const items: string[] = [];
  let asked = 0;
  const ask = async (marker: string | undefined) => {
    asked += 1;
    if (asked > 20_000) throw new Error('it asks for ever');
    return page(marker, asked);
  };
  for await (const one of paginate(ask, ({ more, marker }) => ({ hasMore: more, marker })))
    items.push(...one.items);
  return items;
}

test('all pages of a listing are read, each once', async () => {
  const given: Record<string, Page> = {
    first: { items: ['a', 'b'], more: true, marker: '' },
    '': { items: [], more: true, marker: 'last' },
    last: { items: ['c'], more: false, marker: 'ignored' },
  };
  expect(await listed((marker = 'first') => given[marker] ?? { items: ['?'] })).toEqual(['a', 'b', 'c']);
});

test.each<[name: string, page: (marker: string | undefined, asked: number) => Page, why: RegExp]>([
  ['that names itself as the next', () => ({ items: [], more: true, marker: 'x' }), /never ends/],
  [
    'that goes in circles',
    (_, asked) => ({ items: [], more: true, marker: String(asked % 3) }),
    /never ends/,
  ],
  ['of new pages for ever', (_, asked) => ({ items: [], more: true, marker: String(asked) }), /10000 pages/],
  ['that does not say how it goes on', () => ({ items: [], more: true }), /not say from where/],
])('a listing %s is refused', async (_, page, why) => {
  await expect(listed(page)).rejects.toThrow(why);
});
