import type { Change } from '../core/kind.ts';
import type { Resource } from '../core/resource.ts';
import { parseStoredPolicy } from '../iam/parse.ts';
import type { Policy, Statement } from '../iam/types.ts';
import {
  hasReplikeySid,
  joinPolicy,
  omitRedundantStatements,
  type Statements,
  splitPolicy,
} from '../policy/statements.ts';

/** The managed statements of a policy, by Sid. */
interface PolicySpec {
  statements: Statements;
}

export const EMPTY_POLICY = '{"Statement":[]}';

/**
 * Parses the text of a policy. IAM returns policies URL-encoded (RFC 3986), and the JavaScript SDK does not decode
 * them. S3 and KMS return plain JSON.
 *
 * @throws PolicyError for a text that is not a policy.
 */
export const parsePolicyDocument = (text: string): Policy =>
  parseStoredPolicy(text.trimStart().startsWith('{') ? text : decodePolicyText(text));

/** Decodes a URL-encoded policy. Text that is not URL-encoded stays as it is, so that the parser rejects it. */
function decodePolicyText(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Splits a policy into the statements of the specs that declare the resource, and foreign statements. */
export const splitByOwner = (policy: Policy, { declaredBy, pruneOwners }: Resource) =>
  splitPolicy(policy, declaredBy, pruneOwners);

/** Returns the whole policy with the desired statements; undefined for an orphaned policy that would be empty. */
export function renderPolicy(
  { spec, orphaned }: Resource<PolicySpec>,
  foreign: readonly Statement[] = [],
): Policy | undefined {
  const statements = omitRedundantStatements(spec.statements, foreign);
  if (orphaned && Object.keys(statements).length + foreign.length === 0) return undefined;
  return joinPolicy(statements, foreign);
}

/** Returns notes on a policy: grants to deleted principals, and statements of specs that are not part of this run. */
export function policyNotes({ current }: Change<PolicySpec, unknown, Statement[]>): string[] {
  if (!current) return [];
  const undeclaredSids = (current.foreign ?? []).filter(hasReplikeySid).map(({ Sid }) => Sid);
  // IAM shows a principal whose role was deleted by its bare id. It grants nothing any more.
  const hasDeletedPrincipal = Object.values(current.spec.statements).some(({ Principal }) =>
    JSON.stringify(Principal ?? '').includes('"AROA'),
  );
  return [
    ...(hasDeletedPrincipal
      ? ['a principal is a bare AROA id, because its role was deleted or recreated']
      : []),
    ...(undeclaredSids.length > 0
      ? [`has statements of specs outside this run, which replikey keeps: ${undeclaredSids.join(', ')}`]
      : []),
  ];
}
