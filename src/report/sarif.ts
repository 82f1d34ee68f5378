import { positionOfPath } from '../core/ids.ts';
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

export const SARIF_LEVELS = { error: 'error', warning: 'warning', unknown: 'warning', info: 'note' } as const;

/** Returns findings as SARIF 2.1.0, so that a code host can show them on the lines of the specs. */
export const toSarif = (proofs: readonly RuleVerdict[], context: SarifContext): object =>
  sarifLog(
    proofs.flatMap((proof) => proof.findings.map((finding) => sarifResultOf(proof, finding, context))),
    context.version,
  );

/** Returns a log of SARIF 2.1.0 with one run. */
export function sarifLog(
  results: readonly { ruleId: FindingCode }[],
  version: string,
  run: object = {},
): object {
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
