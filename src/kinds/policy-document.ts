import type { Current } from '../core/resource.ts';
import { parseStoredPolicy } from '../iam/parse.ts';
import type { Policy, Statement } from '../iam/types.ts';
import { hasReplikeySid, type Statements } from '../policy/statements.ts';

/**
 * IAM answers policies URL-encoded (RFC 3986) and the JavaScript SDK leaves them so; S3 and KMS answer plain JSON.
 *
 * @throws PolicyError for what is no policy.
 */
export const parsePolicyDocument = (text: string): Policy =>
  parseStoredPolicy(text.trimStart().startsWith('{') ? text : decodePolicyText(text));

/** Text that is not URL-encoded stays as it is, for the parser to refuse. */
function decodePolicyText(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Whether nothing would stay in a policy, neither of ours nor of anybody's. */
export const isPolicyEmpty = (desired: { statements: Statements }, { foreign }: Current): boolean =>
  Object.keys(desired.statements).length === 0 && ((foreign as Statement[] | undefined) ?? []).length === 0;

/** What there is to say of a policy: grants that lead nowhere, and statements of specs that this run was not given. */
export function policyNotes(managed: Statements, foreign: unknown): string[] {
  const undeclaredSids = ((foreign as Statement[] | undefined) ?? [])
    .filter(hasReplikeySid)
    .map(({ Sid }) => Sid);
  // A principal whose role was deleted reads as its bare id, and grants nothing any more.
  const hasDeletedPrincipal = Object.values(managed).some(({ Principal }) =>
    JSON.stringify(Principal ?? '').includes('"AROA'),
  );
  return [
    ...(hasDeletedPrincipal
      ? ['a principal reads as a bare AROA id: the role that it named was deleted and made anew']
      : []),
    ...(undeclaredSids.length > 0
      ? [`has statements of specs that are not given here, left as they are: ${undeclaredSids.join(', ')}`]
      : []),
  ];
}
