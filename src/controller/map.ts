import { escaped } from './html.ts';
import type { PairStatus } from './status.ts';

const WIDTH = 900;
const BOX = { width: 240, height: 46, gap: 22 };

/** More places than this are no map any more. */
const MOST = 40;

/** Regions and accounts as boxes, those that replicate on the left, and an arrow for each way that objects go. */
export function mapOf(pairs: readonly PairStatus[]): string {
  const ways = new Map<string, { from: string; to: string; count: number; bad: number }>();
  for (const { sides, conditions } of pairs) {
    for (const { source, destination } of sides) {
      const [from, to] = [placeOf(source), placeOf(destination)];
      const way = ways.get(`${from}\n${to}`) ?? { from, to, count: 0, bad: 0 };
      const isBad = conditions.Ready.status === 'False' || conditions.Proven.status === 'False';
      ways.set(`${from}\n${to}`, { ...way, count: way.count + 1, bad: way.bad + (isBad ? 1 : 0) });
    }
  }
  const left = [...new Set([...ways.values()].map(({ from }) => from))].sort();
  const right = [...new Set([...ways.values()].map(({ to }) => to))].sort();
  const rows = Math.max(left.length, right.length);
  if (rows > MOST) return `<p>Objects go from ${left.length} places to ${right.length}.</p>`;
  const height = rows * (BOX.height + BOX.gap) + BOX.gap;
  const y = (index: number) => BOX.gap + index * (BOX.height + BOX.gap);
  const boxes = (places: string[], x: number) =>
    places.map(
      (place, index) =>
        `<rect class="place" x="${x}" y="${y(index)}" width="${BOX.width}" height="${BOX.height}" rx="6"/><text x="${x + 14}" y="${y(index) + BOX.height / 2 + 5}">${escaped(place)}</text>`,
    );
  const start = 4 + BOX.width;
  const end = WIDTH - BOX.width - 4;
  const arrows = [...ways.values()].map(({ from, to, bad }) => {
    const [y1, y2] = [y(left.indexOf(from)) + BOX.height / 2, y(right.indexOf(to)) + BOX.height / 2];
    const middle = (start + end) / 2;
    return `<path class="edge${bad > 0 ? ' bad' : ''}" d="M${start} ${y1} C${middle} ${y1} ${middle} ${y2} ${end - 9} ${y2}" marker-end="url(#tip)"/>`;
  });
  // How many come together is told where they do.
  const counts = right.map((place, index) => {
    const here = [...ways.values()].filter(({ to }) => to === place);
    const sum = (of: 'count' | 'bad') => here.reduce((total, way) => total + way[of], 0);
    const told =
      sum('bad') > 0
        ? `${sum('count') - sum('bad')} of ${sum('count')} well`
        : sum('count') === 1
          ? '1 pair'
          : `${sum('count')} pairs`;
    return `<text class="count" x="${end + BOX.width - 12}" y="${y(index) + BOX.height / 2 + 5}" text-anchor="end">${told}</text>`;
  });
  const said = [...ways.values()].map(({ from, to, count }) => `${count} from ${from} to ${to}`).join('; ');
  return `<h2>Regions and accounts</h2>
<div class="map" tabindex="0" role="group" aria-label="Map">
<svg viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(`Pairs: ${said}`)}">
<defs><marker id="tip" viewBox="0 0 10 10" refX="2" refY="5" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="currentColor"/></marker></defs>
${boxes(left, 4).join('\n')}
${boxes(right, end).join('\n')}
${arrows.join('\n')}
${counts.join('\n')}
</svg>
</div>`;
}

const placeOf = ({ region, account }: { region: string; account?: string }): string =>
  account === undefined ? region : `${account}, ${region}`;
