/**
 * Error response of AWS: HTTP status, code and message as a client sees them, and the additional elements of S3
 * (`BucketName`, `ArgumentName`, …). A handler throws it, and the protocol layer encodes it.
 */
export class AwsError extends Error {
  readonly status: number;
  readonly code: string;
  readonly fields: Record<string, string>;
  readonly headers: Record<string, string>;

  constructor(
    status: number,
    code: string,
    message: string,
    fields: Record<string, string> = {},
    headers: Record<string, string> = {},
  ) {
    super(message);
    this.name = 'AwsError';
    this.status = status;
    this.code = code;
    this.fields = fields;
    this.headers = headers;
  }
}

/** Converts an internal error of the sandbox to an InternalError response, with the cause for debugging. */
export function toAwsError(error: unknown): AwsError {
  if (error instanceof AwsError) return error;
  // The message of a system error, for example of a full disk, is sufficient without the stack.
  const detail =
    error instanceof Error && !('syscall' in error) ? (error.stack ?? error.message) : String(error);
  return new AwsError(
    500,
    'InternalError',
    `We encountered an internal error. Please try again. (${detail})`,
  );
}

/** Returns the error of IAM, STS and KMS for a value that the model of an operation does not allow. */
export const constraintError = (
  code: 'ValidationError' | 'ValidationException',
  value: unknown,
  member: string,
  constraint: string,
): AwsError =>
  new AwsError(
    400,
    code,
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: ${constraint}`,
  );

/** Returns S3's error for a request that contradicts itself or the state of the resource. */
export const invalidRequestError = (message: string): AwsError =>
  new AwsError(400, 'InvalidRequest', message);

/** Returns the error for a request that AWS supports and the sandbox does not. It names what the sandbox lacks. */
export const missingFeatureError = (feature: string): AwsError =>
  new AwsError(501, 'NotImplemented', `The sandbox does not implement ${feature}`);
