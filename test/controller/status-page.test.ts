import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ControllerServer, startControllerServer } from '../../src/controller/server.ts';
import type { ControllerStatus, PairStatus } from '../../src/controller/status.ts';
import { PAGE_CSP, renderStatusPage } from '../../src/controller/status-page/page.ts';

const SINCE = '2026-01-01T00:00:00.000Z';
const NOW = Date.parse('2026-01-01T03:20:00.000Z');
const condition = (status: 'True' | 'False' | 'Unknown', reason = 'Reason', message = 'a message') => ({
  status,
  reason,
  message,
  since: SINCE,
});

const pair = (name: string, overrides: Partial<PairStatus> = {}): PairStatus => ({
  name,
  sides: [
    {
      source: { bucket: `acme-${name}`, region: 'us-east-1', account: 'main' },
      destination: { bucket: `acme-${name}-replica`, region: 'us-west-2' },
    },
  ],
  from: { file: 'specs/a.yaml', line: 3, column: 1 },
  labels: {},
  conditions: {
    Ready: condition('True'),
    Proven: condition('True'),
    Verified: condition('Unknown'),
    Replicating: condition('Unknown'),
    Drifted: condition('False'),
  },
  generation: 'g',
  declaredGeneration: 'g',
  failures: 0,
  retry: 'none',
  changes: [],
  proof: [],
  ...overrides,
});

const HOSTILE_TEXT = '<img src=x onerror=alert(1)> "quoted" \u202e\u001b[31m';

const STATUS: ControllerStatus = {
  process: { startedAt: '2026-01-01T00:00:00.000Z', accounts: {}, role: 'single', leases: {} },
  pairs: [
    pair('fine', {
      lastSuccess: '2026-01-01T03:19:00.000Z',
      nextRun: '2026-01-01T03:24:00.000Z',
      changes: [
        {
          at: SINCE,
          cause: 'drift',
          result: 'applied',
          steps: [
            {
              id: 's3.versioning/acme-fine',
              action: 'update',
              patch: [{ op: 'replace', path: '/status', value: 'Enabled' }],
              before: { '/status': HOSTILE_TEXT },
              why: ['replication needs versioning on both buckets'],
              lastChange: { by: `arn:jane${HOSTILE_TEXT}`, event: 'PutBucketVersioning', at: SINCE },
            },
            {
              id: 'iam.role-policy/replikey-fine',
              action: 'update',
              patch: [
                { op: 'remove', path: '/statements/A/Action/s3:*' },
                { op: 'add', path: '/statements/A/Action/s3:GetObject', value: 's3:GetObject' },
              ],
              before: { '/statements/A/Action/s3:*': 's3:*' },
              why: ['S3 reads source objects'],
            },
          ],
        },
      ],
    }),
    pair('broken', {
      failures: 3,
      retry: 'recoverable',
      conditions: {
        Ready: condition('False', 'ApplyFailed', HOSTILE_TEXT),
        Proven: condition('False', 'RK1308', 'S3 is not allowed to write the replica'),
        Verified: condition('Unknown'),
        Replicating: condition('Unknown'),
        Drifted: condition('True', 'ChangedElsewhere', 'kms.key-policy/alias/acme: changed outside replikey'),
      },
    }),
  ],
  problems: [
    { position: { file: 'specs/b.yaml', line: 7, column: 2 }, message: HOSTILE_TEXT, hint: 'rename it' },
  ],
  queue: { depth: 1, active: 2, adds: 3, unfinishedMs: 0, longestMs: 0 },
  isSynced: true,
  lastMove: NOW,
  calls: { reads: 10, writes: 2, byOperation: {} },
};

const page = renderStatusPage(STATUS, { version: '1.2.3', now: NOW });

test('page: names the caller of attributed drift', () => {
  expect(page).toContain('    # last changed by arn:jane&lt;img');
  expect(page).toContain(` with PutBucketVersioning at ${SINCE}`);
});

test('page: shows that the sample of newest objects does not cover the bucket', () => {
  const objects = { byStatus: { COMPLETED: 50 }, coverage: { listed: 1_000, complete: false } };
  const text = renderStatusPage(
    { ...STATUS, pairs: [pair('tax', { objects })] },
    { version: '1.2.3', now: NOW },
  );
  expect(text).toContain(
    '<p>Newest objects: 50 COMPLETED; the newest of the first 1000 versions; the bucket has more.</p>',
  );
});

test('page: shows the changes of one set in one line', () => {
  expect(page).toContain('    statements.A.Action: - s3:*, + s3:GetObject</pre>');
});

test('page: lists pairs that need attention first, and escapes hostile text', () => {
  expect(page.indexOf('pair-broken')).toBeLessThan(page.indexOf('pair-fine'));
  expect(page).toContain(
    '1 of 2 pairs are ready, <strong>1 drifted</strong>, <strong>1 would not replicate</strong>.',
  );
  expect(page).toContain('specs/b.yaml:7:2');
  expect(page).not.toMatch(/<img|<script|https?:/);
  for (const character of ['\u202e', '\u001b']) expect(page).not.toContain(character);
});

/** Computes the contrast ratio of each text to its background, as WCAG defines it. Runs in the page. */
const CONTRAST = `(() => {
  const light = (colour) => {
    const [r = 0, g = 0, b = 0] = (colour.match(/\\d+/g) ?? []).map((part) => {
      const value = Number(part) / 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  return [...document.querySelectorAll('p, td, .badge, .sides')].map((element) => {
    const ink = light(getComputedStyle(element).color);
    return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
  });
})()`;

/** Counts the lines of each table cell, except messages. Runs in the page. */
const LINES = `Object.fromEntries(
  [...document.querySelectorAll('details[open] tbody :is(th, td:not(:nth-child(4)))')].map((cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    return [cell.textContent, new Set([...range.getClientRects()].map(({ top }) => top)).size];
  }),
)`;

const CHROMIUM = '/usr/bin/chromium';

describe.skipIf(!existsSync(CHROMIUM))('page in Chromium', () => {
  let browser: Browser;
  let server: ControllerServer;
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
    const respond = () => ({ status: 200, type: 'text/html; charset=utf-8', body: page, csp: PAGE_CSP });
    server = await startControllerServer(new Map([['/', { respond }]]), { host: '127.0.0.1', port: 0 });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  test.each(['light', 'dark'] as const)(
    'in %s mode: renders under its content security policy, and loads no other resource',
    async (colorScheme) => {
      const tab = await browser.newPage({ colorScheme, viewport: { width: 1_000, height: 800 } });
      const errors: string[] = [];
      const requestedPaths: string[] = [];
      tab.on('console', (message) => errors.push(message.text()));
      tab.on('pageerror', (error) => errors.push(error.message));
      tab.on('request', (request) => requestedPaths.push(new URL(request.url()).pathname));
      await tab.goto(server.url);
      expect(errors).toEqual([]);
      expect(requestedPaths.filter((path) => path !== '/favicon.ico')).toEqual(['/']);
      // The style is applied: text has sufficient contrast.
      const contrast = await tab.evaluate<number[]>(CONTRAST);
      expect(Math.min(...contrast)).toBeGreaterThan(4.5);
      await tab.close();
    },
  );

  test.each([360, 1_000])('at a width of %i pixels: breaks no word of a table', async (width) => {
    const tab = await browser.newPage({ viewport: { width, height: 800 } });
    await tab.goto(server.url);
    const lines = await tab.evaluate<Record<string, number>>(LINES);
    expect(lines).toMatchObject({ Ready: 1, ApplyFailed: 1, False: 1, '3 h 20 min': 1 });
    expect(Object.entries(lines).filter(([, count]) => count > 1)).toEqual([]);
    await tab.close();
  });

  test('on a narrow screen: usable by keyboard, without horizontal scrolling', async () => {
    const tab = await browser.newPage({ viewport: { width: 360, height: 640 } });
    await tab.goto(server.url);
    expect(await tab.locator('#pair-broken').getAttribute('open')).not.toBe(null);
    expect(await tab.locator('#pair-fine').getAttribute('open')).toBe(null);
    for (let presses = 0; presses < 10; presses++) {
      await tab.keyboard.press('Tab');
      if ((await tab.evaluate<string>('document.activeElement.textContent'))?.includes('acme-fine')) break;
    }
    await tab.keyboard.press('Enter');
    expect(await tab.locator('#pair-fine').getAttribute('open')).not.toBe(null);
    const widths = await tab.evaluate<number[]>('[document.documentElement.scrollWidth, window.innerWidth]');
    expect(widths[0]).toBeLessThanOrEqual(widths[1] ?? 0);
    const svg = tab.getByRole('img', { name: /2 from main, us-east-1 to us-west-2/ });
    expect(await svg.count()).toBe(1);
    await tab.close();
  });
});
