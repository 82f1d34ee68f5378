import { BASE_CSS } from './page-style.ts';

/** The style of the HTML report on a fleet. */
export const FLEET_CSS = `${BASE_CSS}
#facts { display: flex; flex-wrap: wrap; gap: .1rem 1rem; flex: 1; color: var(--dim) } #facts b { color: var(--ink); font-weight: 600 }
section { margin-bottom: 1.25rem }
.badge.error { color: var(--failing); background: var(--failing-tint) } .badge.warning { color: var(--drifted); background: var(--drifted-tint) } .badge.info { color: var(--pending); background: var(--pending-tint) } .badge.unknown, .badge.new { color: var(--dim); border-color: var(--off) }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .5rem; margin-bottom: .75rem }
.tile { display: block; background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .35rem .75rem .45rem; color: var(--dim); text-decoration: none }
.tile b { display: block; font-size: 1.4rem; line-height: 1.25; font-weight: 650 } .tile:hover, .tile[aria-current] { border-color: currentcolor } .tile[aria-current] span { text-decoration: underline; text-underline-offset: .2em }
.tile.error { color: var(--failing) } .tile.warning { color: var(--drifted) } .tile.info { color: var(--pending) }
.totals { display: flex; flex-wrap: wrap; gap: .2rem 1.5rem } .totals > div { display: flex; gap: .4rem } .totals dd { font-weight: 600 }
.problems { background: var(--failing-tint); border-left: .3rem solid var(--failing); border-radius: .25rem; padding: .5rem .8rem; overflow-wrap: anywhere } .problems h2 { color: var(--failing) }
.filter { display: flex; flex-wrap: wrap; gap: .4rem .75rem; align-items: center; margin-bottom: .5rem } .filter label { display: flex; gap: .35rem; align-items: center; color: var(--dim) } .filter .search { flex: 1 1 14rem } .search input { width: 100% } select { max-width: 14rem }
.filter:not(.active), .more:not(.active) { display: none }
table { width: 100%; border-collapse: collapse; table-layout: fixed; background: var(--card); border: 1px solid var(--line) }
caption { text-align: left; color: var(--dim); padding-bottom: .3rem }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem; border-top: 1px solid var(--line); font-weight: 400; overflow-wrap: anywhere }
thead th { color: var(--dim); font-size: .8rem; border-top: 0 } thead button { border: 0; background: none; padding: .2rem 0; color: inherit; text-align: left } [aria-sort=ascending] button::after { content: ' ▲' } [aria-sort=descending] button::after { content: ' ▼' }
td small, th small { display: block } tbody th { font-weight: 600 } tbody th small { font-weight: 400 }
.findings .category { width: 11rem } .findings .account { width: 8.5rem } .findings .region { width: 7.5rem } .findings .bucket { width: 17rem } .findings .since { width: 6.5rem }
.number { text-align: right; width: 8rem } .changes li { padding: .15rem 0; overflow-wrap: anywhere } summary { cursor: pointer } details { margin-top: .4rem }
footer { max-width: 84rem; margin: 0 auto; padding: 0 1rem 2rem; color: var(--dim) }
@media (max-width: 52rem) {
  .filter.active { display: grid; grid-template-columns: minmax(0, 1fr) } .filter label > :last-child { flex: 1; max-width: none }
  thead { position: absolute; clip-path: inset(50%); height: 1px; overflow: hidden } table, caption, tbody, tr, th, td { display: block; width: 100% } tr { border-top: 1px solid var(--line); padding: .35rem 0 } tr[hidden] { display: none } th, td { border: 0; padding: .05rem .6rem; text-align: left }
  .findings td:not(.message, .category)::before, .accounts td::before, .healthy td::before { content: attr(data-label) ' '; color: var(--dim); font-size: .8rem } td small { display: inline; margin-left: .4rem }
}
@media print { .filter, .more { display: none !important } tr { break-inside: avoid } }
`;

/**
 * The only script of the HTML report: filters and sorts the table of findings, and hides all rows but the first ones,
 * because a browser needs seconds to draw 10,000. The filter is in the fragment of the address, so that a link can name it.
 * Without the script, the report is complete.
 */
export const FLEET_SCRIPT = `'use strict';
(() => {
  const PAGE_ROWS = 500;
  const form = document.querySelector('.filter'), body = document.querySelector('.findings tbody');
  if (!form || !body) return;
  const count = document.getElementById('count'), more = document.querySelector('.more');
  const fields = ['q', 'category', 'severity', 'account'].map((name) => form.elements.namedItem(name));
  const rows = [...body.rows].map((row, rank) => ({
    row, rank, text: row.textContent.toLowerCase(),
    category: row.dataset.category, severity: row.dataset.severity, account: row.dataset.account,
  }));
  let sorted = rows, limit = PAGE_ROWS;
  const show = () => {
    const [q, category, severity, account] = fields.map(({ value }) => value);
    const words = q.toLowerCase().split(/\\s+/).filter(Boolean);
    let matches = 0;
    for (const entry of sorted) {
      const isMatch = (!category || entry.category === category) && (!severity || entry.severity === severity)
        && (!account || entry.account === account) && words.every((word) => entry.text.includes(word));
      if (isMatch) matches += 1;
      const isHidden = !isMatch || matches > limit;
      if (entry.row.hidden !== isHidden) entry.row.hidden = isHidden;
    }
    const visible = Math.min(matches, limit);
    count.textContent = (visible < matches ? 'first ' + visible + ' of ' : '') + matches + (matches === 1 ? ' finding' : ' findings')
      + (matches < rows.length ? ' of ' + rows.length : '');
    more.classList.toggle('active', visible < matches);
    for (const tile of document.querySelectorAll('.tile'))
      if (tile.hash === '#category=' + category) tile.setAttribute('aria-current', 'true');
      else tile.removeAttribute('aria-current');
  };
  const save = () => {
    const values = new URLSearchParams(fields.filter(({ value }) => value).map(({ name, value }) => [name, value]));
    history.replaceState(null, '', '#' + values);
    limit = PAGE_ROWS;
    show();
  };
  const restore = () => {
    const values = new URLSearchParams(location.hash.slice(1));
    for (const field of fields) {
      field.value = values.get(field.name) ?? '';
      if (field.selectedIndex === -1) field.value = '';
    }
    limit = PAGE_ROWS;
    show();
  };
  const keyOf = (column) => column === 0 ? ({ rank }) => rank : ({ row }) => row.cells[column].textContent;
  const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;
  for (const heading of document.querySelectorAll('.findings thead th')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener('click', () => {
      const sign = heading.ariaSort === 'ascending' ? -1 : 1, key = keyOf(heading.cellIndex);
      for (const other of heading.parentNode.cells) other.ariaSort = null;
      heading.ariaSort = sign === 1 ? 'ascending' : 'descending';
      sorted = rows.map((entry) => [key(entry), entry])
        .sort(([a, x], [b, y]) => sign * compare(a, b) || x.rank - y.rank).map(([, entry]) => entry);
      const fragment = document.createDocumentFragment();
      for (const { row } of sorted) fragment.append(row);
      body.append(fragment);
      show();
    });
  }
  more.querySelector('button').addEventListener('click', () => { limit += PAGE_ROWS; show(); });
  form.addEventListener('input', save);
  form.addEventListener('submit', (event) => event.preventDefault());
  addEventListener('hashchange', restore);
  form.classList.add('active');
  restore();
})();
`;
