import type { Seen } from '../core/resource.ts';
import { isMarked, type Statements } from '../core/statements.ts';
import { readPolicy } from '../iam/parse.ts';
import type { Policy, Statement } from '../iam/types.ts';

/**
 * IAM answers policies URL-encoded (RFC 3986) and the JavaScript SDK leaves them so; S3 and KMS answer plain JSON.
 *
 * @throws PolicyError for what is no policy.
 */
export const policyOf = (text: string): Policy =>
  readPolicy(text.trimStart().startsWith('{') ? text : decoded(text));

/** Text that is not URL-encoded stays as it is, for the parser to refuse. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Whether nothing would stay in a policy, neither of ours nor of anybody's. */
export const isSpent = (desired: { statements: Statements }, { rest }: Seen): boolean =>
  Object.keys(desired.statements).length === 0 && ((rest as Statement[] | undefined) ?? []).length === 0;

/** What there is to say of a policy: grants that lead nowhere, and statements of specs that this run was not given. */
export function remarks(ours: Statements, rest: unknown): string[] {
  const others = ((rest as Statement[] | undefined) ?? []).filter(isMarked).map(({ Sid }) => Sid);
  // A principal whose role was deleted reads as its bare id, and grants nothing any more.
  const deleted = Object.values(ours).some(({ Principal }) =>
    JSON.stringify(Principal ?? '').includes('"AROA'),
  );
  return [
    ...(deleted
      ? ['a principal reads as a bare AROA id: the role that it named was deleted and made anew']
      : []),
    ...(others.length > 0
      ? [`has statements of specs that are not given here, left as they are: ${others.join(', ')}`]
      : []),
  ];
}
