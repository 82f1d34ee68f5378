import { describe, expect, test } from 'vitest';
import { aboutOf } from '../../src/core/adoption.ts';
import { isOurRule, keyId, nameIn, place, position, roleId, ruleId } from '../../src/core/names.ts';
import { showPointer } from '../../src/core/pointer.ts';
import { aPair } from '../support/pair.ts';

const ARN = 'arn:aws:kms:us-east-1:111122223333:key/1';

describe('ids', () => {
  const main = { account: 'main' };
  test('of keys name account and Region, since an alias alone is not unique', () => {
    expect(keyId(aPair().source)).toBe('kms.key/alias/acme-tax@us-east-1');
    expect(keyId(aPair({ source: main }).source)).toBe('kms.key/alias/acme-tax@main/us-east-1');
    expect(keyId(aPair({ source: { key: { arn: ARN } } }).source, 'kms.key-policy')).toBe(
      `kms.key-policy/${ARN}`,
    );
  });
  test('of roles name the account of the source, since a role belongs to one', () => {
    expect(roleId(aPair())).toBe('iam.role/replikey-acme-tax');
    expect(roleId(aPair({ source: main }))).toBe('iam.role/replikey-acme-tax@main');
    const given = aPair({ role: { arn: 'arn:aws:iam::111122223333:role/r' } });
    expect(roleId(given, 'iam.role-policy')).toBe('iam.role-policy/arn:aws:iam::111122223333:role/r');
  });
  test('still tell the name', () => {
    for (const pair of [aPair(), aPair({ source: main })]) {
      const at = place(pair.source);
      expect(nameIn(keyId(pair.source), at)).toBe('alias/acme-tax');
      expect(nameIn(roleId(pair), at)).toBe('replikey-acme-tax');
      expect(nameIn('s3.versioning/acme-tax', at)).toBe('acme-tax');
    }
    expect(nameIn('iam.role/a@b', { region: 'us-east-1' })).toBe('a@b');
    expect(nameIn(keyId(aPair({ source: { key: { arn: ARN } } }).source), { region: 'us-east-1' })).toBe(ARN);
  });
  test('of rules tell ours from others', () => {
    expect(ruleId('tax', 'all')).toBe('replikey/tax/all');
    expect(isOurRule('replikey/tax/all')).toBe(true);
    expect([undefined, '', 'theirs', 'my-replikey/tax/all'].filter(isOurRule)).toEqual([]);
  });
  test('tell what is about the same thing', () => {
    const about = (a: string, b: string) =>
      aboutOf({ id: a as `${string}/${string}` }) === aboutOf({ id: b as `${string}/${string}` });
    expect(about('s3.versioning/acme-tax', 's3.bucket/acme-tax')).toBe(true);
    expect(about('kms.key-policy/alias/a@x', 'kms.key/alias/a@x')).toBe(true);
    expect(about('s3.versioning/acme-tax', 's3.bucket/acme-tax-replica')).toBe(false);
    expect(about('iam.role/acme-tax', 's3.bucket/acme-tax')).toBe(false);
  });
});

test('a place has an account only where one is declared', () => {
  expect(place(aPair().source)).toEqual({ region: 'us-east-1' });
  expect(place(aPair({ source: { account: 'main' } }).source)).toEqual({
    account: 'main',
    region: 'us-east-1',
  });
});

test('the position of a path that is not written is that of what is around it', () => {
  const file = 'specs/tax.yaml';
  const at = (line: number) => ({ file, line, column: 1 });
  const pair = aPair({ positions: { '': at(1), spec: at(4), 'spec.rules': at(9), 'spec.rules[0]': at(10) } });
  const lineOf = (path: string) => position(pair, path).line;
  expect(['spec.rules[0].priority', 'spec.rules[3]', 'spec.role', 'metadata.name', ''].map(lineOf)).toEqual([
    10, 9, 4, 1, 1,
  ]);
});

test('a pointer is shown as people write paths', () => {
  expect(showPointer('/rules/replikey~1tax~1all/priority')).toBe('rules["replikey/tax/all"].priority');
  expect(showPointer('/statements/ReplikeySourceKeyTax/Action/0')).toBe(
    'statements.ReplikeySourceKeyTax.Action[0]',
  );
  expect(showPointer('/tags/a~0b')).toBe('tags["a~b"]');
});
