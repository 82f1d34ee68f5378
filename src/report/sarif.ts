import { position } from '../core/names.ts';
import { CODES, type Code, type FindingKind } from '../proof/codes.ts';
import type { Finding, RuleVerdict } from '../proof/types.ts';
import type { BucketReplication, Position } from '../spec/types.ts';

/** What belongs to findings beside them. */
interface Around {
  /** Of replikey. */
  version: string;
  pairs: readonly BucketReplication[];
  /** A spec as a code host names it: relative to the root of the repository. */
  uriOf(file: string): string;
}

const LEVELS = { error: 'error', warning: 'warning', unknown: 'warning', info: 'note' } as const;

/** Findings as SARIF 2.1.0, so that a code host can show them on the lines of the specs. */
export function sarif(proofs: readonly RuleVerdict[], around: Around): object {
  const results = proofs.flatMap((proof) =>
    proof.findings.map((finding) => resultOf(proof, finding, around)),
  );
  const codes = [...new Set(results.map(({ ruleId }) => ruleId))].sort();
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'replikey',
            version: around.version,
            rules: codes.map(describe),
          },
        },
        columnKind: 'utf16CodeUnits',
        results,
      },
    ],
  };
}

function describe(code: Code) {
  const { title, severity, failureReason }: FindingKind = CODES[code];
  return {
    id: code,
    shortDescription: { text: title },
    fullDescription: { text: failureReason === undefined ? title : `${title} (S3 says ${failureReason})` },
    help: { text: `docs/findings/${code}.md of replikey says how it shows and how to mend it.` },
    defaultConfiguration: { level: LEVELS[severity] },
  };
}

function resultOf(proof: RuleVerdict, { code, severity, message, at }: Finding, around: Around) {
  const { bucket, rule, destination } = proof;
  const subject = rule === '' ? bucket : `${rule} (${bucket} → ${destination})`;
  const place = at && at.file !== '' ? at : speakingOf(bucket, around.pairs);
  return {
    ruleId: code,
    level: LEVELS[severity],
    message: { text: `${subject}: ${message}` },
    ...(place && {
      locations: [
        {
          physicalLocation: {
            artifactLocation: { uri: around.uriOf(place.file) },
            region: { startLine: place.line, startColumn: place.column },
          },
        },
      ],
    }),
    partialFingerprints: { replikey: `${code} ${bucket} ${rule}` },
  };
}

/** GitHub takes no file with a result that lies nowhere: a rule of somebody else lies where its bucket is declared. */
function speakingOf(bucket: string, pairs: readonly BucketReplication[]): Position | undefined {
  const pair = pairs.find(({ source }) => source.bucket === bucket);
  return pair && position(pair, 'spec.source.bucket');
}
