import { compareCodeUnits } from '../../util/canonical-json.ts';
import { escapeHtml } from '../../util/escape.ts';
import { countPairStates, PAIR_STATES, type PairState, pairStateOf } from '../pair-state.ts';
import type { PairStatus } from '../status.ts';
import {
  formatCount,
  formatDuration,
  formatSize,
  pluralize,
  renderSparkline,
  STATE_DESCRIPTIONS,
  STATE_LABELS,
} from './format.ts';
import { hrefOf, type PageQuery, withoutFields } from './query.ts';

/** Renders the number of pairs in each state. Each number is a link that filters the list. */
export function renderTiles(pairs: readonly PairStatus[], query: PageQuery): string {
  const counts = countPairStates(pairs);
  const tiles = [
    ...PAIR_STATES.map((state) =>
      renderTile({
        href: hrefOf({ ...withoutFields(query, 'state'), state }),
        style: counts[state] === 0 ? 'none' : state,
        isCurrent: query.state === state,
        count: counts[state],
        label: STATE_LABELS[state].label,
        sign: STATE_LABELS[state].sign,
        title: STATE_DESCRIPTIONS[state],
      }),
    ),
    renderTile({
      href: hrefOf(withoutFields(query, 'state')),
      style: 'none',
      isCurrent: query.state === undefined,
      count: pairs.length,
      label: 'All',
      sign: '',
      title: 'pairs in every state',
    }),
  ];
  const summary = PAIR_STATES.map((state) => `${counts[state]} ${STATE_LABELS[state].label.toLowerCase()}`);
  return `<nav aria-label="Pairs by state"><ul class="tiles">${tiles.join('')}</ul></nav>
<p class="hidden" role="status" id="summary">${summary.join(', ')}</p>`;
}

function renderTile(tile: {
  href: string;
  style: PairState | 'none';
  isCurrent: boolean;
  count: number;
  label: string;
  sign: string;
  title: string;
}): string {
  const { href, style, isCurrent, count, label, sign, title } = tile;
  return `<li><a class="tile ${style}" id="tile-${label.toLowerCase()}" href="${escapeHtml(href)}"${isCurrent ? ' aria-current="true"' : ''} title="${title}"><b>${formatCount(count)}</b> <span>${sign === '' ? '' : `<span aria-hidden="true">${sign}</span> `}${label}</span></a></li>`;
}

/** Renders the replication metrics of all selected pairs together. */
export function renderTotals(pairs: readonly PairStatus[]): string {
  const metrics = pairs.flatMap(({ replication }) => (replication?.state === 'available' ? replication : []));
  const failed = metrics.reduce((sum, { failed: count = 0 }) => sum + count, 0);
  const failedPairs = metrics.filter(({ failed: count = 0 }) => count > 0).length;
  const latencies = metrics.flatMap(({ latencySeconds }) => latencySeconds ?? []);
  const pending = metrics.reduce((sum, { pendingOperations: count = 0 }) => sum + count, 0);
  const pendingBytes = metrics.reduce((sum, { pendingBytes: bytes = 0 }) => sum + bytes, 0);
  const add = (a: number, b: number) => a + b;
  const failedChart = renderSparkline(
    combineHours(
      metrics.map(({ history }) => history.failed),
      add,
    ),
    { type: 'bars', label: 'failed operations', format: formatCount, width: 96, height: 24 },
  );
  const lagChart = renderSparkline(
    combineHours(
      metrics.map(({ history }) => history.latencySeconds),
      Math.max,
    ),
    {
      type: 'line',
      label: 'lag',
      format: (seconds) => formatDuration(seconds * 1000),
      width: 96,
      height: 24,
    },
  );
  const missing = metrics.length === 0 ? `<span class="off">${commonMissingText(pairs)}</span>` : undefined;
  const noData = '<span class="off">no data</span>';
  const totals = [
    renderTotal(
      'Failed, 24 h',
      missing ?? (failed > 0 ? `<b class="failing">${formatCount(failed)}</b>` : '<b>0</b>'),
      failedPairs > 0 ? `in ${pluralize(failedPairs, 'pair')}` : '',
      failedChart,
    ),
    renderTotal(
      'Largest lag',
      missing ??
        (latencies.length === 0
          ? noData
          : `<b>${formatDuration(latencies.reduce((a, b) => Math.max(a, b), 0) * 1000)}</b>`),
      '',
      lagChart,
    ),
    renderTotal(
      'Pending',
      missing ?? `<b>${formatCount(pending)}</b>`,
      pendingBytes > 0 ? formatSize(pendingBytes) : '',
      '',
    ),
  ];
  return `<section aria-label="Replication metrics"><dl class="totals">${totals.join('')}</dl></section>`;
}

const renderTotal = (label: string, value: string, note: string, chart: string): string =>
  `<div><dt>${label}</dt><dd>${value}${note === '' ? '' : ` <small>${note}</small>`}</dd>${chart === '' ? '' : `<dd class="chart">${chart}</dd>`}</div>`;

/** Returns why no pair has metrics. */
function commonMissingText(pairs: readonly PairStatus[]): string {
  const states = new Set(pairs.map(({ replication }) => replication?.state));
  if (states.has('unreadable')) return 'not readable';
  if (states.has('noData')) return 'no data';
  return states.has('notEnabled') ? 'not enabled' : 'not read yet';
}

/** Combines the values of each hour. An hour without any data stays without data. */
function combineHours(
  histories: readonly (readonly (number | null)[])[],
  combine: (a: number, b: number) => number,
): (number | null)[] {
  const length = histories.reduce((longest, hours) => Math.max(longest, hours.length), 0);
  const totals: (number | null)[] = Array(length).fill(null);
  for (const hours of histories) {
    // All histories end with the same hour.
    for (const [index, value] of hours.entries()) {
      const position = length - hours.length + index;
      const total = totals[position] ?? null;
      if (value !== null) totals[position] = total === null ? value : combine(total, value);
    }
  }
  return totals;
}

/** Maximum number of rows and of columns of the matrix. AWS has more Regions, and few fleets use them all. */
const MAX_MATRIX_SIZE = 16;

type Counts = Record<PairState, number>;

/** Renders the number of pairs from each Region to each Region. A number is a link to these pairs. */
export function renderRegionMatrix(pairs: readonly PairStatus[], query: PageQuery): string {
  const cells = new Map<string, Map<string, Counts>>();
  const sizes = { from: new Map<string, number>(), to: new Map<string, number>() };
  for (const pair of pairs) {
    const state = pairStateOf(pair);
    for (const [from, to] of routesOf(pair)) {
      const row = cells.get(from) ?? new Map<string, Counts>();
      const counts = row.get(to) ?? { failing: 0, drifted: 0, pending: 0, ready: 0 };
      counts[state] += 1;
      cells.set(from, row.set(to, counts));
      sizes.from.set(from, (sizes.from.get(from) ?? 0) + 1);
      sizes.to.set(to, (sizes.to.get(to) ?? 0) + 1);
    }
  }
  if (cells.size === 0) return '';
  const rows = largestRegions(sizes.from);
  const columns = largestRegions(sizes.to);
  const omitted = sizes.from.size - rows.length + (sizes.to.size - columns.length);
  const body = rows.map(
    (from) =>
      `<tr><th scope="row">${escapeHtml(from)}</th>${columns
        .map((to) => renderCell(from, to, cells.get(from)?.get(to), query))
        .join('')}</tr>`,
  );
  return `<section class="regions${columns.length > 5 ? ' wide' : ''}" aria-labelledby="regions">
<h2 id="regions">Regions</h2>
<div class="scroll" tabindex="0" role="group" aria-labelledby="regions">
<table class="matrix">
<caption>Pairs from a source Region (row) to a destination Region (column)</caption>
<thead><tr><td></td>${columns.map((to) => `<th scope="col"><span>${escapeHtml(to)}</span></th>`).join('')}</tr></thead>
<tbody>${body.join('')}</tbody>
</table>
</div>
${omitted > 0 ? `<p class="dim">The matrix shows the Regions with the most pairs, and omits ${omitted}.</p>` : ''}
</section>`;
}

/** Returns the different pairs of Regions between which a pair replicates: one, or two. */
function routesOf({ sides }: PairStatus): [from: string, to: string][] {
  const routes = sides.map(({ source, destination }): [string, string] => [
    source.region,
    destination.region,
  ]);
  return routes.filter(
    ([from, to], index) =>
      routes.findIndex(([otherFrom, otherTo]) => otherFrom === from && otherTo === to) === index,
  );
}

const largestRegions = (sizes: ReadonlyMap<string, number>): string[] =>
  [...sizes]
    .sort(([a, sizeA], [b, sizeB]) => sizeB - sizeA || compareCodeUnits(a, b))
    .slice(0, MAX_MATRIX_SIZE)
    .map(([region]) => region)
    .sort(compareCodeUnits);

function renderCell(from: string, to: string, counts: Counts | undefined, query: PageQuery): string {
  if (!counts) return '<td></td>';
  const total = PAIR_STATES.reduce((sum, state) => sum + counts[state], 0);
  const worst = PAIR_STATES.find((state) => counts[state] > 0) ?? 'ready';
  const isCurrent = query.from === from && query.to === to;
  const href = hrefOf(
    isCurrent ? withoutFields(query, 'from', 'to') : { ...withoutFields(query, 'from', 'to'), from, to },
  );
  const details = PAIR_STATES.filter((state) => state !== 'ready' && counts[state] > 0).map(
    (state) => `${counts[state]} ${STATE_LABELS[state].label.toLowerCase()}`,
  );
  const name = [`${from} to ${to}: ${pluralize(total, 'pair')}`, ...details].join(', ');
  const mark =
    worst === 'ready' ? '' : `<small>${STATE_LABELS[worst].sign} ${formatCount(counts[worst])}</small>`;
  return `<td><a class="${worst}" href="${escapeHtml(href)}" aria-label="${escapeHtml(name)}" title="${escapeHtml(name)}"${isCurrent ? ' aria-current="true"' : ''}>${formatCount(total)}${mark}</a></td>`;
}
