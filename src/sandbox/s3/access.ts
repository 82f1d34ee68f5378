import { bucketPolicyOf } from '../authorize.ts';
import { AwsError } from '../aws-error.ts';
import { authorizeCaller, type Call } from '../call.ts';
import type { BucketState, VersionState } from '../state.ts';

/** The checks that every request on a bucket passes, in the order in which S3 makes them. */

const accessDeniedError = (message = 'Access Denied'): AwsError => new AwsError(403, 'AccessDenied', message);

export const noSuchBucketError = (name: string): AwsError =>
  new AwsError(404, 'NoSuchBucket', 'The specified bucket does not exist', { BucketName: name });

export interface BucketInput {
  Bucket: string;
  ExpectedBucketOwner?: string;
}

/**
 * The bucket of a request: it exists, lies in the Region that the request was signed for, belongs to whom the request
 * expects, and the caller may do this to it.
 */
export function getAuthorizedBucket(
  call: Call,
  input: BucketInput,
  action: string,
  key?: string,
): BucketState {
  const bucket = getBucket(call, input);
  checkBucketAccess(call, bucket, action, key);
  return bucket;
}

/** The same, but for what the caller may do to it. */
export function getBucket(call: Call, { Bucket, ExpectedBucketOwner }: BucketInput): BucketState {
  checkExpectedOwner(ExpectedBucketOwner);
  const bucket = call.store.bucket(Bucket);
  if (!bucket) throw noSuchBucketError(Bucket);
  if (bucket.region !== call.region && call.operation !== 'GetBucketLocation')
    throw wrongRegionError(bucket, call);
  if (ExpectedBucketOwner !== undefined && ExpectedBucketOwner !== bucket.owner) throw accessDeniedError();
  return bucket;
}

/** fact: localstack put_bucket_policy with an invalid expected owner */
function checkExpectedOwner(owner: string | undefined): void {
  if (owner === undefined || /^\d{12}$/.test(owner)) return;
  throw new AwsError(
    400,
    'InvalidBucketOwnerAWSAccountID',
    `The value of the expected bucket owner parameter must be an AWS Account ID... [${owner}]`,
  );
}

/** S3 names the right Region in the answer; HEAD has no body to say it in. */
function wrongRegionError(bucket: BucketState, call: Call): AwsError {
  const headers = { 'x-amz-bucket-region': bucket.region };
  if (call.operation === 'HeadBucket')
    return new AwsError(301, 'PermanentRedirect', 'Moved Permanently', {}, headers);
  return new AwsError(
    301,
    'PermanentRedirect',
    'The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.',
    { Endpoint: `${bucket.name}.s3.${bucket.region}.amazonaws.com`, Bucket: bucket.name },
    headers,
  );
}

/** What is asked of S3 as a whole, or of a bucket that is not there yet: the caller's identity policies decide alone. */
export function checkCallerAccess(call: Call, action: string, resource: string): void {
  const decision = authorizeCaller(call, { action, resource });
  if (!decision.allowed) throw notAuthorizedError(call, action, resource, decision.reason);
}

/** The owner's root may do everything that the bucket policy does not deny; sessions need their policies. */
export function checkBucketAccess(call: Call, bucket: BucketState, action: string, key?: string): void {
  const arn = `arn:aws:s3:::${bucket.name}`;
  const resource = key === undefined ? arn : `${arn}/${key}`;
  const decision = authorizeCaller(call, {
    action,
    resource,
    resourceAccount: bucket.owner,
    context: { 'aws:SecureTransport': 'false' },
    ...bucketPolicyOf(call.store, bucket),
  });
  if (decision.allowed) return;
  // The owner's root can always mend the policy of its own bucket.
  if (call.caller.arn === `arn:aws:iam::${bucket.owner}:root` && /BucketPolicy$/.test(action)) return;
  throw notAuthorizedError(call, action, resource, decision.reason);
}

/**
 * What somebody else owns in a bucket, the bucket's own account and policy do not give.
 * fact: stackd/cross-acct-owner
 */
export function requireObjectOwner(call: Call, { owner }: VersionState): void {
  if (owner !== undefined && owner !== call.caller.account) throw accessDeniedError();
}

/** S3 says why only to those whose policies it would be about. */
const notAuthorizedError = ({ caller }: Call, action: string, resource: string, reason: string): AwsError =>
  accessDeniedError(
    caller.arn.includes(':assumed-role/')
      ? `User: ${caller.arn} is not authorized to perform: ${action} on resource: "${resource}" because ${reason}`
      : undefined,
  );

export const invalidArgumentError = (
  message: string,
  argumentName: string,
  argumentValue?: string,
): AwsError =>
  new AwsError(400, 'InvalidArgument', message, {
    ArgumentName: argumentName,
    ...(argumentValue === undefined ? {} : { ArgumentValue: argumentValue }),
  });
