import type { Service } from '../../src/aws/clients.ts';

/** What can go wrong with one call. */
export interface Fault {
  name: string;
  /** Whether AWS does what was asked, though nobody hears of it. */
  isCarriedOut: boolean;
  /** What the client gets instead of the answer. */
  instead: Instead;
}

/** An error, as a service tells it. */
export interface Refusal {
  status: number;
  code: string;
  message: string;
}

export type Instead =
  | {
      how:
        | 'refuse the connection'
        | 'reset at once'
        | 'reset in the answer'
        | 'never answer'
        | 'stop in the answer';
    }
  | { how: 'half the body' | 'a page' }
  | { how: 'an error'; of: Record<Service, Refusal> };

const everywhere = (status: number, code: string, message: string): Record<Service, Refusal> => {
  const one = { status, code, message };
  return { s3: one, iam: one, sts: one, kms: one, cloudtrail: one };
};

const FIVE_HUNDRED: Instead = {
  how: 'an error',
  of: {
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
export const FAULTS: readonly Fault[] = [
  { name: 'connection refused', isCarriedOut: false, instead: { how: 'refuse the connection' } },
  { name: 'connection reset at once', isCarriedOut: false, instead: { how: 'reset at once' } },
  { name: 'connection reset in the answer', isCarriedOut: true, instead: { how: 'reset in the answer' } },
  { name: 'no answer, until the timeout', isCarriedOut: true, instead: { how: 'never answer' } },
  { name: 'an answer that stops half-way', isCarriedOut: true, instead: { how: 'stop in the answer' } },
  { name: '500', isCarriedOut: false, instead: FIVE_HUNDRED },
  { name: '500, though carried out', isCarriedOut: true, instead: FIVE_HUNDRED },
  {
    name: '503 of the service',
    isCarriedOut: false,
    instead: {
      how: 'an error',
      of: {
        ...everywhere(503, 'ServiceUnavailable', 'Service is unable to handle request.'),
        kms: { status: 503, code: 'DependencyTimeoutException', message: 'The system timed out.' },
      },
    },
  },
  {
    name: 'throttled (S3: 503 SlowDown)',
    isCarriedOut: false,
    instead: {
      how: 'an error',
      of: {
        ...everywhere(400, 'Throttling', 'Rate exceeded'),
        s3: { status: 503, code: 'SlowDown', message: 'Please reduce your request rate.' },
        kms: { status: 400, code: 'ThrottlingException', message: 'Rate exceeded' },
      },
    },
  },
  { name: 'half of the XML or JSON', isCarriedOut: true, instead: { how: 'half the body' } },
  { name: 'an HTML page with 200', isCarriedOut: false, instead: { how: 'a page' } },
  {
    name: 'clock skew',
    isCarriedOut: false,
    instead: {
      how: 'an error',
      of: {
        ...everywhere(403, 'SignatureDoesNotMatch', 'Signature not yet current'),
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
    isCarriedOut: false,
    instead: {
      how: 'an error',
      of: {
        ...everywhere(403, 'ExpiredToken', 'The security token included in the request is expired'),
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
    isCarriedOut: false,
    instead: {
      how: 'an error',
      of: {
        ...everywhere(403, 'AccessDenied', 'User is not authorized to perform this action'),
        kms: {
          status: 400,
          code: 'AccessDeniedException',
          message: 'User is not authorized to perform this action',
        },
      },
    },
  },
];
