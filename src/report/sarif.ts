import { CODES, type Code } from '../proof/codes.ts';
import type { Finding, RuleProof } from '../proof/types.ts';

const LEVELS = { error: 'error', warning: 'warning', unknown: 'warning', info: 'note' } as const;

/** Findings as SARIF 2.1.0, so that a code host can show them on the lines of the specs. */
export function sarif(proofs: readonly RuleProof[], version: string): object {
  const results = proofs.flatMap((proof) => proof.findings.map((finding) => resultOf(proof, finding)));
  const codes = [...new Set(results.map(({ ruleId }) => ruleId))].sort();
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'replikey',
            version,
            rules: codes.map(describe),
          },
        },
        results,
      },
    ],
  };
}

const describe = (code: Code) => ({
  id: code,
  shortDescription: { text: CODES[code].title },
  defaultConfiguration: { level: LEVELS[CODES[code].severity] },
});

function resultOf({ bucket, rule, destination }: RuleProof, { code, severity, message, at }: Finding) {
  const subject = rule === '' ? bucket : `${rule} (${bucket} → ${destination})`;
  return {
    ruleId: code,
    level: LEVELS[severity],
    message: { text: `${subject}: ${message}` },
    ...(at && at.file !== ''
      ? {
          locations: [
            {
              physicalLocation: {
                artifactLocation: { uri: at.file },
                region: { startLine: at.line, startColumn: at.column },
              },
            },
          ],
        }
      : {}),
    partialFingerprints: { replikey: `${code} ${bucket} ${rule}` },
  };
}
