import { expect, test } from 'vitest';
import { parseReportRows } from '../../src/facts/job-report.ts';

/**
 * S3 User Guide, "Examples: S3 Batch Operations completion reports": the examples have the HTTP status before the error code,
 * `ReportSchema` names them in the other order. Keys are URL-encoded.
 */
test.each([
  [
    'the order of the examples',
    'acme-tax,Tax/2026%20a.pdf,v1,failed,500,DstObjectHardDeleted,"Hard-deleted, so there is no replica"\n',
  ],
  [
    'the order of the schema',
    'acme-tax,Tax/2026%20a.pdf,v1,failed,DstObjectHardDeleted,500,"Hard-deleted, so there is no replica"\r\n',
  ],
])('parseReportRows: reads %s', (_, text) => {
  expect(parseReportRows(text)).toEqual([
    {
      key: 'Tax/2026 a.pdf',
      errorCode: 'DstObjectHardDeleted',
      message: 'Hard-deleted, so there is no replica',
    },
  ]);
});

test('parseReportRows: reads quotes and line feeds in fields, and a file without a last line feed', () => {
  const text = 'b,one,,failed,403,AccessDenied,"say ""no""\nagain"\n"b","two",,"failed","","",""';
  expect(parseReportRows(text)).toEqual([
    { key: 'one', errorCode: 'AccessDenied', message: 'say "no"\nagain' },
    { key: 'two', errorCode: '', message: '' },
  ]);
});

test('parseReportRows: an empty file has no rows', () => {
  expect(parseReportRows('')).toEqual([]);
});
