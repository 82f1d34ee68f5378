import { AwsError } from '../aws-error.ts';
import { authorizeCaller, type Call, type Handlers, markAccountChanged } from '../call.ts';
import type { KeyState } from '../state.ts';
import {
  findUnknownPrincipal,
  parsePolicyInput,
  replaceIdsWithRoleArns,
  replaceRoleArnsWithIds,
  supersedePolicy,
} from '../stored-policies.ts';
import { getOwnKey, kmsPageOf } from './access.ts';
import { buildKeyArn, formatKeyPolicy, kmsNotFoundError } from './keys.ts';

/** Handlers of the operations on key policies. */
export const keyPolicyHandlers: Handlers = {
  GetKeyPolicy(call, input) {
    const key = getOwnKey(call, input.KeyId);
    if ((input.PolicyName ?? 'default') !== 'default') throw kmsNotFoundError('No such policy exists');
    return {
      Policy: formatKeyPolicy(JSON.parse(replaceIdsWithRoleArns(call.store, key.policy))),
      PolicyName: 'default',
    };
  },

  PutKeyPolicy(call, input) {
    const key = getOwnKey(call, input.KeyId);
    if ((input.PolicyName ?? 'default') !== 'default')
      throw new AwsError(400, 'UnsupportedOperationException', 'Only default policy is supported');
    const policy = toStoredKeyPolicy(call, input.Policy, key, input.BypassPolicyLockoutSafetyCheck);
    supersedePolicy(key, key.policy, call.now, call.faultSettings.policyPropagationMs);
    key.policy = policy;
    return markAccountChanged(call, {});
  },

  ListKeyPolicies(call, input) {
    getOwnKey(call, input.KeyId);
    const { items, ...page } = kmsPageOf(['default'], input, { defaultLimit: 100, maxLimit: 1000 });
    return { PolicyNames: items, ...page };
  },
};

/**
 * Returns a key policy in the form in which KMS stores it.
 *
 * @throws AwsError when a principal does not exist, or when the policy would lock the caller out.
 */
export function toStoredKeyPolicy(
  call: Call,
  text: string,
  key?: KeyState,
  bypassLockoutCheck = false,
): string {
  if (Buffer.byteLength(text) > 32_768)
    throw new AwsError(400, 'LimitExceededException', 'The key policy is longer than 32 KB');
  const policy = parsePolicyInput(text, malformedKeyPolicyError);
  const statements = Array.isArray(policy.Statement) ? policy.Statement : [policy.Statement];
  const hasMissingPrincipal = statements.some(
    ({ Principal, NotPrincipal }) => Principal === undefined && NotPrincipal === undefined,
  );
  if (hasMissingPrincipal || findUnknownPrincipal(call.store, policy, call.now) !== undefined)
    throw malformedKeyPolicyError('Policy contains a statement with one or more invalid principals.');
  if (!bypassLockoutCheck) {
    const { allowed } = authorizeCaller(call, {
      action: 'kms:PutKeyPolicy',
      resource: key?.arn ?? buildKeyArn(call.caller.account, call.region, 'new'),
      resourcePolicy: { name: 'the new key policy', policy },
    });
    if (!allowed)
      throw malformedKeyPolicyError(
        'The new key policy will not allow you to update the key policy in the future.',
      );
  }
  return replaceRoleArnsWithIds(call.store, formatKeyPolicy(policy), call.now);
}

const malformedKeyPolicyError = (message: string): AwsError =>
  new AwsError(400, 'MalformedPolicyDocumentException', message);
