/**
 * An error that AWS would answer: HTTP status, code and message as a client sees them, and the extra elements that
 * S3 puts beside them (`BucketName`, `ArgumentName`, …). A handler throws it; the protocol layer writes it.
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

/** A fault of the sandbox is told as AWS tells its own, with the reason for whoever debugs it. */
export function toAwsError(error: unknown): AwsError {
  if (error instanceof AwsError) return error;
  // What the system refuses, as a full disk does, says all in its message.
  const detail =
    error instanceof Error && !('syscall' in error) ? (error.stack ?? error.message) : String(error);
  return new AwsError(
    500,
    'InternalError',
    `We encountered an internal error. Please try again. (${detail})`,
  );
}

/** The error of IAM, STS and KMS for a value that the model of an operation does not allow. */
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
