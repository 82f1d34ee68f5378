import { describe, expect, it } from 'vitest';
import type { Answer } from './answer.ts';
import { differences } from './compare.ts';
import type { Fact } from './facts.ts';

const ACCOUNT = '111111111111';

const aFact = (recorded: Partial<Fact>): Fact => ({
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

const anAnswer = (given: Partial<Answer>): Answer => ({
  status: 200,
  code: null,
  message: null,
  output: {},
  ...given,
});

const met: [string, Partial<Fact>, Partial<Answer>][] = [
  ['what was not recorded may be anything', {}, { output: { Extra: 'field' } }],
  [
    'a placeholder stands for any value',
    { output: { Arn: 'arn:aws:iam::111111111111:role/<name>', Name: '<name>' } },
    { output: { Arn: 'arn:aws:iam::111111111111:role/mine', Name: 'mine' } },
  ],
  [
    'a policy is compared as a document',
    { output: { Policy: { Version: '2012-10-17', Statement: [] } } },
    { output: { Policy: encodeURIComponent('{"Statement":[],"Version":"2012-10-17"}') } },
  ],
  [
    'messages at second hand are compared in words',
    { tier: 'B', http_status: 403, error_code: 'AccessDenied', message: 'Access denied.' },
    { status: 403, code: 'AccessDenied', message: 'Access Denied' },
  ],
  [
    'the ETag of an object under SSE-KMS is compared in form',
    { output: { ServerSideEncryption: 'aws:kms', ETag: `"${'a'.repeat(32)}"` } },
    { output: { ServerSideEncryption: 'aws:kms', ETag: `"${'b'.repeat(32)}"` } },
  ],
];

const notMet: [string, Partial<Fact>, Partial<Answer>][] = [
  ['another status', {}, { status: 204 }],
  ['another code', { http_status: 404, error_code: 'NoSuchKey' }, { status: 404, code: 'NoSuchBucket' }],
  ['an error where AWS succeeds', {}, { code: 'InternalError' }],
  [
    'a message of tier A in other words',
    { http_status: 404, error_code: 'NoSuchKey', message: 'No key.' },
    { status: 404, code: 'NoSuchKey', message: 'no key' },
  ],
  ['a missing element of an error', { error_fields: { BucketName: '<name>' } }, {}],
  ['a missing field', { output: { VersionId: '<version>' } }, {}],
  [
    'a field that AWS leaves out',
    { output: { LocationConstraint: null } },
    { output: { LocationConstraint: 'EU' } },
  ],
  ['a longer list', { output: { Rules: [] } }, { output: { Rules: [{}] } }],
  [
    'one placeholder for two values',
    { output: { Arn: 'arn:aws:s3:::<name>', Name: '<name>' } },
    { output: { Arn: 'arn:aws:s3:::mine', Name: 'yours' } },
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

describe('comparing with a recorded answer', () => {
  it.each(met)('is met: %s', (_, recorded, given) => {
    expect(differences(aFact(recorded), anAnswer(given), ACCOUNT)).toEqual([]);
  });

  it.each(notMet)('differs: %s', (_, recorded, given) => {
    expect(differences(aFact(recorded), anAnswer(given), ACCOUNT)).toHaveLength(1);
  });
});
