import { describe, expect, test } from 'vitest';
import { classifyError, type ErrorClass } from '../../src/aws/errors.ts';

const namedError = (name: string, fields: object = {}): Error =>
  Object.assign(new Error('…'), { name, ...fields });
const withStatus = (httpStatusCode: number) => namedError('UnknownCode', { $metadata: { httpStatusCode } });

const rows: [string, unknown, ErrorClass][] = [
  ['throttling by S3', namedError('SlowDown'), 'throttle'],
  ['throttling by IAM', namedError('Throttling'), 'throttle'],
  ['throttling by KMS', namedError('ThrottlingException'), 'throttle'],
  ['throttling by S3 Control', namedError('TooManyRequestsException'), 'throttle'],
  ['an unknown code with status 429', withStatus(429), 'throttle'],
  ['an internal error of S3', namedError('InternalError'), 'transient'],
  ['an internal error of KMS', namedError('KMSInternalException'), 'transient'],
  ['an internal error of S3 Control', namedError('InternalServiceException'), 'transient'],
  ['an unknown code with status 503', withStatus(503), 'transient'],
  ['a connection that was reset', namedError('Error', { code: 'ECONNRESET' }), 'transient'],
  ['a timeout', namedError('TimeoutError'), 'transient'],
  ['a clock that is wrong', namedError('RequestTimeTooSkewed'), 'transient'],
  [
    'a rejected signature after which the SDK corrected its clock',
    namedError('SignatureDoesNotMatch', { $metadata: { httpStatusCode: 403, clockSkewCorrected: true } }),
    'transient',
  ],
  [
    'a connection that closed within a response',
    new Error('Deserialization error: premature close'),
    'transient',
  ],
  [
    'a concurrent change of the bucket, which the SDK does not retry',
    namedError('OperationAborted'),
    'conflict',
  ],
  [
    'a concurrent change of the role, which the SDK does not retry',
    namedError('ConcurrentModificationException'),
    'conflict',
  ],
  ['a quota of IAM, which the SDK retries', namedError('LimitExceededException'), 'final'],
  ['expired credentials', namedError('ExpiredToken'), 'credentials'],
  ['a wrong secret key, reported by S3 or IAM', namedError('SignatureDoesNotMatch'), 'credentials'],
  ['a wrong secret key, reported by KMS', namedError('InvalidSignatureException'), 'credentials'],
  ['an invalid session token, reported by S3', namedError('InvalidToken'), 'credentials'],
  ['an unknown access key', namedError('InvalidClientTokenId'), 'credentials'],
  ['missing credentials', namedError('CredentialsProviderError'), 'credentials'],
  ['a missing permission', namedError('AccessDenied', { $metadata: { httpStatusCode: 403 } }), 'final'],
  ['a missing resource', namedError('NoSuchBucket', { $metadata: { httpStatusCode: 404 } }), 'final'],
  [
    'a missing resource, although the clock was wrong',
    namedError('NoSuchBucket', { $metadata: { clockSkewCorrected: true } }),
    'final',
  ],
  ['a batch job that has left the state', namedError('JobStatusException'), 'final'],
  ['an operation that is not implemented', withStatus(501), 'final'],
  ['a programming error', new TypeError('x is not a function'), 'final'],
  ['a thrown string', 'a text', 'final'],
];

describe('classifyError', () => {
  test.each(rows)('%s', (_, error, expected) => {
    expect(classifyError(error)).toBe(expected);
  });
});
