import { createHash } from 'node:crypto';
import {
  FLEET_CATEGORIES,
  type FleetAccount,
  type FleetBucket,
  type FleetCategory,
  type FleetDiff,
  type FleetFinding,
  type FleetReport,
  type FleetTotals,
  type LocatedFinding,
} from '../fleet/types.ts';
import { escapeHtml } from '../util/escape.ts';
import { FLEET_CSS, FLEET_SCRIPT } from './fleet-html-assets.ts';

/** Findings of each list of changes that are shown. The table has the others. */
const MAX_LISTED_CHANGES = 200;

/**
 * Renders a fleet report as one HTML document that loads nothing: a person can send it, and open it from a disk. Its
 * policy allows its own style and script alone, so that no name of a bucket or tag can add one.
 */
export function fleetHtml(report: FleetReport): string {
  const { accounts, buckets, totals, diff } = report;
  const withFindings = buckets.filter(({ findings }) => findings.length > 0);
  const healthy = buckets.filter(({ findings }) => findings.length === 0);
  const namesById = new Map(accounts.map(({ id, name }) => [id, name]));
  const body = [
    unreadableAccountsHtml(accounts),
    tilesHtml(totals),
    diff ? changesHtml(diff) : '',
    findingsHtml(withFindings, { namesById, startedAt: report.startedAt, hasDiff: diff !== undefined }),
    accountsHtml(accounts),
    healthyHtml(healthy, namesById),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${DOCUMENT_CSP}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>S3 replication of ${count(totals.accounts, 'account')} - replikey</title>
<style>${FLEET_CSS}</style>
</head>
<body>
<header>
<h1>S3 replication</h1>
${factsHtml(report)}
</header>
<main>
${body.filter(Boolean).join('\n')}
</main>
<footer>
<p>Report of replikey. <code>reconcile doctor --bucket NAME</code> prints the fixes of the findings of a bucket.</p>
</footer>
<script>${FLEET_SCRIPT}</script>
</body>
</html>
`;
}

const hashSource = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

const DOCUMENT_CSP = [
  "default-src 'none'",
  `style-src ${hashSource(FLEET_CSS)}`,
  `script-src ${hashSource(FLEET_SCRIPT)}`,
  "form-action 'none'",
  "base-uri 'none'",
].join('; ');

const figure = (value: number): string => value.toLocaleString('en');
const count = (value: number, noun: string): string => `${figure(value)} ${noun}${value === 1 ? '' : 's'}`;

/** Renders a time to the minute: `2026-11-26 20:02 UTC`. */
const time = (iso: string): string =>
  `<time datetime="${escapeHtml(iso)}">${escapeHtml(iso.replace(/^(.{10})T(.{5}).*$/, '$1 $2 UTC'))}</time>`;
const day = (iso: string): string =>
  `<time datetime="${escapeHtml(iso)}" title="${escapeHtml(iso)}">${escapeHtml(iso.slice(0, 10))}</time>`;

/** Signs, so that no information depends on colour alone. */
const SEVERITY_SIGNS = { error: '✕', unknown: '?', warning: '!', info: 'i' } as const;

/** The usual severity of the findings of a category. */
const CATEGORY_SEVERITIES: Record<FleetCategory, keyof typeof SEVERITY_SIGNS> = {
  failing: 'error',
  'not-proven': 'error',
  'dangling-destination': 'error',
  'destination-taken-over': 'error',
  'foreign-destination': 'warning',
  unknown: 'unknown',
  unmanaged: 'info',
  'v1-rules': 'warning',
  'metrics-disabled': 'warning',
  'no-alarm': 'warning',
  warning: 'warning',
};

const badge = (severity: keyof typeof SEVERITY_SIGNS, label: string): string =>
  `<span class="badge ${severity}"><span aria-hidden="true">${SEVERITY_SIGNS[severity]}</span> ${escapeHtml(label)}</span>`;

const categories = Object.entries(FLEET_CATEGORIES) as [FleetCategory, string][];

function factsHtml({ startedAt, endedAt, regions, totals }: FleetReport): string {
  const seconds = Math.max(1, Math.round((Date.parse(endedAt) - Date.parse(startedAt)) / 1000));
  const duration = seconds < 120 ? count(seconds, 'second') : count(Math.round(seconds / 60), 'minute');
  const where = regions ? regions.map(escapeHtml).join(', ') : 'all';
  return `<div id="facts"><span><b>${figure(totals.accounts)}</b> accounts</span> <span>Regions: <b>${where}</b></span> <span>${time(startedAt)}, ${duration}</span></div>`;
}

function unreadableAccountsHtml(accounts: readonly FleetAccount[]): string {
  const unreadable = accounts.filter(({ error }) => error !== undefined);
  if (unreadable.length === 0) return '';
  const items = unreadable.map(
    (account) =>
      `<li><b>${escapeHtml(accountLabel(account))}</b> (${escapeHtml(account.access)}): ${escapeHtml(account.error ?? '')}</li>`,
  );
  return `<section class="problems">
<h2>${count(unreadable.length, 'account')} could not be read completely</h2>
<p>The numbers do not include all buckets of these accounts.</p>
<ul>
${items.join('\n')}
</ul>
</section>`;
}

const accountLabel = ({ id, name }: Pick<FleetAccount, 'id' | 'name'>): string =>
  name === undefined ? id : id === '' ? name : `${name} (${id})`;

function tilesHtml({ byCategory, byVerdict, controlPolicies, ...totals }: FleetTotals): string {
  const tiles = categories.map(([category, label]) => {
    const severity = byCategory[category] === 0 ? 'none' : CATEGORY_SEVERITIES[category];
    return `<a class="tile ${severity}" href="#category=${category}"><b>${figure(byCategory[category])}</b> <span>${escapeHtml(label)}</span></a>`;
  });
  const figures = [
    ['buckets', totals.total],
    ['with replication', totals.replicating],
    ['without replication', totals.withoutReplication],
    ['not readable', totals.unknown],
    ['rules', totals.rules],
    ['proven', byVerdict.proven],
    ['broken', byVerdict.broken],
    ['undecided', byVerdict.unknown],
    ['disabled', byVerdict.off],
  ] as const;
  const reasons = Object.entries(totals.unknownReasons).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  const undecided =
    controlPolicies && controlPolicies.dependent > 0
      ? `<p class="dim">${figure(controlPolicies.dependent)} of ${figure(controlPolicies.requests)} requests of S3 depend on control policies that were not read.</p>`
      : '';
  return `<section>
<h2>Buckets by finding</h2>
<nav class="tiles" aria-label="Filter by finding">
${tiles.join('\n')}
</nav>
<dl class="totals">
${figures.map(([label, value]) => `<div><dt>${label}</dt><dd>${figure(value)}</dd></div>`).join('\n')}
</dl>
${reasons.length === 0 ? '' : `<p class="dim">Not readable: ${reasons.map(([reason, value]) => `${escapeHtml(reason)} ${figure(value)}`).join(', ')}</p>`}
${undecided}
</section>`;
}

function changesHtml({ since, added, resolved, changed }: FleetDiff): string {
  const lists = [
    ['new', added],
    ['resolved', resolved],
    ['changed', changed.map(({ after }) => after)],
  ] as const;
  const list = ([title, findings]: (typeof lists)[number]): string => {
    if (findings.length === 0) return '';
    const items = findings.slice(0, MAX_LISTED_CHANGES).map((finding) => `<li>${changeHtml(finding)}</li>`);
    const omitted = findings.length - items.length;
    return `<details${findings.length <= 20 ? ' open' : ''}><summary>${figure(findings.length)} ${title}</summary>
<ul>
${items.join('\n')}
${omitted > 0 ? `<li class="dim">and ${figure(omitted)} more</li>` : ''}
</ul></details>`;
  };
  const summary = lists.map(([title, { length }]) => `${figure(length)} ${title}`).join(', ');
  return `<section class="changes">
<h2>Changes since ${time(since)}: ${summary}</h2>
${lists.map(list).filter(Boolean).join('\n')}
</section>`;
}

const changeHtml = ({ severity, category, account, bucket, code, message }: LocatedFinding): string =>
  `${badge(severity, FLEET_CATEGORIES[category])} <b>${escapeHtml(bucket)}</b> <span class="dim">${escapeHtml(account)}</span> ${escapeHtml(code)}: ${escapeHtml(message)}`;

interface FindingContext {
  namesById: ReadonlyMap<string, string | undefined>;
  startedAt: string;
  hasDiff: boolean;
}

function findingsHtml(buckets: readonly FleetBucket[], context: FindingContext): string {
  const rows = buckets.flatMap((bucket) =>
    bucket.findings.map((finding) => findingRow(bucket, finding, context)),
  );
  if (rows.length === 0) return '<section><h2>Findings</h2><p>No findings.</p></section>';
  const option = (value: string, label: string) =>
    `<option value="${escapeHtml(value)}">${escapeHtml(label)}</option>`;
  const select = (name: string, label: string, options: string[]) =>
    `<label>${label} <select name="${name}"><option value="">all</option>${options.join('')}</select></label>`;
  const used = new Set(buckets.flatMap(({ findings }) => findings.map(({ category }) => category)));
  const accountIds = [...new Set(buckets.map(({ account }) => account))].sort();
  return `<section>
<h2>Findings</h2>
<form class="filter" role="search">
<label class="search">Filter <input type="search" name="q" placeholder="bucket, rule, code, message"></label>
${select(
  'category',
  'Finding',
  categories.filter(([category]) => used.has(category)).map(([category, label]) => option(category, label)),
)}
${select(
  'severity',
  'Severity',
  Object.keys(SEVERITY_SIGNS).map((severity) => option(severity, severity)),
)}
${select(
  'account',
  'Account',
  accountIds.map((id) => option(id, accountLabel({ id, ...optionalName(id, context.namesById) }))),
)}
<output id="count" aria-live="polite">${count(rows.length, 'finding')}</output>
</form>
<table class="findings">
<thead><tr><th scope="col" class="category">Finding</th><th scope="col" class="account">Account</th><th scope="col" class="region">Region</th><th scope="col" class="bucket">Bucket</th><th scope="col">Cause</th><th scope="col" class="since">Since</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>
<p class="more"><button type="button">Show more</button></p>
</section>`;
}

const optionalName = (id: string, namesById: FindingContext['namesById']): { name?: string } => {
  const name = namesById.get(id);
  return name === undefined ? {} : { name };
};

function findingRow(
  { account, region = '', name }: FleetBucket,
  { category, severity, code, title, message, rule, destination, since }: FleetFinding,
  { namesById, startedAt, hasDiff }: FindingContext,
): string {
  const accountName = namesById.get(account);
  const isNew = hasDiff && since === startedAt;
  const route = [
    destination === undefined ? '' : `→ ${escapeHtml(destination)}`,
    rule === undefined || rule === '' ? '' : `rule ${escapeHtml(rule)}`,
  ].filter(Boolean);
  return `<tr data-category="${category}" data-severity="${severity}" data-account="${escapeHtml(account)}"><td class="category">${badge(severity, CATEGORY_LABELS[category])}${isNew ? ' <span class="badge new">new</span>' : ''}</td><td data-label="Account">${accountName === undefined ? escapeHtml(account) : `${escapeHtml(accountName)}<small>${escapeHtml(account)}</small>`}</td><td data-label="Region">${escapeHtml(region)}</td><th scope="row">${escapeHtml(name)}${route.map((part) => `<small>${part}</small>`).join('')}</th><td class="message"><b>${escapeHtml(code)}</b> ${escapeHtml(title)}<br>${escapeHtml(message)}</td><td data-label="Since">${day(since)}</td></tr>`;
}

/** Short names of the categories, for a column of a table. */
const CATEGORY_LABELS = Object.fromEntries(
  categories.map(([category]) => [category, category.replaceAll('-', ' ')]),
) as Record<FleetCategory, string>;

function accountsHtml(accounts: readonly FleetAccount[]): string {
  const columns = [
    ['Buckets', 'total'],
    ['Replicating', 'replicating'],
    ['Without replication', 'withoutReplication'],
    ['Not readable', 'unknown'],
  ] as const;
  const rows = accounts.map((account) => {
    const cells = columns.map(
      ([label, field]) =>
        `<td class="number" data-label="${label}">${account.error === undefined || account.totals.total > 0 ? figure(account.totals[field]) : '?'}</td>`,
    );
    return `<tr><th scope="row">${escapeHtml(accountLabel(account))}<small>${escapeHtml(account.access)}</small></th>${cells.join('')}</tr>`;
  });
  return `<section>
<h2>Accounts</h2>
<table class="accounts">
<thead><tr><th scope="col">Account</th>${columns.map(([label]) => `<th scope="col" class="number">${label}</th>`).join('')}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>
</section>`;
}

function healthyHtml(buckets: readonly FleetBucket[], namesById: FindingContext['namesById']): string {
  if (buckets.length === 0) return '';
  const rows = buckets.map(
    ({ name, account, region = '', verdict, rules, manager, specs }) =>
      `<tr><th scope="row">${escapeHtml(name)}</th><td data-label="Account">${escapeHtml(accountLabel({ id: account, ...optionalName(account, namesById) }))}</td><td data-label="Region">${escapeHtml(region)}</td><td data-label="Verdict">${verdict === 'off' ? 'disabled' : verdict}</td><td data-label="Destinations">${[...new Set(rules.map(({ destination }) => destination))].map(escapeHtml).join(', ')}</td><td data-label="Managed by">${escapeHtml(specs ? `spec ${specs.join(', ')}` : (manager ?? ''))}</td></tr>`,
  );
  return `<section>
<details><summary>${count(buckets.length, 'bucket')} with replication and without findings</summary>
<table class="healthy">
<thead><tr>${['Bucket', 'Account', 'Region', 'Verdict', 'Destinations', 'Managed by'].map((label) => `<th scope="col">${label}</th>`).join('')}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>
</details>
</section>`;
}
