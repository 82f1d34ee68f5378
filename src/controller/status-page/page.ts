import { escapeHtml } from '../../util/escape.ts';
import { countPairStates } from '../pair-state.ts';
import type { ControllerStatus, PairStatus, ProcessStatus } from '../status.ts';
import { renderHtmlDocument, runbookHref } from './document.ts';
import { escapeShort, formatDuration, pluralize } from './format.ts';
import { renderRegionMatrix, renderTiles, renderTotals } from './overview.ts';
import { renderPairDetails } from './pair-details.ts';
import { renderFilterForm, renderPairList } from './pair-list.ts';
import { createPairFilter, type PageQuery } from './query.ts';

export interface StatusPageOptions {
  version: string;
  now: number;
  query?: PageQuery;
}

/**
 * Renders the status page: all pairs with the worst first, a part of them, or one pair. The document is complete without
 * its script, loads no other resource, and stays below 200 KB for any number of pairs.
 */
export function renderStatusPage(
  status: ControllerStatus,
  { version, now, query = {} }: StatusPageOptions,
): string {
  const { pairs, problems } = status;
  const pair = query.pair === undefined ? undefined : pairs.find(({ name }) => name === query.pair);
  return renderHtmlDocument({
    title: pair ? `${pair.name}: replikey` : documentTitle(pairs),
    header: renderProcessFacts(status, version, now),
    main: `${problems.length === 0 ? '' : renderProblems(status)}
${pair ? renderPairDetails(pair, status.process, now) : renderFleet(status, query, now)}`,
    isLive: true,
  });
}

function documentTitle(pairs: readonly PairStatus[]): string {
  const { failing, drifted, ready } = countPairStates(pairs);
  if (failing > 0) return `${failing} failing: replikey`;
  return drifted > 0 ? `${drifted} drifted: replikey` : `${ready} of ${pairs.length} ready: replikey`;
}

function renderFleet({ pairs }: ControllerStatus, query: PageQuery, now: number): string {
  const filter = createPairFilter(query);
  const matching = pairs.filter(filter.matchesRest);
  const onRoute = matching.filter(filter.matchesRoute);
  const selected = onRoute.filter(filter.matchesState);
  const problem =
    filter.problem === undefined
      ? ''
      : `<p class="reason failing" role="alert">${escapeShort(filter.problem, 300)}</p>`;
  return `<div class="overview">
${renderTiles(onRoute, query)}
${renderTotals(onRoute)}
</div>
${renderFilterForm(pairs, query)}
${problem}
<div class="columns">
<section aria-label="Pairs" id="pairs">
${renderPairList(selected, { query, now, total: pairs.length })}
</section>
${renderRegionMatrix(matching.filter(filter.matchesState), query)}
</div>`;
}

const ROLE_TEXTS: Record<ProcessStatus['role'], [text: string, description: string]> = {
  leader: ['leader', 'this process applies changes'],
  standby: ['standby', 'this process only reads, until it becomes the leader'],
  planOnly: ['plan only', 'this process changes nothing'],
  single: ['single process', 'this process applies changes, without leader election'],
};

/** Maximum number of accounts in the header. */
const MAX_LISTED_ACCOUNTS = 3;

function renderProcessFacts(
  { process, lastMove, queue }: ControllerStatus,
  version: string,
  now: number,
): string {
  const { endpoint, accounts, startedAt } = process;
  const entries = Object.entries(accounts).map(([name, id]) => (name === '' ? id : `${name} ${id}`));
  const omitted = entries.length - MAX_LISTED_ACCOUNTS;
  const accountText = [
    ...entries.slice(0, MAX_LISTED_ACCOUNTS),
    ...(omitted > 0 ? [`and ${omitted} more`] : []),
  ].join(', ');
  const facts = [
    `<b>${escapeShort(endpointText(endpoint), 200)}</b>`,
    ...(accountText === ''
      ? []
      : [`${entries.length === 1 ? 'account' : 'accounts'} ${escapeShort(accountText, 300)}`]),
    renderRole(process),
    `version ${escapeHtml(version)}`,
    `up ${formatUptime(now - Date.parse(startedAt))}`,
    `last check ${now - lastMove < 60_000 ? 'now' : `${formatDuration(now - lastMove)} ago`}`,
    ...(queue.depth > 0 ? [`${pluralize(queue.depth, 'pair')} queued`] : []),
  ];
  return `<div id="facts">${facts.map((fact) => `<span>${fact}</span>`).join(' ')}</div>
<span id="live">as of ${formatMinute(now)}: reload to update</span>`;
}

/** Formats a time to the minute: `2026-11-26 20:02 UTC`. A page without changes stays the same for a minute. */
const formatMinute = (ms: number): string =>
  `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** Returns what AWS calls go to: AWS, or an emulator. */
const endpointText = (endpoint: string | undefined): string =>
  endpoint === undefined ? 'not connected yet' : endpoint === 'aws' ? 'AWS' : endpoint;

function renderRole({ role, leases }: ProcessStatus): string {
  const held = Object.values(leases);
  const [text, description] = ROLE_TEXTS[role];
  const shards =
    held.length > 1 && role === 'leader' ? ` of ${held.filter(Boolean).length} of ${held.length} shards` : '';
  return `<span title="${description}">${text}${shards}</span>`;
}

/** Formats the uptime in minutes, so that a page without changes stays the same for a minute. */
const formatUptime = (ms: number): string => (ms < 60_000 ? 'less than a minute' : formatDuration(ms));

/** Maximum number of problems on a page. Later problems often follow from the first ones. */
const MAX_PAGE_PROBLEMS = 20;
const MAX_PROBLEM_LENGTH = 400;

const renderProblems = ({ problems }: ControllerStatus): string =>
  `<section class="problems" aria-labelledby="problems">
<h2 id="problems">Invalid specs</h2>
<p>The last valid version stays in effect. <a href="${runbookHref('specs-invalid')}">Runbook</a></p>
<ul>${problems
    .slice(0, MAX_PAGE_PROBLEMS)
    .map(({ position, path = '', message, hint }) => {
      const location = `${position.file}:${position.line}:${position.column}`;
      const text = `${path && `${path}: `}${message}${hint === undefined ? '' : ` → ${hint}`}`;
      return `<li><code>${escapeShort(location, 200)}</code> ${escapeShort(text, MAX_PROBLEM_LENGTH)}</li>`;
    })
    .join('')}</ul>
${problems.length > MAX_PAGE_PROBLEMS ? `<p>And ${problems.length - MAX_PAGE_PROBLEMS} more: run <code>reconcile validate</code>.</p>` : ''}
</section>`;
