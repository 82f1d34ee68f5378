import { stringify } from 'csv-stringify/sync';
import type { FleetReport } from '../fleet/types.ts';
import { escapeUnprintable } from '../util/escape.ts';

const CSV_COLUMNS = [
  'category',
  'severity',
  'code',
  'account',
  'account_name',
  'region',
  'bucket',
  'rule',
  'destination',
  'verdict',
  'specs',
  'manager',
  'since',
  'message',
] as const;

type Row = Partial<Record<(typeof CSV_COLUMNS)[number], string | undefined>>;

/**
 * Renders a fleet report as CSV (RFC 4180): a header, then one row for each finding, in the order of the report, then one
 * for each account that could not be read. A spreadsheet reads no value as a formula: a value that could be one begins
 * with an apostrophe.
 */
export function fleetCsv({ accounts, buckets, startedAt }: FleetReport): string {
  const namesById = new Map(accounts.map(({ id, name = '' }) => [id, name]));
  const findingRows = buckets.flatMap(({ findings, ...bucket }) =>
    findings.map(
      ({ category, severity, code, rule, destination, since, message }): Row => ({
        category,
        severity,
        code,
        account: bucket.account,
        account_name: namesById.get(bucket.account),
        region: bucket.region,
        bucket: bucket.name,
        rule,
        destination,
        verdict: bucket.verdict,
        specs: bucket.specs?.join(' '),
        manager: bucket.manager,
        since,
        message,
      }),
    ),
  );
  const accountRows = accounts.flatMap(({ id, name, error }): Row[] =>
    error === undefined
      ? []
      : [
          {
            category: 'unknown',
            severity: 'unknown',
            account: id,
            account_name: name,
            verdict: 'unknown',
            since: startedAt,
            message: `the account cannot be read: ${error}`,
          },
        ],
  );
  const rows = [...findingRows, ...accountRows].map((row) =>
    CSV_COLUMNS.map((column) => escapeUnprintable(row[column] ?? '')),
  );
  return stringify([CSV_COLUMNS, ...rows], { record_delimiter: 'windows', escape_formulas: true });
}
