import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { FINDING_CODES } from '../../proof/findings.ts';
import { escapeHtml } from '../../util/escape.ts';
import type { Route } from '../server.ts';
import { DOCS_PATH, PAGE_CSP, RUNBOOK_PAGE, renderHtmlDocument } from './document.ts';

/** Pages of the documentation, by their paths in `docs/` without `.md`: those that the status page links to. */
const DOC_PAGES: ReadonlySet<string> = new Set([
  RUNBOOK_PAGE,
  'how-to/diagnose-replication',
  'how-to/change-a-live-rule',
  'how-to/get-notified-of-failures',
  'how-to/monitor-replication',
  'how-to/lock-replicas',
  'how-to/receive-failure-events',
  'reference/findings/README',
  ...Object.keys(FINDING_CODES).map((code) => `reference/findings/${code}`),
]);

/** The folder of the documentation: beside the bundle, or in the repository. */
const docsFolder = (): string => {
  const beside = path.join(import.meta.dirname, 'docs');
  return existsSync(beside) ? beside : path.join(import.meta.dirname, '../../../docs');
};

/**
 * Creates the routes of these pages. A controller without access to the internet serves the documentation of its own
 * version.
 */
export const createDocRoutes = (): [string, Route][] =>
  [...DOC_PAGES].map((page) => [
    `${DOCS_PATH}/${page}`,
    {
      isShared: true,
      respond: async () => ({
        status: 200,
        type: 'text/html; charset=utf-8',
        body: await renderDocPage(page),
        csp: PAGE_CSP,
      }),
    },
  ]);

async function renderDocPage(page: string): Promise<string> {
  const markdown = await readFile(path.join(docsFolder(), `${page}.md`), 'utf8');
  // Only these pages need the parser.
  const { Marked } = await import('marked');
  let title = page;
  const parser = new Marked({
    renderer: {
      heading({ tokens, depth, text }) {
        if (depth === 1) title = text;
        const level = Math.min(depth + 1, 6);
        return `<h${level} id="${anchorOf(text)}">${this.parser.parseInline(tokens)}</h${level}>\n`;
      },
      link({ href, tokens }) {
        const text = this.parser.parseInline(tokens);
        const target = resolveLink(page, href);
        return target === undefined ? text : `<a href="${escapeHtml(target)}">${text}</a>`;
      },
      image: ({ text }) => escapeHtml(text),
      html: () => '',
    },
  });
  const html = (await parser.parse(markdown))
    .replaceAll('<table>', '<div class="scroll" tabindex="0"><table>')
    .replaceAll('</table>', '</table></div>')
    .replaceAll('<pre>', '<pre tabindex="0">');
  return renderHtmlDocument({
    title: `${title}: replikey`,
    header: '',
    main: `<article class="doc">${html}</article>`,
    isLive: false,
  });
}

/** Returns the anchor of a heading, as code hosts compute it: `Two replicas, and more` is `two-replicas-and-more`. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');

/** Returns the address of a link; undefined if the controller does not serve its target. */
function resolveLink(page: string, href: string): string | undefined {
  if (/^https:\/\//.test(href) || href.startsWith('#')) return href;
  const [file = '', anchor] = href.split('#');
  const target = path.posix.join(path.posix.dirname(page), file).replace(/\.md$/, '');
  if (!DOC_PAGES.has(target)) return undefined;
  return `${DOCS_PATH}/${target}${anchor === undefined ? '' : `#${anchor}`}`;
}
