import { toList } from '../../iam/context.ts';
import type { Policy, Statement } from '../../iam/types.ts';
import { partitionOfArn, partitionOfRegion } from '../../util/arn.ts';
import { AwsError } from '../aws-error.ts';
import type { Call } from '../call.ts';
import { findUnknownPrincipal, parsePolicyInput, replaceRoleArnsWithIds } from '../stored-policies.ts';
import { iamValidationError, limitExceededError } from './access.ts';

/**
 * Checks an identity policy as IAM does, in the partition of a Region.
 *
 * @throws AwsError when IAM would reject the policy.
 */
export function checkIdentityPolicy(text: string, region: string): void {
  checkPolicyCharacters(text);
  const policy = parsePolicyInput(text, () => malformedPolicyError('Syntax errors in policy.'));
  const sids = new Set<string>();
  for (const statement of toList(policy.Statement)) {
    const failedCheck = STATEMENT_CHECKS.find(({ isViolated }) => isViolated(statement));
    if (failedCheck) throw malformedPolicyError(failedCheck.message(statement));
    const foreignArn = findForeignArn(statement, partitionOfRegion(region));
    if (foreignArn !== undefined) {
      throw malformedPolicyError(
        `Partition "${partitionOfArn(foreignArn)}" is not valid for resource "${foreignArn}".`,
      );
    }
    if (statement.Sid === undefined) continue;
    if (sids.has(statement.Sid))
      throw malformedPolicyError('Statement IDs (SID) in a single policy must be unique.');
    sids.add(statement.Sid);
  }
}

interface StatementCheck {
  isViolated(statement: Statement): boolean;
  message(statement: Statement): string;
}

/** Checks of a statement of an identity policy, in the order of IAM. */
const STATEMENT_CHECKS: StatementCheck[] = [
  {
    isViolated: ({ Principal, NotPrincipal }) => (Principal ?? NotPrincipal) !== undefined,
    message: () => 'Policy document should not specify a principal.',
  },
  {
    isViolated: ({ Action, NotAction }) => toList(Action ?? NotAction).length === 0,
    message: () => 'Policy statement must contain actions.',
  },
  {
    isViolated: ({ Resource, NotResource }) => toList(Resource ?? NotResource).length === 0,
    message: () => 'Policy statement must contain resources.',
  },
  {
    isViolated: ({ Action, NotAction }) =>
      toList(Action ?? NotAction).some((action) => action !== '*' && !action.includes(':')),
    message: () => 'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.',
  },
  {
    isViolated: (statement) => findNonArn(statement) !== undefined,
    message: (statement) => `Resource ${findNonArn(statement)} must be in ARN format or "*".`,
  },
];

const findNonArn = ({ Resource, NotResource }: Statement): string | undefined =>
  toList(Resource ?? NotResource).find(
    (resource) => resource !== '*' && !/^arn:[^:]*:[^:]*:[^:]*:[^:]*:./.test(resource),
  );

/** Returns the first resource of a statement whose ARN names another partition. */
const findForeignArn = ({ Resource, NotResource }: Statement, partition: string): string | undefined =>
  toList(Resource ?? NotResource).find(
    (resource) =>
      resource.startsWith('arn:') &&
      !/[*?]/.test(partitionOfArn(resource)) &&
      partitionOfArn(resource) !== partition,
  );

/**
 * Returns a trust policy in the form in which IAM stores it.
 *
 * @throws AwsError when IAM would reject the policy.
 */
export function toStoredTrustPolicy(call: Call, text: string): string {
  checkPolicyCharacters(text);
  const policy = parsePolicyInput(text, () => malformedPolicyError('This policy contains invalid Json'));
  checkTrustPolicy(policy);
  const missingPrincipal = findUnknownPrincipal(call.store, policy, call.now);
  if (missingPrincipal !== undefined)
    throw malformedPolicyError(`Invalid principal in policy: "AWS":"${missingPrincipal}"`);
  if (policySizeOf(text) > 2048) throw limitExceededError('Cannot exceed quota for ACLSizePerRole: 2048');
  return replaceRoleArnsWithIds(call.store, text, call.now);
}

function checkTrustPolicy({ Statement }: Policy): void {
  for (const statement of toList(Statement)) {
    if ((statement.Resource ?? statement.NotResource) !== undefined)
      throw malformedPolicyError('Has prohibited field Resource');
    if ((statement.Principal ?? statement.NotPrincipal) === undefined)
      throw malformedPolicyError('Missing required field Principal');
    if (
      !toList(statement.Action ?? statement.NotAction).every((action) =>
        action.toLowerCase().startsWith('sts:'),
      )
    )
      throw malformedPolicyError('AssumeRole policy may only specify STS AssumeRole actions.');
  }
}

/** Returns the size that counts against a quota. IAM does not count white space. */
export const policySizeOf = (text: string): number => text.replace(/\s/g, '').length;

/** Percent-encodes text by RFC 3986, including the characters that encodeURIComponent does not encode. */
export const encodeRfc3986 = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

const malformedPolicyError = (message: string): AwsError =>
  new AwsError(400, 'MalformedPolicyDocument', message);

/** Checks the characters of a policy. IAM accepts only TAB, LF, CR and U+0020 to U+00FF. */
function checkPolicyCharacters(text: string): void {
  if (/^[\t\n\r\u0020-\u00ff]+$/.test(text)) return;
  throw iamValidationError(
    text.slice(0, 40),
    'policyDocument',
    'Member must satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+',
  );
}
