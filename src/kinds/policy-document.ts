import { isRedrive } from '../core/ids.ts';
import { type Change, KEEP_RETAINED, type Retention } from '../core/kind.ts';
import { type Current, DEFAULT_DRAIN_MS, type Resource } from '../core/resource.ts';
import { parseStoredPolicy } from '../iam/parse.ts';
import type { Policy, Statement } from '../iam/types.ts';
import {
  deletedPrincipalIn,
  hasReplikeySid,
  isRedriveStatement,
  joinPolicy,
  omitRedundantStatements,
  type Statements,
  splitPolicy,
} from '../policy/statements.ts';
import {
  isGranted,
  lostStatements,
  parseRetained,
  type RetainedStatement,
  toRetained,
} from '../policy/transitions.ts';
import { compareCodeUnits } from '../util/canonical-json.ts';

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

/** Splits a policy into the statements of the specs that declare the resource, retained and foreign statements. */
export function splitByOwner(
  policy: Policy,
  { declaredBy, pruneOwners }: Resource,
): {
  managed: Statements;
  foreign: Statement[];
  retained: RetainedStatement[];
  /** The element Id of the policy, which a write keeps. */
  attrs: Record<string, string>;
} {
  const { managed, foreign } = splitPolicy(policy, declaredBy, pruneOwners);
  const attrs: Record<string, string> = policy.Id === undefined ? {} : { policyId: policy.Id };
  const retained = foreign.flatMap((statement) => parseRetained(statement) ?? []);
  if (retained.length === 0) return { managed, foreign, retained, attrs };
  const entries = new Set(retained.map(({ entry }) => entry));
  return { managed, foreign: foreign.filter((statement) => !entries.has(statement)), retained, attrs };
}

/**
 * Returns the whole policy with the desired statements; undefined for an orphaned policy that would be empty. The
 * permissions that the current policy grants and the desired statements do not are retained.
 */
export function renderPolicy(
  resource: Resource<PolicySpec>,
  current: Current<PolicySpec, Statement[]> | undefined,
  retention: Retention = KEEP_RETAINED,
): Policy | undefined {
  const { spec, orphaned } = resource;
  const foreign = current?.foreign ?? [];
  const statements = omitRedundantStatements(spec.statements, foreign);
  const retained = retainedAfter(resource, current, statements, retention).map(({ entry }) => entry);
  if (orphaned && Object.keys(statements).length + foreign.length + retained.length === 0) return undefined;
  return joinPolicy(statements, [...foreign, ...retained], current?.attrs.policyId);
}

/** Returns the retained statements that a write leaves, in the order of their expiry. */
function retainedAfter(
  { drainMs = DEFAULT_DRAIN_MS, orphaned }: Resource,
  current: Current<PolicySpec, Statement[]> | undefined,
  statements: Statements,
  { mode, nowMs }: Retention,
): RetainedStatement[] {
  if (!current) return [];
  const grants = Object.values(statements);
  const untilMs = expiryOf(nowMs, drainMs);
  // A statement that is declared again needs no retention.
  const existing = ((current.retained as RetainedStatement[] | undefined) ?? []).filter(
    ({ original, expiresAtMs }) =>
      !(mode === 'narrow' && expiresAtMs <= nowMs) &&
      !isGranted(original, grants) &&
      deletedPrincipalIn(original) === undefined,
  );
  const renewed =
    mode === 'renew'
      ? existing.map((retained) =>
          retained.expiresAtMs < untilMs
            ? toRetained(retained.replaces, retained.original, untilMs)
            : retained,
        )
      : existing;
  // Without a drain, prune removes the permissions of a spec after its rules.
  const lost =
    mode === 'narrow' || (orphaned && drainMs === 0)
      ? []
      : Object.entries(lostStatements(current.spec.statements, statements)).map(([sid, statement]) =>
          toRetained(sid, statement, untilMs),
        );
  const byId = new Map([...renewed, ...lost].map((retained) => [retained.id, retained]));
  return [...byId.values()].sort((a, b) => compareCodeUnits(a.id, b.id));
}

/** Time between the write of a permission and the change of the rules that follows, in milliseconds. */
const SWITCH_MS = 60_000;

/** Returns the expiry of a permission that is replaced now. It ends in the past without a drain. */
const expiryOf = (nowMs: number, drainMs: number): number =>
  drainMs === 0 ? nowMs - SWITCH_MS : nowMs + drainMs + SWITCH_MS;

/**
 * Returns why S3 and KMS would refuse the policy: a foreign statement names a deleted user or role, which both show by
 * its bare id, and refuse in every write (`Invalid principal in policy`).
 */
export function deletedPrincipalProblem(
  foreign: readonly Statement[] | undefined,
  policy: string,
): string | undefined {
  for (const statement of foreign ?? []) {
    const id = deletedPrincipalIn(statement);
    if (id !== undefined)
      return `the statement ${statement.Sid ?? 'without a Sid'} in the ${policy} names the deleted user or role ${id}, and AWS refuses every write of a policy that names one; remove that statement or its principal`;
  }
  return undefined;
}

/** Returns notes on a policy: grants to deleted principals, and statements of specs that are not part of this run. */
export function policyNotes({ current, resource }: Change<PolicySpec, unknown, Statement[]>): string[] {
  if (!current) return [];
  // A re-drive knows no specs, and belongs to none.
  const undeclaredSids = resource.declaredBy.every(isRedrive)
    ? []
    : (current.foreign ?? [])
        .filter((statement) => hasReplikeySid(statement) && !isRedriveStatement(statement))
        .map(({ Sid }) => Sid);
  // IAM shows a principal whose role was deleted by its bare id. It grants nothing any more.
  const hasDeletedPrincipal = Object.values(current.spec.statements).some(
    (statement) => deletedPrincipalIn(statement) !== undefined,
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
