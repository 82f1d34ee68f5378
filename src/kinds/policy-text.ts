import type { Statements } from '../core/statements.ts';
import type { Policy } from '../iam/types.ts';

/** IAM answers policies URL-encoded (RFC 3986) and the JavaScript SDK leaves them so; S3 and KMS answer plain JSON. */
export function policyOf(text: string): Policy {
  return JSON.parse(text.startsWith('%7B') ? decodeURIComponent(text) : text) as Policy;
}

/** A principal whose role was deleted reads as its bare id, and grants nothing any more. */
export const deletedPrincipals = (statements: Statements): string[] =>
  Object.values(statements).some(({ Principal }) => JSON.stringify(Principal ?? '').includes('"AROA'))
    ? ['a principal reads as a bare AROA id: the role that it named was deleted and made anew']
    : [];
