import type { OneOrMany, Policy, Statement } from '../iam/types.ts';
import { AwsError } from './aws-error.ts';
import type { Call } from './call.ts';
import { limitExceeded, violation } from './iam-access.ts';
import { parseStored } from './policy-input.ts';
import { storePrincipals, unknownPrincipal } from './principals.ts';

/** What IAM takes as an identity policy. */
export function checkDocument(text: string): void {
  checkCharacters(text);
  const policy = parseStored(text, () => malformed('Syntax errors in policy.'));
  const sids = new Set<string>();
  for (const statement of list(policy.Statement)) {
    const fault = FAULTS.find(({ found }) => found(statement));
    if (fault) throw malformed(fault.message(statement));
    if (statement.Sid === undefined) continue;
    if (sids.has(statement.Sid)) throw malformed('Statement IDs (SID) in a single policy must be unique.');
    sids.add(statement.Sid);
  }
}

interface Fault {
  found(statement: Statement): boolean;
  message(statement: Statement): string;
}

/** What a statement of an identity policy must be, in the order in which IAM looks. */
const FAULTS: Fault[] = [
  {
    found: ({ Principal, NotPrincipal }) => (Principal ?? NotPrincipal) !== undefined,
    message: () => 'Policy document should not specify a principal.',
  },
  {
    found: ({ Action, NotAction }) => list(Action ?? NotAction).length === 0,
    message: () => 'Policy statement must contain actions.',
  },
  {
    found: ({ Resource, NotResource }) => list(Resource ?? NotResource).length === 0,
    message: () => 'Policy statement must contain resources.',
  },
  {
    found: ({ Action, NotAction }) =>
      list(Action ?? NotAction).some((one) => one !== '*' && !one.includes(':')),
    message: () => 'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.',
  },
  {
    found: (statement) => notArn(statement) !== undefined,
    message: (statement) => `Resource ${notArn(statement)} must be in ARN format or "*".`,
  },
];

const notArn = ({ Resource, NotResource }: Statement): string | undefined =>
  list(Resource ?? NotResource).find((one) => one !== '*' && !/^arn:[^:]*:[^:]*:[^:]*:[^:]*:./.test(one));

/** What IAM takes as a trust policy, as it stores it. */
export function acceptedTrust(call: Call, text: string): string {
  checkCharacters(text);
  const policy = parseStored(text, () => malformed('This policy contains invalid Json'));
  checkTrust(policy);
  const unknown = unknownPrincipal(call.store, policy, call.now);
  if (unknown !== undefined) throw malformed(`Invalid principal in policy: "AWS":"${unknown}"`);
  if (significant(text) > 2048) throw limitExceeded('Cannot exceed quota for ACLSizePerRole: 2048');
  return storePrincipals(call.store, text, call.now);
}

function checkTrust({ Statement }: Policy): void {
  for (const statement of list(Statement)) {
    if ((statement.Resource ?? statement.NotResource) !== undefined)
      throw malformed('Has prohibited field Resource');
    if ((statement.Principal ?? statement.NotPrincipal) === undefined)
      throw malformed('Missing required field Principal');
    if (!list(statement.Action ?? statement.NotAction).every((one) => one.toLowerCase().startsWith('sts:')))
      throw malformed('AssumeRole policy may only specify STS AssumeRole actions.');
  }
}

/** The size that counts against a quota: without white space. */
export const significant = (text: string): number => text.replace(/\s/g, '').length;

/** RFC 3986: also what encodeURIComponent leaves alone. */
export const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

const malformed = (message: string): AwsError => new AwsError(400, 'MalformedPolicyDocument', message);

/** TAB, LF, CR and U+0020 to U+00FF are all that IAM takes. */
function checkCharacters(text: string): void {
  if (/^[\t\n\r\u0020-\u00ff]+$/.test(text)) return;
  throw violation(
    text.slice(0, 40),
    'policyDocument',
    'Member must satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+',
  );
}

const list = <T>(value: OneOrMany<T> | undefined): T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];
