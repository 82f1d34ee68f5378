import { toList } from '../../iam/context.ts';
import type { Policy } from '../../iam/types.ts';
import { partitionOfRegion } from '../../util/arn.ts';
import { AwsError } from '../aws-error.ts';
import type { Call } from '../call.ts';
import {
  findUnknownPrincipal,
  parsePolicyInput,
  replaceRoleArnsWithIds,
  SERVICE_PRINCIPAL,
} from '../stored-policies.ts';
import { iamValidationError, limitExceededError } from './access.ts';
import { PolicyGrammarError, parseIdentityPolicy, parseStrictJson } from './policy-grammar.ts';

/**
 * Checks an identity policy as IAM does, in the partition of a Region.
 *
 * @throws AwsError when IAM would reject the policy.
 */
export function checkIdentityPolicy(text: string, region: string): void {
  checkPolicyCharacters(text);
  try {
    parseIdentityPolicy(text, partitionOfRegion(region));
  } catch (error) {
    if (error instanceof PolicyGrammarError) throw malformedPolicyError(error.message);
    throw error;
  }
}

/**
 * Returns a trust policy in the form in which IAM stores it.
 *
 * @throws AwsError when IAM would reject the policy.
 */
export function toStoredTrustPolicy(call: Call, text: string): string {
  checkPolicyCharacters(text);
  if (parseStrictJson(text) === undefined) throw malformedPolicyError('This policy contains invalid Json');
  const policy = parsePolicyInput(text, () => malformedPolicyError('This policy contains invalid Json'));
  checkTrustPolicy(policy);
  const missingPrincipal = findUnknownPrincipal(call.store, policy, call.now);
  if (missingPrincipal !== undefined)
    throw malformedPolicyError(`Invalid principal in policy: "AWS":"${missingPrincipal}"`);
  if (policySizeOf(text) > 2048) throw limitExceededError('Cannot exceed quota for ACLSizePerRole: 2048');
  return replaceRoleArnsWithIds(call.store, text, call.now);
}

/** Actions of STS that a trust policy can contain. */
const STS_ACTION = /^sts:(assumerole|tagsession|setsourceidentity|setcontext|getcalleridentity|\*)/i;

function checkTrustPolicy({ Statement }: Policy): void {
  for (const statement of toList(Statement)) {
    if ((statement.Resource ?? statement.NotResource) !== undefined)
      throw malformedPolicyError('Has prohibited field Resource');
    if ((statement.Principal ?? statement.NotPrincipal) === undefined)
      throw malformedPolicyError('Missing required field Principal');
    const actions = toList(statement.Action ?? statement.NotAction);
    if (actions.length === 0) throw malformedPolicyError('Missing required field Action');
    if (!actions.every((action) => STS_ACTION.test(action)))
      throw malformedPolicyError('AssumeRole policy may only specify STS AssumeRole actions.');
    const services = [statement.Principal, statement.NotPrincipal].flatMap((principal) =>
      typeof principal === 'object' ? toList(principal.Service) : [],
    );
    const unknownService = services.find((service) => !SERVICE_PRINCIPAL.test(service));
    if (unknownService !== undefined)
      throw malformedPolicyError(`Invalid principal in policy: "SERVICE":"${unknownService}"`);
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
