/** Path of the pages of the documentation that the controller serves. */
export const DOCS_PATH = '/docs';

/** The page with the runbook of all alerts. */
export const RUNBOOK_PAGE = 'how-to/run-in-a-cluster';

export const runbookHref = (section: string): string => `${DOCS_PATH}/${RUNBOOK_PAGE}#${section}`;

export const findingHref = (code: string): string => `${DOCS_PATH}/reference/findings/${code}`;
