import { createHash } from 'node:crypto';
import { escapeHtml } from '../../util/escape.ts';
import { LIVE_UPDATE_SCRIPT } from './live-update.ts';
import { PAGE_CSS } from './style.ts';

/** Renders a complete document. `header` and `main` are HTML. `isLive`: whether the document updates itself. */
export const renderHtmlDocument = (document: {
  title: string;
  header: string;
  main: string;
  isLive: boolean;
}): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(document.title)}</title>
<style>${PAGE_CSS}</style>
</head>
<body>
<header>
<h1><a href="/">replikey</a></h1>
${document.header}
</header>
<main>
${document.main}
</main>
${document.isLive ? `<script>${LIVE_UPDATE_SCRIPT}</script>` : ''}
</body>
</html>
`;

const sha256 = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Allows a browser to apply the style of the documents, to run their script, and to fetch the page again. */
export const PAGE_CSP = [
  "default-src 'none'",
  `style-src ${sha256(PAGE_CSS)}`,
  `script-src ${sha256(LIVE_UPDATE_SCRIPT)}`,
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

/** Path of the pages of the documentation that the controller serves. */
export const DOCS_PATH = '/docs';

/** The page with the runbook of all alerts. */
export const RUNBOOK_PAGE = 'how-to/run-in-a-cluster';

export const runbookHref = (section: string): string => `${DOCS_PATH}/${RUNBOOK_PAGE}#${section}`;

export const findingHref = (code: string): string => `${DOCS_PATH}/reference/findings/${code}`;
