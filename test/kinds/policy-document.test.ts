import { expect, test } from 'vitest';
import { parsePolicyDocument } from '../../src/kinds/policy-document.ts';

const policy = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: '50% / ü' }],
};
const text = JSON.stringify(policy);

test.each([
  ['plain text, as S3 and KMS return it', text],
  ['URL-encoded text, as IAM returns it and the JavaScript SDK does not decode it', encodeURIComponent(text)],
  ['URL-encoded text with leading and trailing line breaks', encodeURIComponent(`\n  ${text}\n`)],
  ['plain text surrounded by white space', `\n ${text}\n`],
])('parsePolicyDocument: reads %s', (_, policyText) => {
  expect(parsePolicyDocument(policyText)).toEqual(policy);
});
