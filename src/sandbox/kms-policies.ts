import { authorize } from './authorize.ts';
import { AwsError } from './aws-error.ts';
import type { Call, Handlers } from './call.ts';
import { changed, notPendingDeletion, ownKey } from './kms-access.ts';
import { formatPolicy, keyArn } from './kms-keys.ts';
import { parseStored } from './policy-input.ts';
import { showPrincipals, storePrincipals, unknownPrincipal } from './principals.ts';
import type { KeyState } from './state.ts';

/** The operations on key policies. */
export const keyPolicyHandlers: Handlers = {
  GetKeyPolicy: (call, input) => ({
    Policy: formatPolicy(JSON.parse(showPrincipals(call.store, ownKey(call, input.KeyId).policy))),
    PolicyName: 'default',
  }),

  PutKeyPolicy(call, input) {
    const key = ownKey(call, input.KeyId);
    notPendingDeletion(key);
    key.policy = acceptedPolicy(call, input.Policy, key, input.BypassPolicyLockoutSafetyCheck);
    return changed(call, {});
  },

  ListKeyPolicies(call, input) {
    ownKey(call, input.KeyId);
    return { PolicyNames: ['default'], Truncated: false };
  },
};

/** A policy as KMS stores it, once it has passed: principals exist, and the caller is not locked out. */
export function acceptedPolicy(call: Call, text: string, key?: KeyState, bypassLockoutCheck = false): string {
  if (Buffer.byteLength(text) > 32_768)
    throw new AwsError(400, 'LimitExceededException', 'The key policy is longer than 32 KB');
  const policy = parseStored(text, malformed);
  const statements = Array.isArray(policy.Statement) ? policy.Statement : [policy.Statement];
  const nameless = statements.some(
    ({ Principal, NotPrincipal }) => Principal === undefined && NotPrincipal === undefined,
  );
  if (nameless || unknownPrincipal(call.store, policy, call.now) !== undefined)
    throw malformed('Policy contains a statement with one or more invalid principals.');
  if (!bypassLockoutCheck) {
    const { allowed } = authorize(
      call.store,
      {
        principal: call.caller.arn,
        action: 'kms:PutKeyPolicy',
        resource: key?.arn ?? keyArn(call.caller.account, call.region, 'new'),
        resourceAccount: call.caller.account,
        resourcePolicy: { name: 'the new key policy', policy },
      },
      call.now,
    );
    if (!allowed)
      throw malformed('The new key policy will not allow you to update the key policy in the future.');
  }
  return storePrincipals(call.store, formatPolicy(policy), call.now);
}

const malformed = (message: string): AwsError =>
  new AwsError(400, 'MalformedPolicyDocumentException', message);
