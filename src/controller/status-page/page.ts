import { createHash } from 'node:crypto';
import { type FieldChange, fieldChangesOf } from '../../core/diff.ts';
import { valueText } from '../../report/change-text.ts';
import { escapeHtml, escapeUnprintable } from '../../util/escape.ts';
import { formatPointer } from '../../util/json-pointer.ts';
import { CONDITION_TYPES, type Condition, type ConditionType } from '../conditions.ts';
import {
  type ChangeStep,
  type ControllerStatus,
  formatLastChange,
  type PairChange,
  type PairStatus,
} from '../status.ts';
import { renderTopology } from './topology.ts';

export interface StatusPageOptions {
  version: string;
  now: number;
  /** Number of pairs to skip, of those that need attention first; default: 0. */
  offset?: number;
  /** Name of the only pair to show. */
  name?: string;
}

/**
 * Renders the status page: one document without scripts or external resources, usable by keyboard and mouse. It links to
 * the pairs that do not fit.
 */
export function renderStatusPage(
  status: ControllerStatus,
  { version, now, offset = 0, name }: StatusPageOptions,
): string {
  const { pairs, problems, queue, calls } = status;
  const counts = {
    ready: pairs.filter(({ conditions }) => conditions.Ready.status === 'True').length,
    drifted: pairs.filter(({ conditions }) => conditions.Drifted.status === 'True').length,
    broken: pairs.filter(({ conditions }) => conditions.Proven.status === 'False').length,
  };
  const worstFirst = [...pairs].sort((a, b) => severityOf(b) - severityOf(a) || (a.name < b.name ? -1 : 1));
  const body =
    name === undefined
      ? `${renderTopology(pairs)}\n<h2>Pairs</h2>\n${renderPairs(worstFirst, offset, now)}`
      : `${pairs
          .filter((pair) => pair.name === name)
          .map((pair) => renderPair(pair, now, true))
          .join('')}\n<p><a href="/">All pairs</a></p>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>replikey: ${counts.ready} of ${pairs.length} pairs are ready</title>
<style>${PAGE_CSS}</style>
</head>
<body>
<header>
<h1>replikey</h1>
<p>${counts.ready} of ${pairs.length} pairs are ready${counts.drifted > 0 ? `, <strong>${counts.drifted} drifted</strong>` : ''}${counts.broken > 0 ? `, <strong>${counts.broken} would not replicate</strong>` : ''}.
${queue.active} in progress, ${queue.depth} queued; ${calls.reads} reads and ${calls.writes} writes since startup. As of <time>${formatTime(now)}</time>, version ${escapeHtml(version)}.</p>
</header>
<main>
${problems.length === 0 ? '' : renderProblems(status)}
${pairs.length === 0 ? '<p>No pairs are declared yet.</p>' : body}
</main>
</body>
</html>
`;
}

/** Maximum number of pairs on a page, and the length in characters at which a page ends earlier. */
const MAX_PAGE_PAIRS = 50;
const MAX_HTML_LENGTH = 128 * 1024;

/** Maximum number of problems on a page. Later problems often follow from the first ones. */
const MAX_PAGE_PROBLEMS = 100;

/** Renders the pairs from an offset up to a number and a length, and at least one. */
function renderPairs(pairs: readonly PairStatus[], offset: number, now: number): string {
  const rendered: string[] = [];
  let length = 0;
  for (const pair of pairs.slice(offset, offset + MAX_PAGE_PAIRS)) {
    const text = renderPair(pair, now);
    length += text.length;
    if (rendered.length > 0 && length > MAX_HTML_LENGTH) break;
    rendered.push(text);
  }
  const end = offset + rendered.length;
  if (rendered.length === pairs.length) return rendered.join('\n');
  const links = [
    ...(offset > 0 ? ['<a href="/">First pairs</a>'] : []),
    ...(end < pairs.length ? [`<a href="/?offset=${end}" rel="next">Next pairs</a>`] : []),
  ];
  const range = rendered.length === 0 ? 'None' : `${offset + 1} to ${end}`;
  return `${rendered.join('\n')}\n<nav aria-label="Pages"><p>${range} of ${pairs.length} pairs. ${links.join(' ')}</p></nav>`;
}

/** Ranks a pair: a pair that needs attention comes first. */
const severityOf = ({ conditions: { Ready, Proven, Replicating, Drifted } }: PairStatus): number =>
  (Ready.status === 'False' ? 4 : Ready.status === 'Unknown' ? 1 : 0) +
  (Proven.status === 'False' ? 2 : 0) +
  (Replicating.status === 'False' ? 2 : 0) +
  (Drifted.status === 'True' ? 2 : 0);

const renderProblems = ({ problems }: ControllerStatus): string =>
  `<section class="problems" aria-labelledby="problems">
<h2 id="problems">Invalid specs</h2>
<p>The last valid version stays in effect.</p>
<ul>${problems
    .slice(0, MAX_PAGE_PROBLEMS)
    .map(({ position, path = '', message, hint }) => {
      const location = `${position.file}:${position.line}:${position.column}`;
      return `<li><code>${escapeHtml(location)}</code> ${escapeHtml(path && `${path}: `)}${escapeHtml(message)}${hint === undefined ? '' : ` → ${escapeHtml(hint)}`}</li>`;
    })
    .join('')}</ul>
${problems.length > MAX_PAGE_PROBLEMS ? `<p>And ${problems.length - MAX_PAGE_PROBLEMS} more: run <code>reconcile validate</code>.</p>` : ''}
</section>`;

function renderPair(
  pair: PairStatus,
  now: number,
  isOpen = pair.conditions.Ready.status === 'False',
): string {
  const { name, conditions, from, sides } = pair;
  const badges = CONDITION_TYPES.map((type) => renderBadge(type, conditions[type])).join(' ');
  return `<details${isOpen ? ' open' : ''} id="pair-${escapeHtml(name)}">
<summary><b>${escapeHtml(name)}</b> <span class="sides">${sides.map(({ source, destination }) => `${escapeHtml(source.bucket)} → ${escapeHtml(destination.bucket)}`).join(', ')}</span> ${badges}</summary>
<table>
<caption class="hidden">Conditions of ${escapeHtml(name)}</caption>
<thead><tr><th scope="col">condition</th><th scope="col">status</th><th scope="col">reason</th><th scope="col">message</th><th scope="col">for</th></tr></thead>
<tbody>${CONDITION_TYPES.map((type) => renderConditionRow(type, conditions[type], now)).join('')}</tbody>
</table>
<p>Last success ${formatAgo(pair.lastSuccess, now)}; next check ${formatUntil(pair.nextRun, now)}${pair.failures > 0 ? `; ${pair.failures} consecutive passes without success (${pair.retry})` : ''}${from === undefined ? '' : `; declared at <code>${escapeHtml(`${from.file}:${from.line}`)}</code>`}.</p>
${renderObjects(pair)}
${renderProof(pair)}
${pair.changes.length === 0 ? '' : `<h3>Last changes</h3>\n${pair.changes.map(renderPairChange).join('\n')}`}
</details>`;
}

function renderObjects({ objects }: PairStatus): string {
  const counts = Object.entries(objects?.byStatus ?? {}).map(
    ([status, count]) => `${count} ${escapeHtml(status)}`,
  );
  if (counts.length === 0) return '';
  const since = objects?.oldestPending;
  const { listed = 0, complete = true } = objects?.coverage ?? {};
  const part = complete ? '' : `; the newest of the first ${listed} versions; the bucket has more`;
  return `<p>Newest objects: ${counts.join(', ')}${since === undefined ? '' : `; the oldest has been pending since <time>${escapeHtml(since)}</time>`}${part}.</p>`;
}

/** Renders a condition as a word and a sign, so that no information depends on colour alone. */
const renderBadge = (type: ConditionType, { status }: Condition): string => {
  const isGood = type === 'Drifted' ? status === 'False' : status === 'True';
  const style = status === 'Unknown' ? 'unknown' : isGood ? 'good' : 'bad';
  const sign = { good: '✓', bad: '✗', unknown: '?' }[style];
  const word = type === 'Drifted' && status === 'False' ? 'Not drifted' : type;
  return `<span class="badge ${style}">${sign} ${word}</span>`;
};

const renderConditionRow = (
  type: ConditionType,
  { status, reason, message, since }: Condition,
  now: number,
): string =>
  `<tr><th scope="row">${type}</th><td>${status}</td><td>${escapeHtml(reason)}</td><td>${escapeHtml(message)}</td><td>${formatDuration(now - Date.parse(since))}</td></tr>`;

function renderProof({ proof }: PairStatus): string {
  if (proof.length === 0) return '';
  const rows = proof.map(({ rule, destination, verdict, findings }) => {
    const [first] = findings.filter(({ severity }) => severity === 'error' || severity === 'unknown');
    return `<li><code>${escapeHtml(rule)}</code> → ${escapeHtml(destination)}: ${verdict}${first ? ` (${escapeHtml(first.code)} ${escapeHtml(first.message)})` : ''}</li>`;
  });
  return `<h3>Proof</h3>\n<ul>${rows.join('')}</ul>`;
}

const CAUSE_LABELS: Record<PairChange['cause'], string> = {
  spec: 'the spec changed',
  drift: 'changed outside replikey',
  unknown: 'differed at the first check',
};

function renderPairChange({ at, cause, steps, omittedSteps = 0, result }: PairChange): string {
  const count = steps.length + omittedSteps;
  const lines = [...steps.map(renderChangeStep), ...(omittedSteps > 0 ? [`… and ${omittedSteps} more`] : [])];
  return `<details class="change"><summary><time>${escapeHtml(at)}</time> ${count} ${count === 1 ? 'change' : 'changes'} ${result}: ${CAUSE_LABELS[cause]}</summary>
<pre tabindex="0">${lines.join('\n')}</pre></details>`;
}

const ACTION_MARKS = { create: '+', update: '~', delete: '-' } as const;

function renderChangeStep({ id, action, patch, before, why, lastChange, isShortened }: ChangeStep): string {
  const fields = fieldChangesOf({ patch, before }).map(
    (change) => `    ${escapeUnprintable(formatPointer(change.path))}: ${formatFieldChange(change)}`,
  );
  const attribution = lastChange ? [`    # ${formatLastChange(lastChange)}`] : [];
  return [
    `${ACTION_MARKS[action]} ${id}  # ${why.map(escapeUnprintable).join('; ')}`,
    ...fields,
    ...(isShortened ? ['    # fields omitted'] : []),
    ...attribution,
  ]
    .map(escapeHtml)
    .join('\n');
}

/**
 * Formats a change as `old → new`. For a set, lists removed and added elements: `- s3:GetObject, +
 * s3:GetObjectVersion`.
 */
function formatFieldChange(change: FieldChange): string {
  if (change.type !== 'elements')
    return `${change.before === undefined ? '' : `${valueText(change.before)} → `}${valueText(change.after)}`;
  return [
    ...change.removed.map((element) => `- ${valueText(element)}`),
    ...change.added.map((element) => `+ ${valueText(element)}`),
  ].join(', ');
}

const formatTime = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

const formatAgo = (at: string | undefined, now: number): string =>
  at === undefined ? 'never' : `${formatDuration(now - Date.parse(at))} ago`;

const formatUntil = (at: string | undefined, now: number): string =>
  at === undefined ? 'soon' : Date.parse(at) <= now ? 'now' : `in ${formatDuration(Date.parse(at) - now)}`;

/** Formats a duration roughly: `3 h 20 min`. */
function formatDuration(ms: number): string {
  const minutes = Math.floor(Math.max(ms, 0) / 60_000);
  if (minutes < 1) return `${Math.floor(Math.max(ms, 0) / 1000)} s`;
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days`;
}

const PAGE_CSS = `
:root { color-scheme: light dark; --ink: #1f2328; --paper: #fff; --line: #d0d7de; --soft: #f6f8fa; --good: #116329; --bad: #a40e26; --unknown: #6b5900; --dim: #57606a }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d; --soft: #161b22; --good: #56d364; --bad: #ff938a; --unknown: #e3b341; --dim: #9da7b3 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.5rem } h2 { font-size: 1.2rem } h3 { margin: .8rem 0 .2rem; font-size: 1rem }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; padding: .5rem .8rem }
details.change { background: var(--soft) }
a { color: inherit } summary { cursor: pointer; overflow-wrap: anywhere } summary:focus-visible, pre:focus-visible, .map:focus-visible { outline: 3px solid var(--good); outline-offset: 2px }
.sides { color: var(--dim) }
.badge { border: 1px solid currentcolor; border-radius: 1rem; padding: 0 .5rem; font-size: .85rem; white-space: nowrap }
.good { color: var(--good) } .bad { color: var(--bad) } .unknown { color: var(--unknown) }
.problems { border-left: .3rem solid var(--bad); padding-left: .8rem }
.hidden { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden }
table { border-collapse: collapse; margin: .5rem 0; width: 100% } th, td { border-bottom: 1px solid var(--line); padding: .2rem .6rem .2rem 0; text-align: left; vertical-align: top; white-space: nowrap }
td:nth-child(4) { white-space: normal; overflow-wrap: anywhere; width: 100% }
@media (max-width: 45rem) { thead { display: none } tr { display: block; border-bottom: 1px solid var(--line); padding: .2rem 0 } th, td { border: 0; display: inline-block } tbody td:nth-child(4) { display: block; padding: 0 } }
pre { overflow-x: auto; margin: .5rem 0 } code, pre { font: .85rem/1.45 ui-monospace, monospace }
@media (min-width: 45rem) { svg { max-width: 100%; height: auto } } .map { overflow-x: auto } svg text { fill: var(--ink); font: 13px system-ui, sans-serif } svg .location { fill: var(--soft); stroke: var(--line) } svg .edge { fill: none; stroke: var(--dim); stroke-width: 2 } svg .edge.bad { stroke: var(--bad); stroke-dasharray: 6 4 } svg .count { font-size: 12px }
`;

/** Allows a browser to show the page with its own style, and to fetch nothing. */
export const PAGE_CSP = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(PAGE_CSS).digest('base64')}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`;
