import { parse } from 'csv-parse/sync';
import { expect, test } from 'vitest';
import { fleetCsv } from '../../src/report/fleet-csv.ts';
import { fleetHtml } from '../../src/report/fleet-html.ts';
import { fleetSarif } from '../../src/report/sarif.ts';
import { fleetReport, HOSTILE } from '../support/fleet-report.ts';

const report = fleetReport(8);
const findings = report.buckets.flatMap(({ findings: all }) => all);

test.each([
  ['csv', fleetCsv(report)],
  ['html', fleetHtml(report)],
  ['sarif', `${JSON.stringify(fleetSarif(report, '0.0.0'), null, 2)}\n`],
])('fleet report as %s: the golden file', async (extension, text) => {
  await expect(text).toMatchFileSnapshot(`golden/fleet.${extension}`);
});

test('fleetCsv: has a header, a row for each finding and one for the unreadable account, with CRLF', () => {
  const text = fleetCsv(report);
  expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
  const rows = parse(text, { columns: true }) as Record<string, string>[];
  expect(rows).toHaveLength(findings.length + 1);
  expect(rows.at(-1)).toMatchObject({ bucket: '', category: 'unknown', account: '111100000002' });
});

test('fleetCsv: a spreadsheet reads no value as a formula', () => {
  const rows = parse(fleetCsv(report), { columns: true }) as Record<string, string>[];
  const [row] = rows.filter(({ bucket }) => bucket === 'hostile');
  expect(row).toMatchObject({ rule: `'${HOSTILE.rule}`, manager: `'${HOSTILE.manager}` });
  // OWASP, "CSV Injection": the characters that begin a formula.
  for (const value of rows.flatMap((each) => Object.values(each)))
    expect(value).not.toMatch(/^[=+\-@\t\r\n]/);
});

test('fleetHtml: contains no markup of AWS, no resource and no link to another document', () => {
  const html = fleetHtml(report);
  expect(html.match(/<script/g)).toHaveLength(1);
  expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
  expect(html).not.toContain('\u202e');
  expect(html).not.toMatch(/<(link|img|iframe|object|embed)|\bsrc=|url\(|@import|href="(?!#category=)/);
});

test('fleetHtml: without findings and with one readable account, has no table of findings', () => {
  const { buckets: _, diff: __, ...rest } = report;
  expect(fleetHtml({ ...rest, buckets: [] })).toContain('No findings.');
});

test('fleetSarif: each finding is a result with a location, and the unreadable account a notification', () => {
  const { runs } = fleetSarif(report, '0.0.0') as {
    runs: [{ results: Record<string, unknown>[]; invocations: [{ toolExecutionNotifications: object[] }] }];
  };
  const [{ results, invocations }] = runs;
  expect(results).toHaveLength(findings.length);
  expect(results.every(({ locations }) => Array.isArray(locations) && locations.length === 1)).toBe(true);
  const states = results.map(({ baselineState }) => baselineState);
  expect(states.filter((state) => state === 'new')).toHaveLength(report.diff?.added.length ?? -1);
  expect(states).toContain('unchanged');
  expect(invocations[0].toolExecutionNotifications).toHaveLength(1);
});

test('fleet outputs: the same report gives the same text', () => {
  for (const render of [fleetCsv, fleetHtml]) expect(render(structuredClone(report))).toBe(render(report));
});
