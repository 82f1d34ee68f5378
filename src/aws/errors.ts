import type { Location } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { commandInfo, requiredAction } from './command.ts';

/**
 * Classes of AWS errors by how replikey handles them. The retries of the SDK are switched off, because the SDK retries
 * some final errors (LimitExceededException) and does not retry some transient ones (OperationAborted,
 * ConcurrentModification).
 */
export type ErrorClass =
  /** Too many calls: retry at a lower rate. */
  | 'throttle'
  /** A fault of the server or of the network: retry. */
  | 'transient'
  /** Another caller is changing the same resource: retry with longer waits. */
  | 'conflict'
  /** The credentials are invalid or have expired. */
  | 'credentials'
  /** Only a person can fix it. */
  | 'final';

const ERROR_CLASSES: Record<string, ErrorClass> = {
  Throttling: 'throttle',
  ThrottlingException: 'throttle',
  ThrottledException: 'throttle',
  RequestLimitExceeded: 'throttle',
  RequestThrottled: 'throttle',
  RequestThrottledException: 'throttle',
  TooManyRequestsException: 'throttle',
  SlowDown: 'throttle',
  BandwidthLimitExceeded: 'throttle',
  PriorRequestNotComplete: 'throttle',
  InternalError: 'transient',
  InternalFailure: 'transient',
  InternalServerError: 'transient',
  InternalServiceException: 'transient',
  ServiceUnavailable: 'transient',
  ServiceFailureException: 'transient',
  ServiceFailure: 'transient',
  KMSInternalException: 'transient',
  DependencyTimeoutException: 'transient',
  KeyUnavailableException: 'transient',
  RequestTimeout: 'transient',
  TimeoutError: 'transient',
  RequestTimeTooSkewed: 'transient',
  OperationAborted: 'conflict',
  ConcurrentModification: 'conflict',
  ConcurrentModificationException: 'conflict',
  EntityTemporarilyUnmodifiable: 'conflict',
  EntityTemporarilyUnmodifiableException: 'conflict',
  ExpiredToken: 'credentials',
  ExpiredTokenException: 'credentials',
  TokenRefreshRequired: 'credentials',
  InvalidAccessKeyId: 'credentials',
  InvalidClientTokenId: 'credentials',
  UnrecognizedClientException: 'credentials',
  InvalidToken: 'credentials',
  SignatureDoesNotMatch: 'credentials',
  InvalidSignatureException: 'credentials',
  RequestExpired: 'credentials',
  CredentialsProviderError: 'credentials',
  UnreachableEndpoint: 'final',
  // Hard quotas of IAM and KMS. A retry cannot succeed.
  LimitExceeded: 'final',
  LimitExceededException: 'final',
};

/**
 * Errors for valid credentials in an opt-in Region that the account has not enabled. They are also the errors for
 * invalid credentials.
 */
const DISABLED_REGION_CODES = new Set([
  'UnrecognizedClientException',
  'InvalidClientTokenId',
  'InvalidToken',
]);

/** Returns whether an error may mean that the account has not enabled the Region. */
export const mayBeDisabledRegion = (error: unknown): error is Error =>
  error instanceof Error && DISABLED_REGION_CODES.has(error.name);

/** The credentials are valid in another Region, but not in this one. The cause is the error of AWS. */
export class RegionNotEnabledError extends Error {
  override name = 'RegionNotEnabled';

  constructor(region: string, cause: Error) {
    super(
      `the credentials are valid, but not in ${region} (${formatNameAndMessage(cause)}): the account has not enabled the Region, or the session token is of the global endpoint of STS; enable the Region with "aws account enable-region --region-name ${region}", and use the regional endpoints of STS (AWS_STS_REGIONAL_ENDPOINTS=regional)`,
      { cause },
    );
  }
}

/**
 * Credentials cannot be loaded. The message is complete: source, reason and what to do. The cause is the error of the
 * SDK's provider.
 */
export class CredentialsError extends Error {
  override name = 'CredentialsError';
}

const NETWORK_ERROR_CODES = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'ENOTFOUND',
  'UND_ERR_SOCKET',
]);

/**
 * Returns the class of an error: by name first, then by network code, then by HTTP status. Unknown errors are final.
 */
export function classifyError(error: unknown): ErrorClass {
  if (!(error instanceof Error)) return 'final';
  const { code, $metadata } = error as {
    code?: string;
    $metadata?: { httpStatusCode?: number; clockSkewCorrected?: boolean };
  };
  if (error instanceof CredentialsError) {
    // AWS or the network failed while the credentials were loaded, so a retry may succeed.
    const causeClass = classifyError(error.cause);
    return causeClass === 'transient' || causeClass === 'throttle' ? causeClass : 'credentials';
  }
  const errorClass = ERROR_CLASSES[error.name];
  // The SDK has corrected its clock from this response, so the next signature is valid.
  if (errorClass === 'credentials' && $metadata?.clockSkewCorrected) return 'transient';
  if (errorClass) return errorClass;
  if (code !== undefined && NETWORK_ERROR_CODES.has(code)) return 'transient';
  const status = $metadata?.httpStatusCode;
  if (status === 429) return 'throttle';
  if (status !== undefined && status >= 500 && status !== 501) return 'transient';
  // A connection that breaks during a response leaves a body that cannot be parsed. The SDK clients that fetch
  // credentials report it with messages of their own.
  const isTruncatedResponse =
    error.name === 'UnreadableResponse' ||
    /socket hang up|premature|aborted|Deserialization error/i.test(error.message);
  if (isTruncatedResponse && (status ?? 200) < 300) return 'transient';
  return 'final';
}

/** Whether a request got no response: the network or a proxy failed, not AWS. */
export function isUnanswered(error: unknown): error is Error {
  if (error instanceof CredentialsError)
    return classifyError(error) === 'transient' && isUnanswered(error.cause);
  if (!(error instanceof Error)) return false;
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
  return $metadata?.httpStatusCode === undefined;
}

/**
 * Returns whether AWS denied access: the credentials lack the permission, or the bucket belongs to another account than
 * the expected owner.
 */
export function isAccessDenied(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { httpStatusCode } = (error as { $metadata?: { httpStatusCode?: number } }).$metadata ?? {};
  // The response to HEAD has no body, so it has no error code.
  const hasNoCode = ['Unknown', 'Forbidden', '403'].includes(error.name);
  return (
    error.name === 'AccessDenied' ||
    error.name === 'AccessDeniedException' ||
    (hasNoCode && httpStatusCode === 403)
  );
}

/** In characters. Messages of AWS are shorter. */
const MAX_ERROR_LENGTH = 2_000;

/**
 * Removes the parts of the request that AWS repeats in an error, and truncates the rest. When a signature does not
 * match, IAM, STS and KMS append the canonical request after an empty line. It contains the header with the session
 * token.
 */
export function redactError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { message, name, stack } = error;
  const [paragraph = ''] = message.split(/\r?\n\s*\n/, 1);
  const redacted = truncateMessage(paragraph);
  if (name.length > MAX_ERROR_LENGTH) error.name = truncateMessage(name);
  if (redacted === message) return error;
  error.message = redacted;
  if (stack !== undefined) error.stack = stack.replace(message, () => redacted);
  return error;
}

const truncateMessage = (text: string): string =>
  text.length <= MAX_ERROR_LENGTH ? text : `${text.slice(0, MAX_ERROR_LENGTH)}…`;

/** A call that failed, for messages about its error. */
interface FailedCall {
  /** `s3:PutBucketReplication` */
  operation: string;
  /** The IAM action that the call requires: `s3:PutReplicationConfiguration`. */
  action: string;
  location: Location;
}

const failedCalls = new WeakMap<Error, FailedCall>();

/** Records which call an error belongs to. Concurrent calls make it impossible to tell later. */
export function recordFailedCall(error: unknown, command: object, location: Location): void {
  if (!(error instanceof Error)) return;
  const { service, operation, input } = commandInfo(command);
  failedCalls.set(error, {
    operation: `${service}:${operation}`,
    action: requiredAction(service, operation, input),
    location,
  });
}

/** Formats an AWS error for a person: operation, account, Region, code, message, request id and advice. */
export function formatAwsError(error: unknown): string {
  if (error instanceof UserError || error instanceof CredentialsError) return error.message;
  if (!(error instanceof Error)) return String(error);
  const { $metadata, $fault } = error as {
    $metadata?: { requestId?: string; httpStatusCode?: number };
    $fault?: string;
  };
  const call = failedCalls.get(error);
  const requestText = $metadata?.requestId ? `, request ${$metadata.requestId}` : '';
  const statusText = $fault && $metadata?.httpStatusCode ? ` (HTTP ${$metadata.httpStatusCode})` : '';
  return `${call ? `${call.operation} in ${locationText(call.location)}: ` : ''}${formatNameAndMessage(error, statusText)}${requestText}${adviceFor(error, call)}`;
}

const locationText = ({ account, region }: Location): string =>
  [account && `account ${account}`, region].filter(Boolean).join(', ');

/**
 * Formats code and message: `SlowDown: Please reduce your request rate`. Network errors have no code. The messages of
 * CredentialsError and ProxyError already name the source.
 */
export function formatNameAndMessage(error: Error, statusText = ''): string {
  const message = error.message.replace(/\.$/, '');
  const hasOwnName = !['Error', 'CredentialsError', 'ProxyError'].includes(error.name);
  return hasOwnName ? `${error.name}${statusText}: ${message}` : message;
}

const ADVICE_BY_ERROR: Record<string, string> = {
  BucketAlreadyExists: 'another account owns the bucket name: choose another',
  ExpiredToken: 'renew the credentials',
  ExpiredTokenException: 'renew the credentials',
  InvalidClientTokenId: 'AWS does not recognize the access key: check the credentials',
};

/** Returns advice on an error. */
function adviceFor(error: Error, call: FailedCall | undefined): string {
  if (isAccessDenied(error)) return `; ${permissionAdvice(error, call)}`;
  const advice = ADVICE_BY_ERROR[error.name];
  return advice ? `; ${advice}` : '';
}

/**
 * Returns the permission that was denied: the one that AWS names, else the one that the operation requires. S3 also
 * denies access when the bucket belongs to another account than the expected owner.
 */
function permissionAdvice({ message }: Error, call: FailedCall | undefined): string {
  const [, namedAction] = /not authorized to perform:? ([a-z0-9-]+:\w+)/.exec(message) ?? [];
  const permission = `the permission ${namedAction ?? call?.action ?? ''}`.trimEnd();
  if (namedAction !== undefined && message.includes('explicit deny'))
    return `a policy denies these credentials ${permission}`;
  const mayBeForeignBucket = namedAction === undefined && call?.action.startsWith('s3:');
  return `these credentials lack ${permission}${mayBeForeignBucket ? ', or the bucket belongs to another account' : ''}`;
}
