import { escapeHtml } from '../../util/escape.ts';
import type { PairStatus } from '../status.ts';

const SVG_WIDTH = 900;
const BOX = { width: 240, height: 46, gap: 22 };

/** Maximum number of rows in a readable drawing. */
const MAX_ROWS = 40;

/** Draws locations as boxes, sources on the left, with an arrow for each direction of replication. */
export function renderTopology(pairs: readonly PairStatus[]): string {
  const edges = new Map<string, { from: string; to: string; count: number; bad: number }>();
  for (const { sides, conditions } of pairs) {
    for (const { source, destination } of sides) {
      const [from, to] = [locationLabel(source), locationLabel(destination)];
      const edge = edges.get(`${from}\n${to}`) ?? { from, to, count: 0, bad: 0 };
      const isBad = conditions.Ready.status === 'False' || conditions.Proven.status === 'False';
      edges.set(`${from}\n${to}`, { ...edge, count: edge.count + 1, bad: edge.bad + (isBad ? 1 : 0) });
    }
  }
  const left = [...new Set([...edges.values()].map(({ from }) => from))].sort();
  const right = [...new Set([...edges.values()].map(({ to }) => to))].sort();
  const rows = Math.max(left.length, right.length);
  if (rows > MAX_ROWS) return `<p>Objects replicate from ${left.length} locations to ${right.length}.</p>`;
  const height = rows * (BOX.height + BOX.gap) + BOX.gap;
  const y = (index: number) => BOX.gap + index * (BOX.height + BOX.gap);
  const boxes = (labels: string[], x: number) =>
    labels.map(
      (label, index) =>
        `<rect class="location" x="${x}" y="${y(index)}" width="${BOX.width}" height="${BOX.height}" rx="6"/><text x="${x + 14}" y="${y(index) + BOX.height / 2 + 5}">${escapeHtml(label)}</text>`,
    );
  const start = 4 + BOX.width;
  const end = SVG_WIDTH - BOX.width - 4;
  const arrows = [...edges.values()].map(({ from, to, bad }) => {
    const [y1, y2] = [y(left.indexOf(from)) + BOX.height / 2, y(right.indexOf(to)) + BOX.height / 2];
    const middle = (start + end) / 2;
    return `<path class="edge${bad > 0 ? ' bad' : ''}" d="M${start} ${y1} C${middle} ${y1} ${middle} ${y2} ${end - 9} ${y2}" marker-end="url(#arrowhead)"/>`;
  });
  // The counts of all incoming pairs are in the box of the destination.
  const counts = right.map((label, index) => {
    const incoming = [...edges.values()].filter(({ to }) => to === label);
    const sum = (field: 'count' | 'bad') => incoming.reduce((total, edge) => total + edge[field], 0);
    const countLabel =
      sum('bad') > 0
        ? `${sum('count') - sum('bad')} of ${sum('count')} ready`
        : sum('count') === 1
          ? '1 pair'
          : `${sum('count')} pairs`;
    return `<text class="count" x="${end + BOX.width - 12}" y="${y(index) + BOX.height / 2 + 5}" text-anchor="end">${countLabel}</text>`;
  });
  const description = [...edges.values()]
    .map(({ from, to, count }) => `${count} from ${from} to ${to}`)
    .join('; ');
  return `<h2>Regions and accounts</h2>
<div class="map" tabindex="0" role="group" aria-label="Map">
<svg viewBox="0 0 ${SVG_WIDTH} ${height}" width="${SVG_WIDTH}" height="${height}" role="img" aria-label="${escapeHtml(`Pairs: ${description}`)}">
<defs><marker id="arrowhead" viewBox="0 0 10 10" refX="2" refY="5" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="currentColor"/></marker></defs>
${boxes(left, 4).join('\n')}
${boxes(right, end).join('\n')}
${arrows.join('\n')}
${counts.join('\n')}
</svg>
</div>`;
}

const locationLabel = ({ region, account }: { region: string; account?: string }): string =>
  account === undefined ? region : `${account}, ${region}`;
