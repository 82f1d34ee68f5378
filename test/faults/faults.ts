import type { Service } from '../../src/aws/command.ts';

/** A fault of one call. */
export interface CallFault {
  name: string;
  /** Whether AWS executes the call, although the client gets no success. */
  isExecuted: boolean;
  /** What the client gets in place of the response. */
  effect: FaultEffect;
}

/** An error response of a service. */
export interface ErrorResponse {
  status: number;
  code: string;
  message: string;
}

export type FaultEffect =
  | {
      kind:
        | 'refuse the connection'
        | 'reset immediately'
        | 'reset in the response'
        | 'never respond'
        | 'stop in the response';
    }
  | { kind: 'half of the body' | 'HTML page' }
  | { kind: 'error response'; errors: Record<Service, ErrorResponse> };

const sameForAll = (status: number, code: string, message: string): Record<Service, ErrorResponse> => {
  const error = { status, code, message };
  return {
    s3: error,
    s3control: error,
    iam: error,
    sts: error,
    kms: error,
    cloudtrail: error,
    cloudwatch: error,
    sqs: error,
    sns: error,
    organizations: error,
  };
};

const INTERNAL_ERROR: FaultEffect = {
  kind: 'error response',
  errors: {
    s3: {
      status: 500,
      code: 'InternalError',
      message: 'We encountered an internal error. Please try again.',
    },
    s3control: { status: 500, code: 'InternalServiceException', message: 'Internal service error.' },
    iam: { status: 500, code: 'ServiceFailure', message: 'The request processing has failed.' },
    sts: { status: 500, code: 'InternalFailure', message: 'The request processing has failed.' },
    kms: { status: 500, code: 'KMSInternalException', message: 'An internal error occurred.' },
    cloudtrail: { status: 500, code: 'InternalFailure', message: 'The request processing has failed.' },
    cloudwatch: { status: 500, code: 'InternalServiceFault', message: 'The request processing has failed.' },
    sqs: { status: 500, code: 'InternalFailure', message: 'The request processing has failed.' },
    sns: { status: 500, code: 'InternalError', message: 'The request processing has failed.' },
    organizations: {
      status: 500,
      code: 'ServiceException',
      message: 'AWS Organizations cannot complete your request because of an internal service error.',
    },
  },
};

/** All faults, with the errors that the API reference of each service documents. */
export const FAULTS: readonly CallFault[] = [
  { name: 'connection refused', isExecuted: false, effect: { kind: 'refuse the connection' } },
  { name: 'connection reset immediately', isExecuted: false, effect: { kind: 'reset immediately' } },
  { name: 'connection reset in the response', isExecuted: true, effect: { kind: 'reset in the response' } },
  { name: 'no response until the timeout', isExecuted: true, effect: { kind: 'never respond' } },
  { name: 'a response that stops halfway', isExecuted: true, effect: { kind: 'stop in the response' } },
  { name: '500', isExecuted: false, effect: INTERNAL_ERROR },
  { name: '500 after execution', isExecuted: true, effect: INTERNAL_ERROR },
  {
    name: '503 of the service',
    isExecuted: false,
    effect: {
      kind: 'error response',
      errors: {
        ...sameForAll(503, 'ServiceUnavailable', 'Service is unable to handle request.'),
        kms: { status: 503, code: 'DependencyTimeoutException', message: 'The system timed out.' },
      },
    },
  },
  {
    name: 'throttled (S3: 503 SlowDown)',
    isExecuted: false,
    effect: {
      kind: 'error response',
      errors: {
        ...sameForAll(400, 'Throttling', 'Rate exceeded'),
        s3: { status: 503, code: 'SlowDown', message: 'Please reduce your request rate.' },
        kms: { status: 400, code: 'ThrottlingException', message: 'Rate exceeded' },
      },
    },
  },
  { name: 'half of the XML or JSON', isExecuted: true, effect: { kind: 'half of the body' } },
  { name: 'an HTML page with 200', isExecuted: false, effect: { kind: 'HTML page' } },
  {
    name: 'clock skew',
    isExecuted: false,
    effect: {
      kind: 'error response',
      errors: {
        ...sameForAll(403, 'SignatureDoesNotMatch', 'Signature not yet current'),
        s3: {
          status: 403,
          code: 'RequestTimeTooSkewed',
          message: "The difference between the request time and the server's time is too large.",
        },
        kms: { status: 400, code: 'InvalidSignatureException', message: 'Signature not yet current' },
      },
    },
  },
  {
    name: 'expired credentials',
    isExecuted: false,
    effect: {
      kind: 'error response',
      errors: {
        ...sameForAll(403, 'ExpiredToken', 'The security token included in the request is expired'),
        s3: { status: 400, code: 'ExpiredToken', message: 'The provided token has expired.' },
        kms: {
          status: 400,
          code: 'ExpiredTokenException',
          message: 'The security token included in the request is expired',
        },
      },
    },
  },
  {
    name: 'access denied',
    isExecuted: false,
    effect: {
      kind: 'error response',
      errors: {
        ...sameForAll(403, 'AccessDenied', 'User is not authorized to perform this action'),
        kms: {
          status: 400,
          code: 'AccessDeniedException',
          message: 'User is not authorized to perform this action',
        },
      },
    },
  },
];
