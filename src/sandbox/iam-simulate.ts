import { authorize } from './authorize.ts';
import { AwsError } from './aws-error.ts';
import type { Call } from './call.ts';
import { findRole } from './principals.ts';

/** IAM's policy simulator: what a role's own policies say to each action on each resource. */
export function simulatePrincipalPolicy(call: Call, input: SimulateInput) {
  const principal = input.PolicySourceArn;
  // fact: c7n/test_aws_lambda_check_permission_deleted_role/iam.SimulatePrincipalPolicy_1
  if (!findRole(call.store, principal, call.now))
    throw new AwsError(404, 'NoSuchEntity', 'Unable to retrieve specified IAM entity.');
  const context = Object.fromEntries(
    (input.ContextEntries ?? []).map(({ ContextKeyName, ContextKeyValues }) => [
      ContextKeyName,
      ContextKeyValues,
    ]),
  );
  const asked = input.ActionNames.flatMap((action) =>
    (input.ResourceArns ?? ['*']).map((resource) => ({ action, resource })),
  );
  const EvaluationResults = asked.map(({ action, resource }) => {
    const request = { principal, action, resource, resourceAccount: call.caller.account, context };
    const decision = authorize(call.store, request, call.now);
    return {
      EvalActionName: action,
      EvalResourceName: resource,
      EvalDecision: decision.kind === 'allow' ? 'allowed' : decision.kind,
      MatchedStatements: decision.by.map(({ policy }) => ({ SourcePolicyId: policy })),
      MissingContextValues: [],
    };
  });
  return { EvaluationResults, IsTruncated: false };
}

interface SimulateInput {
  PolicySourceArn: string;
  ActionNames: string[];
  ResourceArns?: string[];
  ContextEntries?: { ContextKeyName: string; ContextKeyValues: string[] }[];
}
