import { describe, expect, test } from 'vitest';
import { classifyError, type ErrorClass } from '../../src/aws/errors.ts';

const anError = (name: string, more: object = {}): Error => Object.assign(new Error('…'), { name, ...more });
const withStatus = (httpStatusCode: number) => anError('Unheard', { $metadata: { httpStatusCode } });

const rows: [string, unknown, ErrorClass][] = [
  ['too many calls, as S3 says it', anError('SlowDown'), 'throttle'],
  ['too many calls, as IAM says it', anError('Throttling'), 'throttle'],
  ['too many calls, as KMS says it', anError('ThrottlingException'), 'throttle'],
  ['too many calls, as nobody says it yet', withStatus(429), 'throttle'],
  ['a fault of S3', anError('InternalError'), 'transient'],
  ['a fault of KMS', anError('KMSInternalException'), 'transient'],
  ['a fault that nobody has heard of', withStatus(503), 'transient'],
  ['a connection that was reset', anError('Error', { code: 'ECONNRESET' }), 'transient'],
  ['an answer that did not come', anError('TimeoutError'), 'transient'],
  ['a clock that is off', anError('RequestTimeTooSkewed'), 'transient'],
  [
    'a signature of another time, after which the SDK has set its clock right',
    anError('SignatureDoesNotMatch', { $metadata: { httpStatusCode: 403, clockSkewCorrected: true } }),
    'transient',
  ],
  ['a connection that broke in an answer', new Error('Deserialization error: premature close'), 'transient'],
  ['another change of the bucket, which the SDK does not try again', anError('OperationAborted'), 'conflict'],
  [
    'another change of the role, which the SDK does not try again',
    anError('ConcurrentModificationException'),
    'conflict',
  ],
  ['a quota of IAM, which the SDK tries again in vain', anError('LimitExceededException'), 'final'],
  ['credentials that ran out', anError('ExpiredToken'), 'credentials'],
  ['a wrong secret key, as S3 and IAM say it', anError('SignatureDoesNotMatch'), 'credentials'],
  ['a wrong secret key, as KMS says it', anError('InvalidSignatureException'), 'credentials'],
  ['a session token that is none, as S3 says it', anError('InvalidToken'), 'credentials'],
  ['an access key that nobody knows', anError('InvalidClientTokenId'), 'credentials'],
  ['no credentials at all', anError('CredentialsProviderError'), 'credentials'],
  ['a permission that is missing', anError('AccessDenied', { $metadata: { httpStatusCode: 403 } }), 'final'],
  ['a thing that is missing', anError('NoSuchBucket', { $metadata: { httpStatusCode: 404 } }), 'final'],
  [
    'a thing that is missing, though the clock was off',
    anError('NoSuchBucket', { $metadata: { clockSkewCorrected: true } }),
    'final',
  ],
  ['what is not implemented', withStatus(501), 'final'],
  ['a mistake of ours', new TypeError('x is not a function'), 'final'],
  ['what is no error', 'a text', 'final'],
];

describe('an error is', () => {
  test.each(rows)('%s', (_, error, expected) => {
    expect(classifyError(error)).toBe(expected);
  });
});
