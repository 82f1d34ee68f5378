import { positionOfPath } from '../core/ids.ts';
import type { FleetBucket, FleetFinding, FleetReport } from '../fleet/types.ts';
import { FINDING_CODES, type Finding, type FindingCode, type FindingDefinition } from '../proof/findings.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { BucketReplication, Position } from '../spec/types.ts';

/** Data that the SARIF output needs beside the findings. */
interface SarifContext {
  /** Version of replikey. */
  version: string;
  pairs: readonly BucketReplication[];
  /** Returns the path of a spec as a code host names it: relative to the root of the repository. */
  toUri(file: string): string;
  /** File of the results that have no position: a plan or template. */
  file?: string;
}

const SARIF_LEVELS = { error: 'error', warning: 'warning', unknown: 'warning', info: 'note' } as const;

/** Returns findings as SARIF 2.1.0, so that a code host can show them on the lines of the specs. */
export const toSarif = (proofs: readonly RuleVerdict[], context: SarifContext): object =>
  sarifLog(
    proofs.flatMap((proof) => proof.findings.map((finding) => sarifResultOf(proof, finding, context))),
    context.version,
  );

/** Returns a log of SARIF 2.1.0 with one run. */
function sarifLog(results: readonly { ruleId: FindingCode }[], version: string, run: object = {}): object {
  const codes = [...new Set(results.map(({ ruleId }) => ruleId))].sort();
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'replikey', version, rules: codes.map(sarifRuleOf) } },
        ...run,
        columnKind: 'utf16CodeUnits',
        results,
      },
    ],
  };
}

function sarifRuleOf(code: FindingCode) {
  const { title, severity, failureReason }: FindingDefinition = FINDING_CODES[code];
  return {
    id: code,
    shortDescription: { text: title },
    fullDescription: { text: failureReason === undefined ? title : `${title} (S3 reports ${failureReason})` },
    help: { text: `See docs/reference/findings/${code}.md of replikey for the symptoms and the fix.` },
    defaultConfiguration: { level: SARIF_LEVELS[severity] },
  };
}

function sarifResultOf(
  proof: RuleVerdict,
  { code, severity, message, at, resources = [] }: Finding,
  context: SarifContext,
) {
  const { bucket, rule, destination, address } = proof;
  const subject = rule === '' ? bucket : `${rule} (${bucket} → ${destination})`;
  const sourcePosition =
    at && at.file !== ''
      ? at
      : (bucketPosition(bucket, context.pairs) ??
        (context.file === undefined ? undefined : { file: context.file, line: 1, column: 1 }));
  // The resource to change first, then the one that contains the rule.
  const addresses = [...new Set([...resources, ...(address === undefined ? [] : [address])])];
  return {
    ruleId: code,
    level: SARIF_LEVELS[severity],
    message: { text: `${subject}: ${message}${addressText(resources)}` },
    ...(sourcePosition && {
      locations: [
        {
          physicalLocation: {
            artifactLocation: { uri: context.toUri(sourcePosition.file) },
            region: { startLine: sourcePosition.line, startColumn: sourcePosition.column },
          },
          ...(addresses.length > 0 && {
            logicalLocations: addresses.map((name) => ({ fullyQualifiedName: name, kind: 'resource' })),
          }),
        },
      ],
    }),
    partialFingerprints: { replikey: [code, bucket, rule, ...addresses].join(' ') },
  };
}

/** Code hosts show the message, and not every one shows logical locations. */
const addressText = (addresses: readonly string[]): string =>
  addresses.length === 0 ? '' : ` (in ${addresses.join(', ')})`;

/**
 * Returns the position of the spec's source bucket, for a finding about a foreign rule. GitHub rejects a file with a
 * result that has no location.
 */
function bucketPosition(bucket: string, pairs: readonly BucketReplication[]): Position | undefined {
  const pair = pairs.find(({ source }) => source.bucket === bucket);
  return pair && positionOfPath(pair, 'spec.source.bucket');
}

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
