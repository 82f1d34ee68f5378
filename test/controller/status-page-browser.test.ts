import { existsSync } from 'node:fs';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createRoutes } from '../../src/controller/routes.ts';
import { startControllerServer } from '../../src/controller/server.ts';
import type { ControllerStatus, PairStatus } from '../../src/controller/status.ts';
import { CHROMIUM, CHROMIUM_ARGS, LOW_CONTRAST } from '../support/browser.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { FLEET_NOW, fleetStatus } from '../support/fleet-status.ts';
import { palettePng } from '../support/palette-png.ts';

/** The pictures of the documentation. `npm run screenshots` writes them again. */
const IMAGES = path.join(import.meta.dirname, '../../docs/images/status-page');
const writesImages = process.env.SCREENSHOTS !== undefined;
const DOCUMENTED = ['fleet-30-1280-light', 'fleet-30-400-dark', 'fleet-1000-1280-dark', 'pair-1280-light'];

/** Returns the controls that are smaller than 24 × 24 pixels (WCAG 2.2, 2.5.8). Links in a text are exempt. */
const SMALL_TARGETS = `[...document.querySelectorAll('.tile, .matrix a, button, select, input:not([type=hidden])')]
  .map((element) => ({ element, box: element.getBoundingClientRect() }))
  .filter(({ box }) => box.width < 24 || box.height < 24)
  .map(({ element }) => element.outerHTML)`;

/** Returns the texts of table cells that are wider than their cells, except those that end in an ellipsis. */
const CLIPPED_CELLS = `[...document.querySelectorAll('.pairs td, .conditions :is(td, th)')]
  .filter((cell) => cell.offsetParent && getComputedStyle(cell).textOverflow !== 'ellipsis' && cell.scrollWidth > cell.clientWidth + 1)
  .map(({ textContent }) => textContent)`;

/** Starts the server of a controller, whose status can change. */
async function serve(initial: ControllerStatus) {
  let status = initial;
  const clock = { ...fakeClock(), now: () => FLEET_NOW };
  const options = { controller: { status: () => status }, settings: { clock, intervalMs: 300_000 } };
  const routes = createRoutes(options as unknown as Parameters<typeof createRoutes>[0]);
  const { url, close } = await startControllerServer(routes, { host: '127.0.0.1', port: 0 });
  return {
    url,
    update(next: ControllerStatus) {
      status = next;
    },
    [Symbol.asyncDispose]: close,
  };
}

describe.skipIf(!existsSync(CHROMIUM))('status page in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: CHROMIUM_ARGS,
    });
  });
  afterAll(() => browser?.close());

  /** Opens an address, and collects the messages of the console and the responses. */
  async function open(address: string, options: BrowserContextOptions = {}) {
    const context = await browser.newContext({ viewport: { width: 1_280, height: 900 }, ...options });
    const page = await context.newPage();
    // The page polls only when a test advances the time.
    await page.clock.install({ time: FLEET_NOW });
    const messages: string[] = [];
    const responses: string[] = [];
    page.on('console', (message) => messages.push(message.text()));
    page.on('pageerror', (error) => messages.push(error.message));
    page.on('response', (response) => {
      const { pathname } = new URL(response.url());
      if (pathname !== '/favicon.ico') responses.push(`${response.status()} ${pathname}`);
    });
    await page.goto(address);
    return { page, messages, responses, [Symbol.asyncDispose]: () => context.close() };
  }

  const screens = [1_280, 400].flatMap((width) =>
    (['light', 'dark'] as const).map((colorScheme) => ({ width, colorScheme })),
  );

  /** Checks the layout on each screen, and takes the pictures of the documentation. */
  async function expectCorrectLayout(address: string, name: string, check: (page: Page) => Promise<void>) {
    await using tab = await open(address);
    const { page, messages, responses } = tab;
    for (const { width, colorScheme } of screens) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      const image = `${name}-${width}-${colorScheme}`;
      const excess = 'document.documentElement.scrollWidth - innerWidth';
      expect(await page.evaluate(excess), image).toBeLessThanOrEqual(0);
      expect(await page.evaluate(LOW_CONTRAST), image).toEqual([]);
      expect(await page.evaluate(SMALL_TARGETS), image).toEqual([]);
      expect(await page.evaluate(CLIPPED_CELLS), image).toEqual([]);
      await check(page);
      await writeImage(page, image);
    }
    expect(messages.filter((message) => !message.includes('favicon'))).toEqual([]);
    expect(responses).toEqual(['200 /']);
  }

  test.each([1, 30, 1_000])('%i pairs: layout and contrast are correct on every screen', async (count) => {
    await using server = await serve(fleetStatus(count));
    await expectCorrectLayout(server.url, `fleet-${count}`, async (page) => {
      // A person sees the number of failing pairs and the worst pair without scrolling.
      for (const selector of ['#tile-failing', '#pair-tax']) {
        const box = await page.locator(selector).boundingBox();
        expect((box?.y ?? 900) + (box?.height ?? 0)).toBeLessThan(900);
      }
      if (page.viewportSize()?.width === 1_280)
        expect(await page.evaluate('document.documentElement.scrollHeight')).toBeLessThan(1_100);
    });
  });

  test('page of a pair: layout and contrast are correct on every screen', async () => {
    await using server = await serve(fleetStatus(30));
    await expectCorrectLayout(`${server.url}/?pair=tax`, 'pair', async () => {});
  });

  test('runbook: a link of the pair leads to its section, with correct layout and contrast', async () => {
    await using server = await serve(fleetStatus(30));
    await using tab = await open(`${server.url}/?pair=tax`);
    const { page } = tab;
    await page.getByRole('link', { name: 'Runbook' }).first().click();
    await page.waitForURL('**/docs/how-to/run-in-a-cluster#objects-failed');
    // The browser has scrolled to the section.
    const top = "document.getElementById('objects-failed').getBoundingClientRect().top";
    expect(await page.evaluate(top)).toBeLessThan(900);
    for (const { width, colorScheme } of screens) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
      expect(await page.evaluate(LOW_CONTRAST)).toEqual([]);
    }
  });

  test('400 pixels: the Region matrix shows its numbers without scrolling', async () => {
    await using server = await serve(fleetStatus(1_000));
    await using tab = await open(server.url, { viewport: { width: 400, height: 900 } });
    const cell = tab.page.getByRole('link', { name: 'us-east-1 to us-west-2: 201 pairs, 1 failing' });
    await cell.scrollIntoViewIfNeeded();
    expect(
      await tab.page.evaluate(
        "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('.scroll'))",
      ),
    ).toBeLessThanOrEqual(0);
    await cell.click();
    expect(new URL(tab.page.url()).search).toBe('?from=us-east-1&to=us-west-2');
  });

  test('without JavaScript: tiles, search, groups, pages and pairs work', async () => {
    await using server = await serve(fleetStatus(1_000));
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    const names = () => page.locator('.pairs tbody th[scope=row] a').allTextContents();
    await page.goto(server.url);
    await page.getByRole('link', { name: '3 Failing' }).click();
    expect(await names()).toEqual(['tax', 'claims', 'invoices-01']);
    // The form keeps the state.
    await page.getByRole('searchbox', { name: 'Search' }).fill('claims');
    await page.getByRole('button', { name: 'Apply' }).click();
    expect(await names()).toEqual(['claims']);
    await page.getByRole('link', { name: 'Clear' }).click();
    await page.getByLabel('Group by').selectOption('label team');
    await page.getByRole('button', { name: 'Apply' }).click();
    expect(await page.locator('.group a').allTextContents()).toEqual([
      'team=finance',
      'team=claims',
      'team=media',
    ]);
    await page.getByRole('link', { name: '329 more in team=finance' }).click();
    await page.getByRole('link', { name: 'Next →' }).click();
    expect(await page.locator('.pages').textContent()).toContain('21–40 of 334 pairs');
    await page.goto(server.url);
    await page.getByRole('link', { name: 'tax', exact: true }).click();
    expect(await page.locator('main').textContent()).toContain('214 failed operations');
    expect(await page.locator('#live').textContent()).toBe('as of 2026-11-26 21:20 UTC: reload to update');
    await context.close();
  });

  test('by keyboard: focus is visible, and Enter opens a pair', async () => {
    await using server = await serve(fleetStatus(30));
    await using tab = await open(server.url);
    const { page } = tab;
    const focused = () => page.evaluate<string>('document.activeElement.textContent.trim()');
    for (let presses = 0; presses < 20 && (await focused()) !== 'tax'; presses++)
      await page.keyboard.press('Tab');
    expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/?pair=tax');
  });

  /** Advances the time of the page until it has polled with this result. */
  const poll = async ({ page, responses }: Awaited<ReturnType<typeof open>>, result: string) => {
    const count = responses.length;
    await vi.waitFor(
      async () => {
        await page.clock.fastForward(5_000);
        expect(responses.slice(count)).toContain(result);
      },
      { timeout: 10_000, interval: 200 },
    );
  };

  test('the status changes: the page shows it without a reload, and keeps focus, position and open details', async () => {
    const status = fleetStatus(30);
    await using server = await serve(status);
    await using tab = await open(`${server.url}/?pair=tax`, { viewport: { width: 400, height: 500 } });
    const { page, responses } = tab;
    await page.locator('.change summary').click();
    await page.evaluate("document.querySelector('.change').scrollIntoView()");
    const position = await page.evaluate<number>('scrollY');
    expect(position).toBeGreaterThan(0);
    await poll(tab, '200 /');
    // The second response is the same as the first.
    await poll(tab, '304 /');

    const [tax, ...rest] = status.pairs;
    const bursts = tax?.failureBursts?.map((burst) => ({ ...burst, count: 215 })) ?? [];
    server.update({ ...status, pairs: [{ ...(tax as PairStatus), failureBursts: bursts }, ...rest] });
    await poll(tab, '200 /');
    await vi.waitFor(async () =>
      expect(await page.locator('.burst h4').textContent()).toContain('215 failed'),
    );
    expect(await page.locator('.change').getAttribute('open')).toBe('');
    expect(await page.evaluate('document.activeElement.tagName')).toBe('SUMMARY');
    expect(await page.evaluate('scrollY')).toBe(position);
    expect(await page.locator('#live').textContent()).toMatch(/^updated \d\d:\d\d:\d\d UTC$/);
    expect(responses.every((response) => response.endsWith(' /'))).toBe(true);
    expect(tab.messages.filter((message) => !message.includes('favicon'))).toEqual([]);
  });

  test('a pair fails: its row moves to the top, and a person who types a search is not disturbed', async () => {
    const status = fleetStatus(30);
    await using server = await serve({ ...status, pairs: status.pairs.slice(1) });
    await using tab = await open(server.url);
    const { page } = tab;
    const first = () => page.locator('.pairs tbody th a').first().textContent();
    const summary = () => page.getByRole('status').textContent();
    expect([await first(), await summary()]).toEqual(['claims', '2 failing, 1 drifted, 1 pending, 25 ready']);
    await page.getByRole('searchbox', { name: 'Search' }).pressSequentially('tax');
    server.update(status);
    await vi.waitFor(
      async () => {
        await page.clock.fastForward(5_000);
        expect(await first()).toBe('tax');
      },
      { timeout: 10_000, interval: 200 },
    );
    expect(await summary()).toBe('3 failing, 1 drifted, 1 pending, 25 ready');
    expect(await page.title()).toBe('3 failing: replikey');
    expect(await page.evaluate('[document.activeElement.name, document.activeElement.value]')).toEqual([
      'q',
      'tax',
    ]);
  });

  test('the pair is removed: the page reports that it is out of date', async () => {
    const status = fleetStatus(30);
    await using server = await serve(status);
    await using tab = await open(`${server.url}/?pair=tax`);
    server.update({ ...status, pairs: status.pairs.slice(1) });
    await poll(tab, '404 /');
    await vi.waitFor(async () =>
      expect(await tab.page.locator('#live.stale').textContent()).toBe(
        'replikey responds with status 404: this page is out of date',
      ),
    );
  });

  test('replikey stops: the page reports that it is out of date', async () => {
    const server = await serve(fleetStatus(30));
    await using tab = await open(server.url);
    await server[Symbol.asyncDispose]();
    await tab.page.clock.fastForward(5_000);
    await vi.waitFor(async () =>
      expect(await tab.page.locator('#live.stale').textContent()).toBe(
        'no connection to replikey: this page is out of date',
      ),
    );
    expect(await tab.page.locator('#pair-tax').count()).toBe(1);
  });
});

/** Writes a picture of the visible part of the page, if the documentation contains it. */
async function writeImage(page: Page, name: string): Promise<void> {
  if (!writesImages || !DOCUMENTED.includes(name)) return;
  await mkdir(IMAGES, { recursive: true });
  await writeFile(path.join(IMAGES, `${name}.png`), await palettePng(page));
}

test('docs: every picture of the status page exists, and is smaller than 60 KB', async () => {
  expect((await readdir(IMAGES)).sort()).toEqual(DOCUMENTED.map((name) => `${name}.png`).sort());
  for (const name of DOCUMENTED)
    expect((await stat(path.join(IMAGES, `${name}.png`))).size).toBeLessThan(60_000);
});
