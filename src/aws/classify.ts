/**
 * What an error of AWS means for us. The SDK's own retries are switched off: it retries some errors that are final
 * (LimitExceededException) and not some that pass (OperationAborted, ConcurrentModification).
 */
export type ErrorClass =
  /** Too many calls: try again, more slowly. */
  | 'throttle'
  /** A fault of the server or of the network: try again. */
  | 'transient'
  /** Somebody else is changing the same thing: try again, slowly. */
  | 'conflict'
  /** The credentials do not work, or not any more. */
  | 'credentials'
  /** Needs a person. */
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
  // Hard quotas of IAM and KMS: waiting does not raise them.
  LimitExceeded: 'final',
  LimitExceededException: 'final',
};

const NETWORK_ERROR_CODES = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'ENOTFOUND',
  'UND_ERR_SOCKET',
]);

/** The class of an error, by its name first, then by HTTP status; what is neither is a network fault, or final. */
export function classifyError(error: unknown): ErrorClass {
  if (!(error instanceof Error)) return 'final';
  const { code, $metadata } = error as {
    code?: string;
    $metadata?: { httpStatusCode?: number; clockSkewCorrected?: boolean };
  };
  const errorClass = ERROR_CLASSES[error.name];
  // A signature of another time: the SDK has set its clock by the answer, so that the next one is right.
  if (errorClass === 'credentials' && $metadata?.clockSkewCorrected) return 'transient';
  if (errorClass) return errorClass;
  if (code !== undefined && NETWORK_ERROR_CODES.has(code)) return 'transient';
  const status = $metadata?.httpStatusCode;
  if (status === 429) return 'throttle';
  if (status !== undefined && status >= 500 && status !== 501) return 'transient';
  // A connection that breaks in the middle of an answer leaves one that cannot be read; the clients that fetch
  // credentials mark it in their own way.
  const isTruncatedResponse =
    error.name === 'UnreadableAnswer' ||
    /socket hang up|premature|aborted|Deserialization error/i.test(error.message);
  if (isTruncatedResponse && (status ?? 200) < 300) return 'transient';
  return 'final';
}
