import { describe, expect, it } from 'vitest';
import type { Response } from './client.ts';
import { differences } from './compare.ts';
import type { Fact } from './facts.ts';

const ACCOUNT = '111111111111';

const testFact = (recorded: Partial<Fact>): Fact => ({
  id: 'a-fact',
  service: 's3',
  operation: 'HeadBucket',
  input: '',
  http_status: 200,
  error_code: null,
  message: null,
  error_fields: null,
  output: null,
  tier: 'A',
  ...recorded,
});

const testResponse = (fields: Partial<Response>): Response => ({
  status: 200,
  code: null,
  message: null,
  output: {},
  headers: {},
  faults: [],
  ...fields,
});

const COMPLETE = 'localstack/s3.head_bucket/test#label';

const met: [string, Partial<Fact>, Partial<Response>][] = [
  ['a field that was not recorded', {}, { output: { Extra: 'field' } }],
  [
    'an empty field that a complete recording lacks',
    { id: COMPLETE },
    { output: { Prefix: '', RequestId: 'id', headers: {} } },
  ],
  [
    'any value for a placeholder',
    { output: { Arn: 'arn:aws:iam::111111111111:role/<name>', Name: '<name>' } },
    { output: { Arn: 'arn:aws:iam::111111111111:role/reader', Name: 'reader' } },
  ],
  [
    'a policy with its fields in another order',
    { output: { Policy: { Version: '2012-10-17', Statement: [] } } },
    { output: { Policy: encodeURIComponent('{"Statement":[],"Version":"2012-10-17"}') } },
  ],
  [
    'other case and punctuation in tier B',
    { tier: 'B', http_status: 403, error_code: 'AccessDenied', message: 'Access denied.' },
    { status: 403, code: 'AccessDenied', message: 'Access Denied' },
  ],
  [
    'another ETag of an object with SSE-KMS',
    { output: { ServerSideEncryption: 'aws:kms', ETag: `"${'a'.repeat(32)}"` } },
    { output: { ServerSideEncryption: 'aws:kms', ETag: `"${'b'.repeat(32)}"` } },
  ],
];

const notMet: [string, Partial<Fact>, Partial<Response>][] = [
  ['another status', {}, { status: 204 }],
  ['another code', { http_status: 404, error_code: 'NoSuchKey' }, { status: 404, code: 'NoSuchBucket' }],
  ['an error where AWS succeeds', {}, { code: 'InternalError' }],
  [
    'another message in tier A',
    { http_status: 404, error_code: 'NoSuchKey', message: 'No key.' },
    { status: 404, code: 'NoSuchKey', message: 'no key' },
  ],
  ['a missing element of an error', { error_fields: { BucketName: '<name>' } }, {}],
  ['a missing field', { output: { VersionId: '<version>' } }, {}],
  [
    'a field that AWS omits',
    { output: { LocationConstraint: null } },
    { output: { LocationConstraint: 'EU' } },
  ],
  ['an additional field of a complete recording', { id: COMPLETE }, { output: { Resource: '/bucket' } }],
  [
    'an additional field within a complete recording',
    { id: COMPLETE, output: { Owner: { ID: '<id>' } } },
    { output: { Owner: { ID: 'id', DisplayName: 'name' } } },
  ],
  ['a longer list', { output: { Rules: [] } }, { output: { Rules: [{}] } }],
  [
    'one placeholder for two values',
    { output: { Arn: 'arn:aws:s3:::<name>', Name: '<name>' } },
    { output: { Arn: 'arn:aws:s3:::bucket-a', Name: 'bucket-b' } },
  ],
  [
    'another account',
    { output: { Arn: 'arn:aws:iam::111111111111:role/x' } },
    { output: { Arn: 'arn:aws:iam::222222222222:role/x' } },
  ],
  [
    'another ETag of an object without SSE-KMS',
    { output: { ServerSideEncryption: 'AES256', ETag: `"${'a'.repeat(32)}"` } },
    { output: { ServerSideEncryption: 'AES256', ETag: `"${'b'.repeat(32)}"` } },
  ],
];

describe('differences', () => {
  it.each(met)('accepts %s', (_, recorded, response) => {
    expect(differences(testFact(recorded), testResponse(response), ACCOUNT)).toEqual([]);
  });

  it.each(notMet)('reports %s', (_, recorded, response) => {
    expect(differences(testFact(recorded), testResponse(response), ACCOUNT)).toHaveLength(1);
  });
});
