import type { Location } from '../core/resource.ts';
import { UserError } from '../errors.ts';

/** An AWS error for a person: code and message, what was asked of whom and where, and the request id. */
export function formatAwsError(error: unknown, operation: string, location: Location): string {
  if (error instanceof UserError) return error.message;
  if (!(error instanceof Error)) return `${operation} failed: ${String(error)}`;
  const { $metadata, $fault } = error as {
    $metadata?: { requestId?: string; httpStatusCode?: number };
    $fault?: string;
  };
  const locationText = [location.account && `account ${location.account}`, location.region]
    .filter(Boolean)
    .join(', ');
  const requestText = $metadata?.requestId ? `, request ${$metadata.requestId}` : '';
  const statusText = $fault && $metadata?.httpStatusCode ? ` (HTTP ${$metadata.httpStatusCode})` : '';
  return `${operation} in ${locationText}: ${formatNameAndMessage(error, statusText)}${requestText}${adviceFor(error, operation)}`;
}

/**
 * `SlowDown: Please reduce your request rate`. A fault of the network has no name of its own, but a message; nor has what
 * the SDK calls a CredentialsProviderError, which says who was asked for credentials.
 */
export function formatNameAndMessage(error: Error, statusText = ''): string {
  const message = error.message.replace(/\.$/, '');
  const hasOwnName = !['Error', 'CredentialsProviderError'].includes(error.name);
  return hasOwnName ? `${error.name}${statusText}: ${message}` : message;
}

const ADVICE_BY_ERROR: Record<string, string> = {
  AccessDenied: 'these credentials lack the permission',
  AccessDeniedException: 'these credentials lack the permission',
  BucketAlreadyExists: 'the name is taken by another account: choose another',
  ExpiredToken: 'renew the credentials',
  ExpiredTokenException: 'renew the credentials',
  InvalidClientTokenId: 'the access key is not known',
  CredentialsProviderError: 'set AWS_PROFILE or the AWS_* variables, or declare an Account document',
};

/** Every S3 call carries the expected owner, so that S3 also denies what belongs to somebody else. */
function adviceFor(error: Error, operation: string): string {
  const { httpStatusCode } = (error as { $metadata?: { httpStatusCode?: number } }).$metadata ?? {};
  // An answer to HEAD has no body, and so no code.
  const hasNoCode = ['Unknown', 'Forbidden', '403'].includes(error.name);
  const name = hasNoCode && httpStatusCode === 403 ? 'AccessDenied' : error.name;
  const profile = process.env.AWS_PROFILE;
  if (name === 'CredentialsProviderError' && profile !== undefined)
    return `; AWS_PROFILE is "${profile}": is there such a profile in ~/.aws, and does it have credentials?`;
  const advice = ADVICE_BY_ERROR[name];
  if (!advice) return '';
  const mayBeForeignBucket = name === 'AccessDenied' && operation.startsWith('s3:');
  return `; ${advice}${mayBeForeignBucket ? ', or the bucket belongs to another account' : ''}`;
}
