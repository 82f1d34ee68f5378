import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { readReportRows } from '../../src/facts/job-report.ts';

/** Returns the rows of a file that arrives in small pieces. */
async function rowsOf(text: string) {
  const rows: object[] = [];
  const bytes = Buffer.from(text);
  const pieces = Array.from({ length: Math.ceil(bytes.length / 5) }, (_, index) =>
    bytes.subarray(index * 5, index * 5 + 5),
  );
  await readReportRows(Readable.from(pieces), (row) => rows.push(row));
  return rows;
}

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
])('readReportRows: reads %s', async (_, text) => {
  expect(await rowsOf(text)).toEqual([
    {
      key: 'Tax/2026 a.pdf',
      errorCode: 'DstObjectHardDeleted',
      message: 'Hard-deleted, so there is no replica',
    },
  ]);
});

test('readReportRows: reads quotes and line feeds in fields, and a file without a last line feed', async () => {
  const text = 'b,one,,failed,403,AccessDenied,"say ""no""\nagain"\n"b","two",,"failed","","",""';
  expect(await rowsOf(text)).toEqual([
    { key: 'one', errorCode: 'AccessDenied', message: 'say "no"\nagain' },
    { key: 'two', errorCode: '', message: '' },
  ]);
});

test('readReportRows: an empty file has no rows', async () => {
  expect(await rowsOf('')).toEqual([]);
});
