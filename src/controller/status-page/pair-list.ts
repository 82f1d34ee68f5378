import { compareCodeUnits } from '../../util/canonical-json.ts';
import { escapeHtml } from '../../util/escape.ts';
import {
  countPairStates,
  explainPairState,
  PAIR_STATES,
  rankConditions,
  sortBySeverity,
} from '../pair-state.ts';
import type { PairStatus } from '../status.ts';
import {
  escapeShort,
  formatCount,
  formatDuration,
  pluralize,
  renderAge,
  renderBadge,
  renderSparkline,
  STATE_LABELS,
} from './format.ts';
import { AMBIENT_ACCOUNT, groupKeysOf, hasFilter, hrefOf, type PageQuery } from './query.ts';

/** Number of pairs on a page. With the tiles, they fit on one screen. */
const PAGE_SIZE = 20;

/** Numbers of groups on a page, and of pairs of each. */
const GROUPS_PER_PAGE = 8;
const PAIRS_PER_GROUP = 5;

/** Maximum length of a message in the list, in characters. The page of the pair has all of it. */
const MAX_LISTED_MESSAGE = 240;

interface ListContext {
  query: PageQuery;
  now: number;
  /** Number of all pairs, selected or not. */
  total: number;
}

/** Renders the selected pairs, the worst first, in pages; with a group, the worst pairs of each group. */
export function renderPairList(pairs: readonly PairStatus[], context: ListContext): string {
  const { query, total } = context;
  if (pairs.length === 0) {
    const clear = hasFilter(query) || query.state ? ' <a href="/">Show all pairs</a>' : '';
    return `<p class="empty">${total === 0 ? 'No pairs are declared yet.' : `No pair matches.${clear}`}</p>`;
  }
  const sorted = sortBySeverity(pairs);
  return query.group === undefined
    ? renderPages(sorted, context)
    : renderGroups(sorted, { ...context, group: query.group });
}

function renderPages(pairs: readonly PairStatus[], { query, now }: ListContext): string {
  const { start, end, navigation } = pageRange(pairs.length, PAGE_SIZE, query, 'pair');
  const rows = pairs.slice(start, end).map((pair) => renderRow(pair, now));
  return `${renderTable(`<tbody role="rowgroup">${rows.join('\n')}</tbody>`)}\n${navigation}`;
}

function renderGroups(
  pairs: readonly PairStatus[],
  { query, now, group }: ListContext & { group: string },
): string {
  const groups = new Map<string, { value?: string; query: PageQuery; pairs: PairStatus[] }>();
  // The pairs are sorted, so that the group with the worst pair is the first.
  for (const pair of pairs)
    for (const key of groupKeysOf(pair, group, query)) {
      const id = key.value === undefined ? '' : `=${key.value}`;
      const entry = groups.get(id) ?? { ...key, pairs: [] };
      entry.pairs.push(pair);
      groups.set(id, entry);
    }
  const { start, end, navigation } = pageRange(groups.size, GROUPS_PER_PAGE, query, 'group');
  const bodies = [...groups.values()].slice(start, end).map((entry) => {
    const omitted = entry.pairs.length - PAIRS_PER_GROUP;
    const href = escapeHtml(hrefOf(entry.query));
    const name = groupName(group, entry.value);
    return `<tbody role="rowgroup">
<tr role="row" class="group"><th scope="rowgroup" role="rowheader" colspan="6"><a href="${href}">${escapeHtml(name)}</a> ${renderCounts(entry.pairs)}</th></tr>
${entry.pairs
  .slice(0, PAIRS_PER_GROUP)
  .map((pair) => renderRow(pair, now))
  .join('\n')}
${omitted > 0 ? `<tr role="row" class="more"><td role="cell" colspan="6"><a href="${href}">${formatCount(omitted)} more in ${escapeHtml(name)}</a></td></tr>` : ''}
</tbody>`;
  });
  return `${renderTable(bodies.join('\n'))}\n${navigation}`;
}

function groupName(group: string, value: string | undefined): string {
  if (group === 'account' && value === AMBIENT_ACCOUNT) return 'default credentials';
  if (!group.startsWith('label:')) return value ?? '';
  const key = group.slice('label:'.length);
  return value === undefined ? `without ${key}` : `${key}=${value}`;
}

function renderCounts(pairs: readonly PairStatus[]): string {
  const counts = countPairStates(pairs);
  const failed = pairs.reduce((sum, { replication }) => sum + (replication?.failed ?? 0), 0);
  const parts = PAIR_STATES.filter((state) => counts[state] > 0).map((state) =>
    renderBadge(state, `${formatCount(counts[state])} ${STATE_LABELS[state].label.toLowerCase()}`),
  );
  return `${parts.join(' ')}${failed > 0 ? ` <span class="dim">${pluralize(failed, 'failed operation')} in 24 h</span>` : ''}`;
}

/**
 * Returns the range of a page, and links to the pages around it. A page after the last one is the last one: pairs can
 * disappear while a person reads.
 */
function pageRange(
  count: number,
  size: number,
  query: PageQuery,
  noun: string,
): { start: number; end: number; navigation: string } {
  const lastPage = Math.max(1, Math.ceil(count / size));
  const page = Math.min(query.page ?? 1, lastPage);
  const start = (page - 1) * size;
  const end = Math.min(start + size, count);
  if (lastPage === 1) return { start, end, navigation: '' };
  const link = (target: number, label: string, rel: string) =>
    target < 1 || target > lastPage
      ? `<span class="dim">${label}</span>`
      : `<a href="${escapeHtml(hrefOf({ ...query, page: target }))}" rel="${rel}">${label}</a>`;
  const navigation = `<nav class="pages" aria-label="Pages"><span>${formatCount(start + 1)}–${formatCount(end)} of ${pluralize(count, noun)}</span> ${link(page - 1, '← Previous', 'prev')} ${link(page + 1, 'Next →', 'next')}</nav>`;
  return { start, end, navigation };
}

// Browsers drop the semantics of a table that is laid out as cards on a narrow screen, so the roles are explicit.
const renderTable = (bodies: string): string => `<table class="pairs" role="table">
<caption class="hidden">Pairs, the worst first</caption>
<thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">State</th><th scope="col" role="columnheader">Pair</th><th scope="col" role="columnheader">Lag</th><th scope="col" role="columnheader">Failed, 24 h</th><th scope="col" role="columnheader">Canary</th><th scope="col" role="columnheader">Last success</th></tr></thead>
${bodies}
</table>`;

function renderRow(pair: PairStatus, now: number): string {
  const { name, sides, lastSuccess } = pair;
  const { state, condition } = explainPairState(pair);
  const [side] = sides;
  const route =
    side === undefined
      ? ''
      : `${escapeHtml(side.source.bucket)} ${sides.length > 1 ? '⇄' : '→'} ${escapeHtml(side.destination.bucket)}`;
  const regions =
    side === undefined
      ? ''
      : `${escapeHtml(side.source.region)} ${sides.length > 1 ? '⇄' : '→'} ${escapeHtml(side.destination.region)}`;
  const reason =
    condition === undefined || state === 'ready'
      ? ''
      : `<tr role="row" class="why" id="why-${escapeHtml(name)}"><td role="cell"></td><td role="cell" colspan="5"><b>${escapeShort(condition.reason, 60)}</b> ${escapeShort(condition.message, MAX_LISTED_MESSAGE)}</td></tr>`;
  return `<tr role="row" id="pair-${escapeHtml(name)}"><td role="cell" class="state">${renderBadge(state)}</td><th scope="row" role="rowheader"><a href="${escapeHtml(hrefOf({ pair: name }))}">${escapeHtml(name)}</a> <span class="route"><span>${route}</span> <span>${regions}</span></span></th><td role="cell" data-label="Lag">${renderLag(pair)}</td><td role="cell" data-label="Failed">${renderFailed(pair)}</td><td role="cell" data-label="Canary">${renderCanary(pair, now)}</td><td role="cell" data-label="Success">${renderAge(lastSuccess, now)}</td></tr>${reason}`;
}

const off = (text: string, title = ''): string =>
  `<span class="off"${title === '' ? '' : ` title="${escapeShort(title, MAX_LISTED_MESSAGE)}"`}>${text}</span>`;

/** Renders why a value is missing; undefined if the pair has metrics. */
function renderMissingMetrics({ replication }: PairStatus): string | undefined {
  if (replication === undefined) return off('–', 'not read yet');
  if (replication.state === 'notEnabled') return off('not enabled');
  if (replication.state === 'noData') return off('no data');
  return replication.state === 'unreadable' ? off('not readable', replication.reason) : undefined;
}

/** Renders the largest latency of the last minutes, and of each hour of the last day. */
function renderLag(pair: PairStatus): string {
  const missing = renderMissingMetrics(pair);
  if (missing !== undefined) return missing;
  const { latencySeconds, history } = pair.replication ?? {};
  const chart = renderSparkline(history?.latencySeconds ?? [], {
    type: 'line',
    label: 'lag',
    format: (seconds) => formatDuration(seconds * 1000),
  });
  return latencySeconds === undefined
    ? `${chart}${off('no data')}`
    : `${chart}<span class="value">${formatDuration(latencySeconds * 1000)}</span>`;
}

/** Renders the number of failed operations of the last day, and of each of its hours. */
function renderFailed(pair: PairStatus): string {
  const missing = renderMissingMetrics(pair);
  if (missing !== undefined) return missing;
  const { failed, history } = pair.replication ?? {};
  const chart = renderSparkline(history?.failed ?? [], {
    type: 'bars',
    label: 'failed operations',
    format: formatCount,
  });
  const value =
    failed === undefined
      ? off('no data')
      : `<span class="value${failed > 0 ? ' failing' : ''}">${formatCount(failed)}</span>`;
  return `${chart}${value}`;
}

/** Renders the last run of canaries. */
export function renderCanary(pair: PairStatus, now: number): string {
  const { canary } = pair;
  if (canary) {
    const { result, latencyMs, at } = canary;
    if (result === 'skipped' || result === 'refused') return off(result, pair.conditions.Verified.message);
    const state = result === 'replicated' ? 'ready' : 'failing';
    const text =
      result === 'replicated'
        ? latencyMs === undefined
          ? 'arrived'
          : formatDuration(latencyMs)
        : escapeHtml(result);
    return `<span class="value ${state}"><span aria-hidden="true">${STATE_LABELS[state].sign}</span> ${text}</span> <small>${renderAge(at, now)}</small>`;
  }
  const verified = rankConditions(pair).find(({ type }) => type === 'Verified');
  if (verified === undefined || verified.state === 'notEnabled') return off('not enabled', verified?.message);
  if (verified.state === 'noData') return off('none yet', verified.message);
  const label = verified.state === 'ready' ? 'arrived' : 'failed';
  return `<span class="value ${verified.state}"><span aria-hidden="true">${STATE_LABELS[verified.state].sign}</span> ${label}</span> <small>${renderAge(verified.since, now)}</small>`;
}

/** Maximum number of choices of a list. Search finds the others. */
const MAX_CHOICES = 60;

/** Maximum number of label keys that group pairs. */
const MAX_LABEL_KEYS = 20;

/** Renders the search form. It works without JavaScript. */
export function renderFilterForm(pairs: readonly PairStatus[], query: PageQuery): string {
  const { q = '', from, to, account, label = '', group, state } = query;
  const sides = pairs.flatMap((pair) => pair.sides);
  const accounts = sides.map(({ source }) => source.account ?? AMBIENT_ACCOUNT);
  const labelKeys = mostFrequent(pairs.flatMap(({ labels }) => Object.keys(labels))).slice(0, MAX_LABEL_KEYS);
  const hasLabels = labelKeys.length > 0 || label !== '';
  const groupChoices: Choice[] = [
    { value: 'account', text: 'source account' },
    { value: 'region', text: 'source Region' },
    ...labelKeys.map((key) => ({ value: `label:${key}`, text: `label ${key}` })),
  ];
  const clear = hasFilter(query) || group || state ? '<a href="/">Clear</a>' : '';
  return `<form class="filter" action="/" role="search" aria-label="Pairs">
${state === undefined ? '' : `<input type="hidden" name="state" value="${state}">`}
<label class="search"><span class="hidden">Search</span><input type="search" name="q" value="${escapeHtml(q)}" placeholder="Search name, bucket, account, reason" autocomplete="off"></label>
${renderSelect(
  'from',
  'From',
  choicesOf(
    sides.map(({ source }) => source.region),
    from,
  ),
  from,
)}
${renderSelect(
  'to',
  'To',
  choicesOf(
    sides.map(({ destination }) => destination.region),
    to,
  ),
  to,
)}
${new Set(accounts).size > 1 || account ? renderSelect('account', 'Account', choicesOf(accounts, account), account) : ''}
${hasLabels ? `<label><span>Label</span><input name="label" value="${escapeHtml(label)}" placeholder="team=finance" size="12" autocomplete="off"></label>` : ''}
${renderSelect('group', 'Group by', groupChoices, group, 'none')}
<button>Apply</button> ${clear}
</form>`;
}

interface Choice {
  value: string;
  text: string;
}

/** Returns the most frequent values as choices, and the selected value in any case. */
function choicesOf(values: readonly string[], selected: string | undefined): Choice[] {
  const choices = new Set([
    ...(selected === undefined ? [] : [selected]),
    ...mostFrequent(values).slice(0, MAX_CHOICES),
  ]);
  return [...choices]
    .sort(compareCodeUnits)
    .map((value) => ({ value, text: value === AMBIENT_ACCOUNT ? 'default credentials' : value }));
}

function mostFrequent(values: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts]
    .sort(([a, countA], [b, countB]) => countB - countA || compareCodeUnits(a, b))
    .map(([value]) => value);
}

function renderSelect(
  name: string,
  label: string,
  choices: readonly Choice[],
  selected: string | undefined,
  empty = 'any',
): string {
  const options = choices.map(
    ({ value, text }) =>
      `<option value="${escapeHtml(value)}"${value === selected ? ' selected' : ''}>${escapeHtml(text)}</option>`,
  );
  return `<label><span>${label}</span><select name="${name}"><option value="">${empty}</option>${options.join('')}</select></label>`;
}
