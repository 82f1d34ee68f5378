import type { Service } from '../../src/aws/command.ts';

/** What can go wrong with one call. */
export interface CallFault {
  name: string;
  /** Whether AWS does what was asked, though nobody hears of it. */
  isExecuted: boolean;
  /** What the client gets instead of the answer. */
  effect: FaultEffect;
}

/** An error, as a service tells it. */
export interface ErrorResponse {
  status: number;
  code: string;
  message: string;
}

export type FaultEffect =
  | {
      kind:
        | 'refuse the connection'
        | 'reset at once'
        | 'reset in the answer'
        | 'never answer'
        | 'stop in the answer';
    }
  | { kind: 'half the body' | 'a page' }
  | { kind: 'an error'; errors: Record<Service, ErrorResponse> };

const sameForAll = (status: number, code: string, message: string): Record<Service, ErrorResponse> => {
  const error = { status, code, message };
  return { s3: error, iam: error, sts: error, kms: error, cloudtrail: error };
};

const INTERNAL_ERROR: FaultEffect = {
  kind: 'an error',
  errors: {
    s3: {
      status: 500,
      code: 'InternalError',
      message: 'We encountered an internal error. Please try again.',
    },
    iam: { status: 500, code: 'ServiceFailure', message: 'The request processing has failed.' },
    sts: { status: 500, code: 'InternalFailure', message: 'The request processing has failed.' },
    kms: { status: 500, code: 'KMSInternalException', message: 'An internal error occurred.' },
    cloudtrail: { status: 500, code: 'InternalFailure', message: 'The request processing has failed.' },
  },
};

/** In the words of each service, as their references list them. */
export const FAULTS: readonly CallFault[] = [
  { name: 'connection refused', isExecuted: false, effect: { kind: 'refuse the connection' } },
  { name: 'connection reset at once', isExecuted: false, effect: { kind: 'reset at once' } },
  { name: 'connection reset in the answer', isExecuted: true, effect: { kind: 'reset in the answer' } },
  { name: 'no answer, until the timeout', isExecuted: true, effect: { kind: 'never answer' } },
  { name: 'an answer that stops half-way', isExecuted: true, effect: { kind: 'stop in the answer' } },
  { name: '500', isExecuted: false, effect: INTERNAL_ERROR },
  { name: '500, though carried out', isExecuted: true, effect: INTERNAL_ERROR },
  {
    name: '503 of the service',
    isExecuted: false,
    effect: {
      kind: 'an error',
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
      kind: 'an error',
      errors: {
        ...sameForAll(400, 'Throttling', 'Rate exceeded'),
        s3: { status: 503, code: 'SlowDown', message: 'Please reduce your request rate.' },
        kms: { status: 400, code: 'ThrottlingException', message: 'Rate exceeded' },
      },
    },
  },
  { name: 'half of the XML or JSON', isExecuted: true, effect: { kind: 'half the body' } },
  { name: 'an HTML page with 200', isExecuted: false, effect: { kind: 'a page' } },
  {
    name: 'clock skew',
    isExecuted: false,
    effect: {
      kind: 'an error',
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
      kind: 'an error',
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
      kind: 'an error',
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
