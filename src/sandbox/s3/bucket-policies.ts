import { isPublicPolicy } from '../../iam/statement.ts';
import { bucketArn } from '../../util/arn.ts';
import { formatAccessDenied } from '../authorize.ts';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import type { BucketState } from '../state.ts';
import {
  parseDocument,
  replaceIdsWithRoleArns,
  replaceRoleArnsWithIds,
  supersedePolicy,
} from '../stored-policies.ts';
import { getAuthorizedBucket } from './access.ts';
import { getBucketSetting, markBucketChanged } from './bucket-settings.ts';
import { checkBucketPolicy } from './check-bucket-policy.ts';

export const bucketPolicyHandlers: Handlers = {
  PutBucketPolicy(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutBucketPolicy');
    const policy = checkBucketPolicy(input.Policy, bucket, call.store, call.now);
    if (bucket.publicAccessBlock?.BlockPublicPolicy && isPublicPolicy(policy)) {
      const action = 's3:PutBucketPolicy';
      const resource = `"${bucketArn(bucket.name, bucket.region)}"`;
      const reason = 'public policies are blocked by the BlockPublicPolicy block public access setting.';
      throw new AwsError(403, 'AccessDenied', formatAccessDenied(call.caller.arn, action, resource, reason));
    }
    return storeBucketPolicy(
      call,
      bucket,
      replaceRoleArnsWithIds(call.store, JSON.stringify(policy), call.now),
    );
  },

  GetBucketPolicy(call, input) {
    const policy = getBucketSetting(call, input, 's3:GetBucketPolicy', 'policy');
    return { Policy: replaceIdsWithRoleArns(call.store, policy) };
  },

  GetBucketPolicyStatus(call, input) {
    const policy = getBucketSetting(call, input, 's3:GetBucketPolicyStatus', 'policy');
    return { PolicyStatus: { IsPublic: isPublicPolicy(parseDocument(policy)) } };
  },

  DeleteBucketPolicy: (call, input) =>
    storeBucketPolicy(call, getAuthorizedBucket(call, input, 's3:DeleteBucketPolicy')),
};

/** Stores a bucket policy, or deletes it. S3 uses the earlier policy for the time of the propagation. */
function storeBucketPolicy(call: Call, bucket: BucketState, policy?: string): object {
  supersedePolicy(bucket, bucket.policy, call.now, call.faultSettings.policyPropagationMs);
  if (policy === undefined) delete bucket.policy;
  else bucket.policy = policy;
  return markBucketChanged(call, bucket);
}
