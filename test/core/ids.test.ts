import { describe, expect, test } from 'vitest';
import { ownerKey } from '../../src/core/adoption.ts';
import {
  isReplikeyRule,
  keyResourceId,
  locationOfSide,
  nameFromId,
  positionOfPath,
  roleResourceId,
  toRuleId,
} from '../../src/core/ids.ts';
import { testPair } from '../support/pair.ts';

const ARN = 'arn:aws:kms:us-east-1:111122223333:key/1';

describe('ids', () => {
  const main = { account: 'main' };
  test('keyResourceId: contains account and Region, because an alias alone is not unique', () => {
    expect(keyResourceId('kms.key', testPair().source)).toBe('kms.key/alias/acme-tax@us-east-1');
    expect(keyResourceId('kms.key', testPair({ source: main }).source)).toBe(
      'kms.key/alias/acme-tax@main/us-east-1',
    );
    expect(keyResourceId('kms.key-policy', testPair({ source: { key: { arn: ARN } } }).source)).toBe(
      `kms.key-policy/${ARN}`,
    );
  });
  test('roleResourceId: contains the account of the source', () => {
    expect(roleResourceId('iam.role', testPair())).toBe('iam.role/replikey-acme-tax');
    expect(roleResourceId('iam.role', testPair({ source: main }))).toBe('iam.role/replikey-acme-tax@main');
    const pairWithRoleArn = testPair({ role: { arn: 'arn:aws:iam::111122223333:role/r' } });
    expect(roleResourceId('iam.role-policy', pairWithRoleArn)).toBe(
      'iam.role-policy/arn:aws:iam::111122223333:role/r',
    );
  });
  test('nameFromId: returns the name', () => {
    for (const pair of [testPair(), testPair({ source: main })]) {
      const at = locationOfSide(pair.source);
      expect(nameFromId(keyResourceId('kms.key', pair.source), at)).toBe('alias/acme-tax');
      expect(nameFromId(roleResourceId('iam.role', pair), at)).toBe('replikey-acme-tax');
      expect(nameFromId('s3.versioning/acme-tax', at)).toBe('acme-tax');
    }
    expect(nameFromId('iam.role/a@b', { region: 'us-east-1' })).toBe('a@b');
    expect(
      nameFromId(keyResourceId('kms.key', testPair({ source: { key: { arn: ARN } } }).source), {
        region: 'us-east-1',
      }),
    ).toBe(ARN);
  });
  test('isReplikeyRule: accepts the ids of replikey rules only', () => {
    expect(toRuleId('tax', 'all')).toBe('replikey/tax/all');
    expect(isReplikeyRule('replikey/tax/all')).toBe(true);
    expect([undefined, '', 'foreign', 'my-replikey/tax/all'].filter(isReplikeyRule)).toEqual([]);
  });
  test('ownerKey: equal for the resources of one bucket, key or role', () => {
    const haveSameOwner = (a: string, b: string) =>
      ownerKey({ id: a as `${string}/${string}` }) === ownerKey({ id: b as `${string}/${string}` });
    expect(haveSameOwner('s3.versioning/acme-tax', 's3.bucket/acme-tax')).toBe(true);
    expect(haveSameOwner('kms.key-policy/alias/a@x', 'kms.key/alias/a@x')).toBe(true);
    expect(haveSameOwner('s3.versioning/acme-tax', 's3.bucket/acme-tax-replica')).toBe(false);
    expect(haveSameOwner('iam.role/acme-tax', 's3.bucket/acme-tax')).toBe(false);
  });
});

test('locationOfSide: has an account only if the side declares one', () => {
  expect(locationOfSide(testPair().source)).toEqual({ region: 'us-east-1' });
  expect(locationOfSide(testPair({ source: { account: 'main' } }).source)).toEqual({
    account: 'main',
    region: 'us-east-1',
  });
});

test('positionOfPath: returns the position of the parent for a path that the YAML does not contain', () => {
  const file = 'specs/tax.yaml';
  const at = (line: number) => ({ file, line, column: 1 });
  const pair = testPair({
    positions: { '': at(1), spec: at(4), 'spec.rules': at(9), 'spec.rules[0]': at(10) },
  });
  const lineOf = (path: string) => positionOfPath(pair, path).line;
  expect(['spec.rules[0].priority', 'spec.rules[3]', 'spec.role', 'metadata.name', ''].map(lineOf)).toEqual([
    10, 9, 4, 1, 1,
  ]);
});
