import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fleetHtml } from '../../src/report/fleet-html.ts';
import { CHROMIUM, CHROMIUM_ARGS, LOW_CONTRAST } from '../support/browser.ts';
import { fleetReport } from '../support/fleet-report.ts';

describe.skipIf(!existsSync(CHROMIUM))('HTML report on a fleet in Chromium, opened from a file', () => {
  let browser: Browser;
  let folder: string;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
    folder = await mkdtemp(path.join(tmpdir(), 'replikey-fleet-html-'));
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true });
  });

  /** Opens a report on a number of buckets, and collects messages of the console and requests. */
  async function open(buckets: number, options: { javaScriptEnabled?: boolean } = {}) {
    const file = path.join(folder, `fleet-${buckets}.html`);
    await writeFile(file, fleetHtml(fleetReport(buckets)));
    const context = await browser.newContext({ viewport: { width: 1_280, height: 900 }, ...options });
    const page = await context.newPage();
    const messages: string[] = [];
    const requests: string[] = [];
    page.on('console', (message) => messages.push(message.text()));
    page.on('pageerror', (error) => messages.push(error.message));
    page.on('dialog', (dialog) => messages.push(dialog.message()));
    page.on('request', (request) => requests.push(request.url()));
    const url = pathToFileURL(file).href;
    await page.goto(url);
    return { page, messages, requests, url, [Symbol.asyncDispose]: () => context.close() };
  }
  const visibleBuckets = (page: Page) => page.locator('.findings tbody tr:not([hidden]) th').allInnerTexts();

  test('30 buckets: layout and contrast are correct on every screen, and nothing is loaded', async () => {
    await using tab = await open(30);
    const { page, messages, requests, url } = tab;
    for (const width of [1_280, 400])
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme });
        const excess = 'document.documentElement.scrollWidth - innerWidth';
        expect(await page.evaluate(excess), `${width} ${colorScheme}`).toBeLessThanOrEqual(0);
        expect(await page.evaluate(LOW_CONTRAST), `${width} ${colorScheme}`).toEqual([]);
      }
    expect(messages).toEqual([]);
    expect(requests).toEqual([url]);
  });

  test('filters by text, category and account, and keeps the filter in the address', async () => {
    await using tab = await open(30);
    const { page, url } = tab;
    const all = await visibleBuckets(page);
    await page.locator('a.tile[href="#category=not-proven"]').click();
    const notProven = await visibleBuckets(page);
    expect(notProven.length).toBeGreaterThan(0);
    expect(notProven.length).toBeLessThan(all.length);
    await page.getByLabel('Filter', { exact: true }).fill('hostile');
    expect(await visibleBuckets(page)).toEqual([]);
    await page.locator('select[name=category]').selectOption('');
    expect((await visibleBuckets(page)).map((text) => text.split('\n')[0])).toEqual(['hostile']);
    expect(page.url()).toBe(`${url}#q=hostile`);
    expect(await page.locator('#count').innerText()).toBe(`1 finding of ${all.length}`);
    await page.goto(`${url}#account=111100000001`);
    expect((await visibleBuckets(page)).length).toBeGreaterThan(0);
    expect(await page.locator('.findings tbody tr:not([hidden])[data-account="111100000000"]').count()).toBe(
      0,
    );
  });

  test('sorts by each column with the keyboard, in both directions', async () => {
    await using tab = await open(30);
    const { page } = tab;
    const heading = page.locator('.findings th.bucket');
    await heading.getByRole('button').focus();
    await page.keyboard.press('Enter');
    const ascending = await visibleBuckets(page);
    expect(ascending).toEqual([...ascending].sort());
    expect(await heading.getAttribute('aria-sort')).toBe('ascending');
    await page.keyboard.press('Enter');
    expect(await visibleBuckets(page)).toEqual([...ascending].reverse());
  });

  test('without scripts, shows every finding and no control without effect', async () => {
    await using tab = await open(30, { javaScriptEnabled: false });
    const { page } = tab;
    const rows = fleetReport(30).buckets.flatMap(({ findings }) => findings).length;
    expect(await page.locator('.findings tbody tr:visible').count()).toBe(rows);
    expect(await page.locator('.filter:visible, .more:visible, button:visible').count()).toBe(0);
  });

  test('10,000 buckets: shows the first 500 findings, and finds one of the last', async () => {
    await using tab = await open(10_000);
    const { page, messages } = tab;
    const visibleRows =
      "[...document.querySelectorAll('.findings tbody tr')].filter((row) => row.offsetHeight > 0).length";
    expect(await page.evaluate(visibleRows)).toBe(500);
    await page.getByLabel('Filter', { exact: true }).fill('bucket-09999');
    expect(await visibleBuckets(page)).toHaveLength(1);
    await page.getByLabel('Filter', { exact: true }).fill('');
    await page.getByRole('button', { name: 'Show more' }).click();
    expect(await page.evaluate(visibleRows)).toBe(1_000);
    expect(messages).toEqual([]);
  });
});
