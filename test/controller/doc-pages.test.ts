import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { createDocRoutes } from '../../src/controller/status-page/doc-pages.ts';
import { renderStatusPage } from '../../src/controller/status-page/page.ts';
import { FINDING_CODES } from '../../src/proof/findings.ts';
import { FLEET_NOW, fleetStatus } from '../support/fleet-status.ts';

const routes = new Map(createDocRoutes());

/** Returns the HTML of a page. */
async function load(address: string): Promise<string> {
  const route = routes.get(address);
  if (!route) throw new Error(`no page ${address}`);
  return (await route.respond(new URLSearchParams())).body;
}

const linksIn = (html: string) => [...html.matchAll(/ href="([^"]+)"/g)].map(([, href = '']) => href);

describe('pages of the documentation', () => {
  test('every finding has a page', async () => {
    for (const code of Object.keys(FINDING_CODES))
      expect(await load(`/docs/reference/findings/${code}`)).toContain(`<h2 id="${code.toLowerCase()}-`);
  });

  test('every link of the pages, and of the status page, leads to a page and an anchor', async () => {
    const status = fleetStatus(30);
    const problems = [{ position: { file: 'a.yaml', line: 1, column: 1 }, message: 'wrong' }];
    const sources = [
      ...status.pairs.map(({ name }) =>
        renderStatusPage({ ...status, problems }, { version: '1', now: FLEET_NOW, query: { pair: name } }),
      ),
      ...(await Promise.all([...routes.keys()].map(load))),
    ];
    const links = new Set(sources.flatMap(linksIn).filter((href) => href.startsWith('/docs/')));
    expect(links).toContain('/docs/how-to/run-in-a-cluster#not-verified');
    expect(links).toContain('/docs/how-to/run-in-a-cluster#specs-invalid');
    for (const link of links) {
      const [address = '', anchor] = link.split('#');
      const page = await load(address);
      if (anchor !== undefined) expect(page, link).toContain(` id="${anchor}"`);
    }
  });

  test('a link to a page that the controller does not serve: is text', async () => {
    const page = await load('/docs/how-to/run-in-a-cluster');
    expect(page).toContain('use-custom-resources.md');
    for (const href of linksIn(page)) expect(href).toMatch(/^(?:\/docs\/|\/$|#|https:)/);
  });

  test('tables and code can be scrolled by keyboard', async () => {
    const page = await load('/docs/reference/findings/RK1308');
    expect(page).toContain(
      '<pre tabindex="0"><code class="language-json">{\n  &quot;Effect&quot;: &quot;Allow&quot;',
    );
    expect(await load('/docs/how-to/run-in-a-cluster')).toContain('<div class="scroll" tabindex="0"><table>');
  });

  test('the package contains the pages', () => {
    for (const address of routes.keys())
      expect(existsSync(path.join(import.meta.dirname, '../../dist', `${address}.md`)), address).toBe(true);
  });
});
