import type { FleetBucket, FleetFinding, FleetReport } from '../fleet/types.ts';
import { SARIF_LEVELS, sarifLog } from './sarif.ts';

/**
 * Returns the findings of a fleet report as SARIF 2.1.0. A finding is about a bucket and not about a file: its location names
 * `123456789012/us-east-1/acme-tax`, in the place of a file as well, because GitHub rejects a result without one. After a comparison with an earlier run, each result has its
 * `baselineState`. Accounts that could not be read are notifications: they limit the run, and are no results.
 */
export function fleetSarif(
  { accounts, buckets, diff, startedAt, endedAt }: FleetReport,
  version: string,
): object {
  const added = new Set(diff?.added.map((finding) => fingerprint(finding.account, finding.bucket, finding)));
  const changed = new Set(diff?.changed.map(({ after }) => fingerprint(after.account, after.bucket, after)));
  const baselineOf = (identity: string) =>
    added.has(identity) ? 'new' : changed.has(identity) ? 'updated' : 'unchanged';
  const results = buckets.flatMap((bucket) =>
    bucket.findings.map((finding) => {
      const identity = fingerprint(bucket.account, bucket.name, finding);
      return {
        ...fleetResultOf(bucket, finding),
        ...(diff ? { baselineState: baselineOf(identity) } : {}),
        partialFingerprints: { replikey: identity },
      };
    }),
  );
  const notifications = accounts.flatMap(({ id, name = id, error }) =>
    error === undefined
      ? []
      : [{ level: 'error', message: { text: `the account ${name} cannot be read: ${error}` } }],
  );
  return sarifLog(results, version, {
    invocations: [
      {
        executionSuccessful: true,
        startTimeUtc: startedAt,
        endTimeUtc: endedAt,
        ...(notifications.length > 0 ? { toolExecutionNotifications: notifications } : {}),
      },
    ],
  });
}

const fingerprint = (
  account: string,
  bucket: string,
  { category, code, rule = '', destination = '' }: FleetFinding,
): string => [account, bucket, category, code, destination, rule].join(' ');

function fleetResultOf(
  { account, region, name }: FleetBucket,
  { category, severity, code, message, rule, destination, since }: FleetFinding,
) {
  const route = destination === undefined ? name : `${name} → ${destination}`;
  const subject = rule === undefined || rule === '' ? route : `${rule} (${route})`;
  const bucketPath = [account, region, name].filter((part) => part !== undefined);
  const path = rule === undefined || rule === '' ? bucketPath : [...bucketPath, rule];
  return {
    ruleId: code,
    level: SARIF_LEVELS[severity],
    message: { text: `${subject}: ${message}` },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: bucketPath.map(encodeURIComponent).join('/') },
          region: { startLine: 1 },
        },
        logicalLocations: [
          {
            name: rule === undefined || rule === '' ? name : rule,
            fullyQualifiedName: path.join('/'),
            kind: 'resource',
          },
        ],
      },
    ],
    properties: {
      tags: [category],
      account,
      bucket: name,
      ...(region === undefined ? {} : { region }),
      since,
    },
  };
}
