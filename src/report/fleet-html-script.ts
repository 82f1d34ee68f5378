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
