import type { Place } from '../core/resource.ts';
import { UserError } from '../errors.ts';

/** An AWS error for a person: code and message, what was asked of whom and where, and the request id. */
export function describeError(error: unknown, operation: string, at: Place): string {
  if (error instanceof UserError) return error.message;
  if (!(error instanceof Error)) return `${operation} failed: ${String(error)}`;
  const { $metadata, $fault } = error as {
    $metadata?: { requestId?: string; httpStatusCode?: number };
    $fault?: string;
  };
  const where = [at.account && `account ${at.account}`, at.region].filter(Boolean).join(', ');
  const request = $metadata?.requestId ? `, request ${$metadata.requestId}` : '';
  const status = $fault && $metadata?.httpStatusCode ? ` (HTTP ${$metadata.httpStatusCode})` : '';
  return `${operation} in ${where}: ${nameAndMessage(error, status)}${request}${advice(error, operation)}`;
}

/**
 * `SlowDown: Please reduce your request rate`. A fault of the network has no name of its own, but a message; nor has what
 * the SDK calls a CredentialsProviderError, which says who was asked for credentials.
 */
export function nameAndMessage(error: Error, status = ''): string {
  const message = error.message.replace(/\.$/, '');
  const isNamed = !['Error', 'CredentialsProviderError'].includes(error.name);
  return isNamed ? `${error.name}${status}: ${message}` : message;
}

const ADVICE: Record<string, string> = {
  AccessDenied: 'these credentials lack the permission',
  AccessDeniedException: 'these credentials lack the permission',
  BucketAlreadyExists: 'the name is taken by another account: choose another',
  ExpiredToken: 'renew the credentials',
  ExpiredTokenException: 'renew the credentials',
  InvalidClientTokenId: 'the access key is not known',
  CredentialsProviderError: 'set AWS_PROFILE or the AWS_* variables, or declare an Account document',
};

/** Every S3 call carries the expected owner, so that S3 also denies what belongs to somebody else. */
function advice(error: Error, operation: string): string {
  const { httpStatusCode } = (error as { $metadata?: { httpStatusCode?: number } }).$metadata ?? {};
  // An answer to HEAD has no body, and so no code.
  const nameless = ['Unknown', 'Forbidden', '403'].includes(error.name);
  const name = nameless && httpStatusCode === 403 ? 'AccessDenied' : error.name;
  const profile = process.env.AWS_PROFILE;
  if (name === 'CredentialsProviderError' && profile !== undefined)
    return `; AWS_PROFILE is "${profile}": is there such a profile in ~/.aws, and does it have credentials?`;
  const advised = ADVICE[name];
  if (!advised) return '';
  const owner = name === 'AccessDenied' && operation.startsWith('s3:');
  return `; ${advised}${owner ? ', or the bucket belongs to another account' : ''}`;
}
