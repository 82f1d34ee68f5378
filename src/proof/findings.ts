import { CODES, type Code } from './codes.ts';
import type { Finding, Fix, RuleProof } from './types.ts';

/** A finding, with what its code says of it. */
export const finding = (code: Code, message: string, fixes: readonly Fix[] = []): Finding => {
  const { title, severity, ...more } = CODES[code] as (typeof CODES)[Code] & { failureReason?: string };
  return {
    code,
    severity,
    title,
    message,
    ...(more.failureReason === undefined ? {} : { failureReason: more.failureReason }),
    fixes: [...fixes],
  };
};

const ORDER: Finding['severity'][] = ['error', 'unknown', 'warning', 'info'];

/** Findings with the worst first, otherwise in the order in which S3 meets them; and what they come to. */
export function judged(findings: readonly Finding[]): Pick<RuleProof, 'verdict' | 'findings'> {
  const sorted = [...findings].sort(
    (one, other) => ORDER.indexOf(one.severity) - ORDER.indexOf(other.severity),
  );
  const [worst] = sorted;
  const verdict =
    worst?.severity === 'error' ? 'broken' : worst?.severity === 'unknown' ? 'unknown' : 'proven';
  return { verdict, findings: sorted };
}
