import { describe, expect, test } from 'vitest';
import { findGrant, type Grant } from '../../src/iam/grants.ts';
import type { AccessRequest } from '../../src/iam/types.ts';

const ROLE = 'arn:aws:iam::111122223333:role/service/acme-tax-replication';
const SESSION = 'arn:aws:sts::111122223333:assumed-role/acme-tax-replication/s3-replication';
const CONTEXT = 'kms:EncryptionContext:aws:s3:arn';

const request = (parts: Partial<AccessRequest> = {}): AccessRequest => ({
  principal: SESSION,
  action: 'kms:Decrypt',
  resource: 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
  resourceAccount: '111122223333',
  context: {
    'aws:PrincipalArn': ROLE,
    [CONTEXT]: 'arn:aws:s3:::acme-tax',
    'kms:EncryptionContextKeys': ['aws:s3:arn'],
  },
  ...parts,
});

const grant = (parts: Partial<Grant> = {}): Grant => ({
  GrantId: '0c237476',
  GranteePrincipal: ROLE,
  Operations: ['Decrypt', 'GenerateDataKey'],
  ...parts,
});

const isCovered = (item: Grant, asked = request()): boolean => findGrant([item], asked) !== undefined;

// AWS KMS Developer Guide, "Grants in AWS KMS"; AWS KMS API Reference, GrantListEntry.
describe('findGrant: grantee and operations', () => {
  test.each<[string, Partial<Grant>, boolean]>([
    ['the role, with its path', {}, true],
    ['the session of the role', { GranteePrincipal: SESSION }, true],
    ['another role', { GranteePrincipal: `${ROLE}-2` }, false],
    ['the id of a deleted role', { GranteePrincipal: 'AROAEXAMPLEEXAMPLE123' }, false],
    ['another session of the role', { GranteePrincipal: SESSION.replace('s3-replication', 'other') }, false],
    ['the account', { GranteePrincipal: 'arn:aws:iam::111122223333:root' }, false],
    ['another operation', { Operations: ['Encrypt'] }, false],
    ['an operation whose name begins alike', { Operations: ['DecryptAll'] }, false],
  ])('%s', (_, parts, covered) => {
    expect(isCovered(grant(parts))).toBe(covered);
  });

  test('a request to another service is covered by no grant', () => {
    expect(isCovered(grant(), request({ action: 's3:Decrypt' }))).toBe(false);
  });
});

// AWS KMS API Reference, GrantConstraints: "in a grant constraint, the key in each key-value pair is not case sensitive,
// but the value is case sensitive".
describe('findGrant: constraints of the encryption context', () => {
  const ARN = 'arn:aws:s3:::acme-tax';
  test.each<[string, Grant['Constraints'], boolean]>([
    ['equal context', { EncryptionContextEquals: { 'aws:s3:arn': ARN } }, true],
    [
      'equal context with a pair more',
      { EncryptionContextEquals: { 'aws:s3:arn': ARN, team: 'tax' } },
      false,
    ],
    ['subset', { EncryptionContextSubset: { 'aws:s3:arn': ARN } }, true],
    ['another value', { EncryptionContextSubset: { 'aws:s3:arn': `${ARN}/Tax/1` } }, false],
    ['a value with a wildcard', { EncryptionContextSubset: { 'aws:s3:arn': `${ARN}*` } }, false],
    ['a key in upper case', { EncryptionContextSubset: { 'AWS:S3:ARN': ARN } }, true],
    ['a value in upper case', { EncryptionContextEquals: { 'aws:s3:arn': ARN.toUpperCase() } }, false],
    ['an empty subset', { EncryptionContextSubset: {} }, true],
    ['a source ARN', { SourceArn: ARN }, false],
  ])('%s', (_, Constraints, covered) => {
    expect(isCovered(grant({ Constraints }))).toBe(covered);
  });

  test('a subset of a context with more pairs is met, an equal context is not', () => {
    const more = request({ context: { ...request().context, 'kms:EncryptionContext:team': 'tax' } });
    const pair = { 'aws:s3:arn': ARN };
    expect(isCovered(grant({ Constraints: { EncryptionContextSubset: pair } }), more)).toBe(true);
    expect(isCovered(grant({ Constraints: { EncryptionContextEquals: pair } }), more)).toBe(false);
  });

  test('constraints do not apply to operations without an encryption context', () => {
    const constrained = grant({
      Operations: ['DescribeKey'],
      Constraints: { EncryptionContextEquals: { other: 'x' } },
    });
    expect(isCovered(constrained, request({ action: 'kms:DescribeKey' }))).toBe(true);
  });
});
