import { accountOfArn } from '../../iam/context.ts';
import { accountRootArn, bucketArn } from '../../util/arn.ts';
import { bucketPolicyOf, isRestrictedFor } from '../authorize.ts';
import { AwsError } from '../aws-error.ts';
import { authorizeCaller, type Call } from '../call.ts';
import type { BucketState, VersionState } from '../state.ts';
import { s3ConditionKeysOf } from './condition-keys.ts';

/** Checks of every bucket request, in the order of S3. */

export const accessDeniedError = (message = 'Access Denied'): AwsError =>
  new AwsError(403, 'AccessDenied', message);

export const noSuchBucketError = (name: string): AwsError =>
  new AwsError(404, 'NoSuchBucket', 'The specified bucket does not exist', { BucketName: name });

/** Returns S3's canonical user id of an account. */
export const canonicalUserIdOf = (account: string): string =>
  Buffer.from(account).toString('hex').padEnd(64, '0');

export interface BucketInput {
  Bucket: string;
  ExpectedBucketOwner?: string;
}

/**
 * Returns the bucket of a request. The bucket exists, is in the Region of the request's signature and belongs to the
 * expected owner. The caller has permission for the action.
 *
 * @throws AwsError when one of these checks fails.
 */
export function getAuthorizedBucket(
  call: Call,
  input: BucketInput & { VersionId?: string },
  action: string,
  key?: string,
): BucketState {
  const bucket = getBucket(call, input);
  checkBucketAccess(call, bucket, action, key, input.VersionId);
  return bucket;
}

/** Returns the bucket of a request after the same checks as `getAuthorizedBucket`, except the caller's permission. */
export function getBucket(call: Call, { Bucket, ExpectedBucketOwner }: BucketInput): BucketState {
  checkExpectedOwner(ExpectedBucketOwner);
  const bucket = call.store.bucket(Bucket);
  if (!bucket) throw noSuchBucketError(Bucket);
  if (bucket.region !== call.region && call.operation !== 'GetBucketLocation')
    throw wrongRegionError(bucket, call);
  if (ExpectedBucketOwner !== undefined && ExpectedBucketOwner !== bucket.owner) throw accessDeniedError();
  return bucket;
}

/**
 * Adds the Region of the bucket to the response, of success or failure. S3 returns it for lists of objects and for
 * HeadBucket.
 */
export function addBucketRegionHeader({ responseHeaders }: Call, { region }: BucketState): void {
  responseHeaders['x-amz-bucket-region'] = region;
}

/**
 * Checks that the expected owner is an account id.
 * fact: localstack put_bucket_policy with an invalid expected owner
 */
function checkExpectedOwner(owner: string | undefined): void {
  if (owner === undefined || /^\d{12}$/.test(owner)) return;
  throw new AwsError(
    400,
    'InvalidBucketOwnerAWSAccountID',
    `The value of the expected bucket owner parameter must be an AWS Account ID... [${owner}]`,
  );
}

/**
 * Returns the redirect to the Region of the bucket. S3 names that Region in a header, and the endpoint in the body.
 * A response to HeadBucket has no body.
 */
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

/**
 * Checks the caller's permission for an action on S3 as a whole, or on a bucket that does not exist yet. Only the
 * caller's identity policies decide.
 */
export function checkCallerAccess(
  call: Call,
  action: string,
  resource: string,
  context: Record<string, string | string[]> = s3ConditionKeysOf(call, action, {}),
): void {
  const decision = authorizeCaller(call, { action, resource, context });
  if (!decision.allowed) throw notAuthorizedError(call, action, resource, decision.reason);
}

/**
 * Checks that the caller may pass a role to a service. The caller's identity policies decide about the ARN alone: the role
 * need not exist. A caller cannot pass a role of another account.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
 */
export function checkPassRole(
  call: Call,
  roleArn: string,
  service: string,
  context: Record<string, string> = {},
): void {
  if (accountOfArn(roleArn) !== call.caller.account) throw accessDeniedError();
  checkCallerAccess(call, 'iam:PassRole', roleArn, { 'iam:PassedToService': service, ...context });
}

/**
 * Checks the caller's permission for an action on the bucket, or on an object in it. The root of the owner account may
 * do everything that the bucket policy does not deny. Sessions need policies that allow the action.
 */
export function checkBucketAccess(
  call: Call,
  bucket: BucketState,
  action: string,
  key?: string,
  versionId?: string,
): void {
  if (isRestrictedFor(bucket, call.caller.account)) throw accessDeniedError();
  const resource = key === undefined ? bucketArn(bucket.name, bucket.region) : objectArn(bucket, key);
  const decision = authorizeCaller(call, {
    action,
    resource,
    resourceAccount: bucket.owner,
    context: s3ConditionKeysOf(call, action, {
      bucket,
      ...(key === undefined ? {} : { key }),
      ...(versionId === undefined ? {} : { versionId }),
    }),
    ...bucketPolicyOf(call.store, bucket, call.now),
  });
  if (decision.allowed) return;
  // The root of the owner account can always read, replace and delete the bucket policy, even if that policy denies it.
  if (call.caller.arn === accountRootArn(bucket.owner, bucket.region) && /BucketPolicy$/.test(action)) return;
  throw notAuthorizedError(call, action, resource, decision.reason);
}

/** Returns whether the caller has a permission, which decides what a response contains. */
export function hasBucketAccess(...check: Parameters<typeof checkBucketAccess>): boolean {
  try {
    checkBucketAccess(...check);
    return true;
  } catch (error) {
    if (error instanceof AwsError) return false;
    throw error;
  }
}

/**
 * Returns the action of S3 for an object, or for the version that a request names: `s3:GetObjectTagging` becomes
 * `s3:GetObjectVersionTagging`.
 */
export const objectAction = (action: string, versionId: string | undefined): string =>
  versionId === undefined ? action : action.replace(/^(s3:[A-Z][a-z]+Object)/, '$1Version');

/**
 * Reads a version of an object. For a key or version that does not exist, S3 reveals this with 404 only to callers that
 * may list the bucket. Other callers get 403 (S3 API Reference, "GetObject" and "HeadObject", Permissions).
 */
export function readUnlessHidden<T>(call: Call, bucket: BucketState, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof AwsError && error.status === 404) checkBucketAccess(call, bucket, 's3:ListBucket');
    throw error;
  }
}

/**
 * Checks that the caller's account owns the object, if the object has an owner other than the bucket owner. Neither the
 * bucket owner nor the bucket policy can grant access to such an object.
 * fact: stackd/cross-acct-owner
 */
export function requireObjectOwner(call: Call, { owner }: VersionState): void {
  if (owner !== undefined && owner !== call.caller.account) throw accessDeniedError();
}

export const objectArn = ({ name, region }: Pick<BucketState, 'name' | 'region'>, key: string): string =>
  `${bucketArn(name, region)}/${key}`;

/** Returns AccessDenied. S3 includes the reason for users and for sessions of roles. */
const notAuthorizedError = ({ caller }: Call, action: string, resource: string, reason: string): AwsError =>
  accessDeniedError(
    /:(assumed-role|user)\//.test(caller.arn)
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
