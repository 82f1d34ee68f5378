/**
 * The only script of the page. It fetches the same address again while the page is visible, and changes only what
 * differs, so that the position, the focus, the selection and open details stay. Without it, the page is complete, and a
 * reload shows the current state.
 *
 * The server answers 304 while nothing differs. After an error, the script tries again later and reports it.
 */
export const LIVE_UPDATE_SCRIPT = `'use strict';
(() => {
  const PERIOD_MS = 5000, MAX_PERIOD_MS = 60000;
  let etag = '', failures = 0, timer;
  const note = document.getElementById('live');
  const report = (text, isStale) => {
    if (note.textContent !== text) note.textContent = text;
    note.className = isStale ? 'stale' : '';
  };
  const isKept = ({ tagName }, name) => tagName === 'DETAILS' && name === 'open';
  const sync = (node, next) => {
    if (node.nodeType !== 1) {
      if (node.data !== next.data) node.data = next.data;
      return;
    }
    if (node.tagName === 'FORM' || node.isEqualNode(next)) return;
    for (const { name } of [...node.attributes])
      if (!next.hasAttribute(name) && !isKept(node, name)) node.removeAttribute(name);
    for (const { name, value } of next.attributes)
      if (node.getAttribute(name) !== value && !isKept(node, name)) node.setAttribute(name, value);
    const byId = new Map([...node.children].filter(({ id }) => id).map((child) => [child.id, child]));
    let current = node.firstChild;
    for (const child of [...next.childNodes]) {
      let match = child.id ? byId.get(child.id) : current;
      if (match && !child.id && (match.nodeName !== child.nodeName || match.id)) match = undefined;
      if (!match) node.insertBefore(document.importNode(child, true), current);
      else {
        if (match === current) current = current.nextSibling;
        else node.insertBefore(match, current);
        sync(match, child);
      }
    }
    while (current) {
      const { nextSibling } = current;
      current.remove();
      current = nextSibling;
    }
  };
  const apply = (html) => {
    const next = new DOMParser().parseFromString(html, 'text/html');
    const focused = document.activeElement;
    for (const selector of ['title', '#facts', 'main']) {
      const [node, other] = [document, next].map((page) => page.querySelector(selector));
      if (node && other) sync(node, other);
    }
    // A row that moves loses the focus.
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  };
  const update = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      const response = await fetch(location.href, {
        cache: 'no-store',
        headers: etag ? { 'if-none-match': etag } : {},
        signal: AbortSignal.timeout(10000),
      });
      if (response.status === 200) {
        etag = response.headers.get('etag') ?? '';
        apply(await response.text());
      } else if (response.status !== 304) throw new Error('replikey responds with status ' + response.status);
      failures = 0;
      report('updated ' + new Date().toISOString().slice(11, 19) + ' UTC', false);
    } catch (error) {
      failures += 1;
      const reason = error.message.startsWith('replikey') ? error.message : 'no connection to replikey';
      report(reason + ': this page is out of date', true);
    }
    timer = setTimeout(update, Math.min(PERIOD_MS * 2 ** failures, MAX_PERIOD_MS));
  };
  document.addEventListener('visibilitychange', update);
  report('updates every ' + PERIOD_MS / 1000 + ' s', false);
  timer = setTimeout(update, PERIOD_MS);
})();
`;
