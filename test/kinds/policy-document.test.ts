import { expect, test } from 'vitest';
import { parsePolicyDocument } from '../../src/kinds/policy-document.ts';

const policy = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: '50% / ü' }],
};
const text = JSON.stringify(policy);

test.each([
  ['plain, as S3 and KMS answer it', text],
  ['URL-encoded, as IAM answers it, which the JavaScript SDK leaves so', encodeURIComponent(text)],
  ['URL-encoded, with the line break that a file began with', encodeURIComponent(`\n  ${text}\n`)],
  ['plain, with white space around it', `\n ${text}\n`],
])('a policy is read %s', (_, given) => {
  expect(parsePolicyDocument(given)).toEqual(policy);
});
