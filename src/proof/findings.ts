import { FINDING_CODES, type FindingCode } from './codes.ts';
import type { Finding, Fix, RuleProof } from './types.ts';

/** A finding, with what its code says of it. */
export const createFinding = (code: FindingCode, message: string, fixes: readonly Fix[] = []): Finding => {
  const { title, severity, ...optional } = FINDING_CODES[code] as (typeof FINDING_CODES)[FindingCode] & {
    failureReason?: string;
  };
  return {
    code,
    severity,
    title,
    message,
    ...(optional.failureReason === undefined ? {} : { failureReason: optional.failureReason }),
    fixes: [...fixes],
  };
};

const SEVERITY_ORDER: Finding['severity'][] = ['error', 'unknown', 'warning', 'info'];

/** Findings with the worst first, otherwise in the order in which S3 meets them; and what they come to. */
export function summarizeFindings(findings: readonly Finding[]): Pick<RuleProof, 'verdict' | 'findings'> {
  const sorted = [...findings].sort(
    (a, b) => SEVERITY_ORDER.indexOf(a.severity) - SEVERITY_ORDER.indexOf(b.severity),
  );
  const [worst] = sorted;
  const verdict =
    worst?.severity === 'error' ? 'broken' : worst?.severity === 'unknown' ? 'unknown' : 'proven';
  return { verdict, findings: sorted };
}
