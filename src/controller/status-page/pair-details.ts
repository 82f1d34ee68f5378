import { type FieldChange, fieldChangesOf } from '../../core/diff.ts';
import { jobStatusText } from '../../core/job-status.ts';
import type { JobStatus } from '../../core/resource.ts';
import { FINDING_CODES } from '../../proof/findings.ts';
import { valueText } from '../../report/change-text.ts';
import { escapeHtml, escapeUnprintable } from '../../util/escape.ts';
import { formatPointer } from '../../util/json-pointer.ts';
import { isDeletion } from '../failure-bursts.ts';
import { explainPairState, type RankedCondition, rankConditions } from '../pair-state.ts';
import {
  type ChangeStep,
  type FailureBurst,
  formatLastChange,
  type PairChange,
  type PairStatus,
  type ProcessStatus,
  type StatusBucket,
} from '../status.ts';
import { findingHref, runbookHref } from './document.ts';
import {
  escapeShort,
  formatCount,
  formatDuration,
  formatSize,
  formatUntil,
  pluralize,
  type RenderLimits,
  renderAge,
  renderBadge,
  renderSparkline,
  renderTime,
  renderWithin,
} from './format.ts';
import { renderCanary } from './pair-list.ts';

/** Limits of the page of a pair, so that it stays below 200 KB. */
const PROOF_LIMITS: RenderLimits = { count: 50, length: 40_000 };
const BURST_LIMITS: RenderLimits = { count: 10, length: 70_000 };
/** A backfill has a job for each prefix. */
const JOB_LIMITS: RenderLimits = { count: 20, length: 20_000 };
const MAX_BURST_KEYS = 5;
const MAX_SHOWN_KEY_LENGTH = 200;
const MAX_MESSAGE_LENGTH = 1_500;
const MAX_SHOWN_COMMANDS_LENGTH = 6_000;

/** Renders everything about one pair. */
export function renderPairDetails(pair: PairStatus, { accounts }: ProcessStatus, now: number): string {
  const { name } = pair;
  const { state, condition } = explainPairState(pair);
  const reason =
    condition === undefined || state === 'ready'
      ? ''
      : `<p class="reason ${state}"><b>${escapeHtml(condition.type)}: ${renderReason(condition.reason)}</b> ${renderMessage(condition.message)} ${renderRunbookLink(condition.type)}</p>`;
  return `<p><a href="/">All pairs</a></p>
<h2 class="pair">${renderBadge(state)} ${escapeHtml(name)}</h2>
${reason}
${renderFacts(pair, accounts, now)}
${renderReplication(pair, now)}
${renderJobs(pair)}
${renderBursts(pair, now)}
${renderConditions(pair, now)}
${renderProof(pair)}
${renderChanges(pair)}`;
}

const renderMessage = (message: string): string => escapeShort(message, MAX_MESSAGE_LENGTH);

/** Renders a reason. The code of a finding is a link to its page. */
const renderReason = (reason: string): string =>
  Object.hasOwn(FINDING_CODES, reason)
    ? `<a href="${findingHref(reason)}">${reason}</a>`
    : escapeShort(reason, 100);

/** Sections of the runbook, by the condition that leads to them. */
const RUNBOOK_SECTIONS: Record<string, string> = {
  Ready: 'not-ready',
  Proven: 'not-proven',
  Verified: 'not-verified',
  Drifted: 'drift',
  Replicating: 'objects-failed',
  BackfillComplete: 'backfill-not-complete',
  Events: 'change-events-missed',
};

function renderRunbookLink(type: string): string {
  const section = RUNBOOK_SECTIONS[type];
  return section === undefined ? '' : `<a href="${runbookHref(section)}">Runbook</a>`;
}

function renderFacts(pair: PairStatus, accounts: ProcessStatus['accounts'], now: number): string {
  const { sides, labels, from, lastSuccess, nextRun, failures, retry, retained } = pair;
  const labelTexts = Object.entries(labels).map(
    ([key, value]) => `<code>${escapeHtml(`${key}=${value}`)}</code>`,
  );
  const facts: [string, string][] = [
    ...sides.map(({ source, destination }): [string, string] => [
      'Direction',
      `${renderBucket(source, accounts)} → ${renderBucket(destination, accounts)}`,
    ]),
    ...(labelTexts.length === 0 ? [] : [['Labels', labelTexts.join(' ')] as [string, string]]),
    ...(from === undefined
      ? []
      : [['Declared at', `<code>${escapeHtml(`${from.file}:${from.line}`)}</code>`] as [string, string]]),
    ['Last success', renderAge(lastSuccess, now)],
    [
      'Next check',
      `${formatUntil(nextRun, now)}${failures > 0 ? `; consecutive passes without success: ${failures} (${retry})` : ''}`,
    ],
    ...(retained === undefined
      ? []
      : [
          [
            'Retained',
            `${pluralize(retained.statements, 'replaced permission')} for objects in flight${retained.firstExpiry === undefined ? '' : `, the first until ${renderTime(retained.firstExpiry)}`}`,
          ] as [string, string],
        ]),
  ];
  return `<dl class="facts">${facts.map(([term, value]) => `<div><dt>${term}</dt><dd>${value}</dd></div>`).join('')}</dl>`;
}

function renderBucket(
  { bucket, region, account }: StatusBucket,
  accounts: ProcessStatus['accounts'],
): string {
  const name = account ?? '';
  const id = Object.hasOwn(accounts, name) ? accounts[name] : undefined;
  const location = [region, ...(account === undefined ? [] : [account]), ...(id === undefined ? [] : [id])];
  return `<b>${escapeHtml(bucket)}</b> <span class="dim">(${escapeHtml(location.join(', '))})</span>`;
}

function renderReplication(pair: PairStatus, now: number): string {
  const { replication, objects } = pair;
  const canary = `<div><dt>Last canary</dt><dd>${renderCanary(pair, now)}</dd></div>`;
  return `<section aria-labelledby="replication"><h3 id="replication">Replication</h3>
<dl class="totals">${renderMetrics(replication, now)}${canary}</dl>
${renderObjects(objects)}</section>`;
}

function renderMetrics(replication: PairStatus['replication'], now: number): string {
  if (replication?.state !== 'available')
    return `<div><dt>Metrics</dt><dd><span class="off">${renderMessage(missingMetricsText(replication))}</span></dd></div>`;
  const { failed, failedSince, latencySeconds, pendingOperations, pendingBytes, history } = replication;
  const noData = '<span class="off">no data</span>';
  const size = { width: 240, height: 48 };
  const formatSeconds = (seconds: number) => formatDuration(seconds * 1000);
  const stats: [label: string, value: string, chart: string][] = [
    [
      'Failed, 24 h',
      failed === undefined
        ? noData
        : `<b${failed > 0 ? ' class="failing"' : ''}>${formatCount(failed)}</b>${failedSince === undefined ? '' : ` <small>since ${renderTime(failedSince)}</small>`}`,
      renderSparkline(history.failed, {
        type: 'bars',
        label: 'failed operations',
        format: formatCount,
        ...size,
      }),
    ],
    [
      'Lag',
      latencySeconds === undefined ? noData : `<b>${formatSeconds(latencySeconds)}</b>`,
      renderSparkline(history.latencySeconds, { type: 'line', label: 'lag', format: formatSeconds, ...size }),
    ],
    [
      'Pending',
      pendingOperations === undefined
        ? noData
        : `<b>${formatCount(pendingOperations)}</b>${pendingBytes === undefined ? '' : ` <small>${formatSize(pendingBytes)}</small>`}`,
      '',
    ],
  ];
  return `${stats
    .map(
      ([label, value, chart]) =>
        `<div><dt>${label}</dt><dd>${value}</dd>${chart === '' ? '' : `<dd class="chart">${chart}<span class="axis"><span>24 h ago</span><span>now</span></span></dd>`}</div>`,
    )
    .join('')}<div><dt>Metrics read</dt><dd>${renderAge(replication.at, now)}</dd></div>`;
}

function missingMetricsText(replication: PairStatus['replication']): string {
  switch (replication?.state) {
    case 'notEnabled':
      return 'not enabled';
    case 'noData':
      return 'no data: nothing was replicated';
    case 'unreadable':
      return `not readable: ${replication.reason ?? 'AWS refused the read'}`;
    default:
      return 'not read yet';
  }
}

function renderObjects(objects: PairStatus['objects']): string {
  const counts = Object.entries(objects?.byStatus ?? {}).map(
    ([status, count]) => `${count} ${escapeHtml(status)}`,
  );
  if (counts.length === 0) return '';
  const since = objects?.oldestPending;
  const { listed = 0, complete = true } = objects?.coverage ?? {};
  const part = complete ? '' : `; the newest of the first ${listed} versions; the bucket has more`;
  return `<p>Newest objects: ${counts.join(', ')}${since === undefined ? '' : `; the oldest has been pending since ${renderTime(since)}`}${part}.</p>`;
}

function renderJobs({ jobs = [] }: PairStatus): string {
  if (jobs.length === 0) return '';
  const { html, omitted } = renderWithin(jobs, renderJob, JOB_LIMITS);
  return `<section aria-labelledby="backfill"><h3 id="backfill">Backfill</h3>
<ul class="jobs">${html.join('')}</ul>
${omitted > 0 ? `<p class="dim">And ${omitted} more jobs.</p>` : ''}</section>`;
}

const JOB_BADGES: Readonly<Record<JobStatus['state'], RankedCondition['state']>> = {
  notStarted: 'noData',
  preparing: 'noData',
  awaitingApproval: 'pending',
  inProgress: 'noData',
  succeeded: 'ready',
  tasksFailed: 'failing',
  failed: 'failing',
  blocked: 'failing',
};

const JOB_LABELS: Readonly<Record<JobStatus['state'], string>> = {
  notStarted: 'not started',
  preparing: 'preparing',
  awaitingApproval: 'awaiting approval',
  inProgress: 'in progress',
  succeeded: 'succeeded',
  tasksFailed: 'objects failed',
  failed: 'failed',
  blocked: 'blocked',
};

function renderJob(job: JobStatus): string {
  const { state, total, succeeded, failed, jobId } = job;
  const bar =
    state === 'inProgress' && total !== undefined
      ? ` <progress max="${total}" value="${succeeded + failed}" aria-label="${escapeHtml(`progress of the job ${jobId}`)}"></progress>`
      : '';
  return `<li>${renderBadge(JOB_BADGES[state], JOB_LABELS[state])}${bar} ${renderMessage(jobStatusText(job))}</li>`;
}

function renderBursts({ failureBursts = [] }: PairStatus, now: number): string {
  if (failureBursts.length === 0) return '';
  const { html, omitted } = renderWithin(failureBursts, (burst) => renderBurst(burst, now), BURST_LIMITS);
  return `<section aria-labelledby="failures"><h3 id="failures">Failures</h3>
${html.join('\n')}
${omitted > 0 ? `<p class="dim">And ${omitted} earlier ones.</p>` : ''}</section>`;
}

function renderBurst(burst: FailureBurst, now: number): string {
  const { id, rule, reason, operation, count, since, until, endedAt, keys } = burst;
  // A failed deletion loses no object, and an ended burst is history.
  const style = isDeletion(burst) || endedAt !== undefined ? 'off' : 'failing';
  const listed = keys
    .slice(0, MAX_BURST_KEYS)
    .map((key) => `<code>${escapeShort(key, MAX_SHOWN_KEY_LENGTH)}</code>`);
  const omitted = keys.length - listed.length;
  const end = endedAt === undefined ? `last ${renderAge(until, now)}` : `ended ${renderAge(endedAt, now)}`;
  return `<article class="burst ${style}-burst">
<h4><span class="${style}">${pluralize(count, 'failed operation')}</span> <code>${escapeHtml(reason)}</code> <span class="dim">${escapeHtml(rule)}, ${escapeHtml(operation)}, from ${renderTime(since)}, ${end}</span></h4>
<dl class="facts">${burstFacts(burst)
    .map(
      ([term, text]) =>
        `<div><dt>${term}</dt><dd>${text === undefined ? '<span class="off">not known</span>' : renderMessage(text)}</dd></div>`,
    )
    .join('')}</dl>
${renderCommands(burst)}
${listed.length === 0 ? '' : `<details id="burst-keys-${escapeHtml(id)}"><summary>Last keys</summary><p>${listed.join(' ')}${omitted > 0 ? ` and ${omitted} more` : ''}</p></details>`}
</article>`;
}

function burstFacts({ cause, lastChange, fix, reverted }: FailureBurst): [string, string | undefined][] {
  const facts: [string, string | undefined][] = [
    ['Cause', cause],
    ['Author', lastChange && formatLastChange(lastChange)],
    ['Fix', fix],
  ];
  return reverted
    ? [...facts, ['Corrected', `by replikey at ${reverted.at}: ${reverted.ids.join(', ')}`]]
    : facts;
}

function renderCommands({ id, commands = [] }: FailureBurst): string {
  if (commands.length === 0) return '';
  const text = commands.map(({ command }) => command).join('\n');
  // A shortened command would be a different command.
  if (text.length > MAX_SHOWN_COMMANDS_LENGTH) return '';
  return `<details id="burst-commands-${escapeHtml(id)}"><summary>Commands</summary><pre tabindex="0">${text.split('\n').map(escapeHtml).join('\n')}</pre></details>`;
}

function renderConditions(pair: PairStatus, now: number): string {
  const rows = rankConditions(pair).map((condition) => renderConditionRow(condition, now));
  return `<section aria-labelledby="conditions"><h3 id="conditions">Conditions</h3>
<table class="conditions" role="table">
<thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">Condition</th><th scope="col" role="columnheader">Status</th><th scope="col" role="columnheader">Reason</th><th scope="col" role="columnheader">Message</th><th scope="col" role="columnheader">Since</th></tr></thead>
<tbody role="rowgroup">${rows.join('\n')}</tbody>
</table></section>`;
}

function renderConditionRow(
  { type, status, state, reason, message, since }: RankedCondition,
  now: number,
): string {
  const isGood = state === 'ready' || state === 'notEnabled' || state === 'noData';
  return `<tr role="row"><th scope="row" role="rowheader">${escapeHtml(type)}</th><td role="cell">${renderBadge(state, status)}</td><td role="cell">${renderReason(reason)}</td><td role="cell" class="message">${renderMessage(message)}${isGood ? '' : ` ${renderRunbookLink(type)}`}</td><td role="cell">${renderAge(since, now)}</td></tr>`;
}

function renderProof({ proof }: PairStatus): string {
  if (proof.length === 0) return '';
  const { html, omitted } = renderWithin(proof, renderVerdict, PROOF_LIMITS);
  return `<section aria-labelledby="proof"><h3 id="proof">Proof</h3>
<ul class="proof">${html.join('')}</ul>
${omitted > 0 ? `<p class="dim">And ${omitted} more rules: run <code>reconcile doctor</code>.</p>` : ''}</section>`;
}

function renderVerdict({ rule, destination, verdict, findings }: PairStatus['proof'][number]): string {
  const state = verdict === 'proven' ? 'ready' : verdict === 'broken' ? 'failing' : 'pending';
  const relevant = findings
    .filter(({ severity }) => severity !== 'info')
    .slice(0, 3)
    .map(({ code, message }) => `<br>${renderReason(code)} ${renderMessage(message)}`);
  return `<li>${renderBadge(state, verdict)} <code>${escapeHtml(rule)}</code> → ${escapeHtml(destination)}${relevant.join('')}</li>`;
}

const renderChanges = ({ changes }: PairStatus): string =>
  changes.length === 0
    ? ''
    : `<section aria-labelledby="changes"><h3 id="changes">Last changes</h3>\n${changes.map(renderPairChange).join('\n')}</section>`;

const CAUSE_LABELS: Record<PairChange['cause'], string> = {
  spec: 'the spec changed',
  drift: 'changed outside replikey',
  unknown: 'differed at the first check',
};

function renderPairChange({ at, cause, steps, omittedSteps = 0, result }: PairChange): string {
  const count = steps.length + omittedSteps;
  const lines = [...steps.map(renderChangeStep), ...(omittedSteps > 0 ? [`… and ${omittedSteps} more`] : [])];
  return `<details class="change" id="change-${escapeHtml(at)}"><summary>${renderTime(at)} ${pluralize(count, 'change')} ${result}: ${CAUSE_LABELS[cause]}</summary>
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
