import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keptRuleIds, type RuleIdentity } from '../../src/core/rule-ids.ts';

const aRule = (prefix: string, overrides: Partial<RuleIdentity> = {}): RuleIdentity => ({
  prefix,
  tags: {},
  destination: 'arn:aws:s3:::acme-tax-replica',
  status: 'Enabled',
  ...overrides,
});

type Rules = Record<string, RuleIdentity>;

/** Returns the ids of declared rules that are all unnamed. */
const idsOf = (declared: Rules, existing: Rules, unnamed = Object.keys(declared)): Record<string, string> =>
  Object.fromEntries(keptRuleIds(declared, unnamed, existing));

describe('rule ids: an unnamed rule keeps the id of the existing rule', () => {
  test('with the same filter and destination', () => {
    const existing = {
      'replikey/tax/a': aRule('Tax/', { destination: 'arn:aws:s3:::other' }),
      'replikey/tax/b': aRule('Tax/'),
    };
    expect(idsOf({ 'replikey/tax/tax': aRule('Tax/') }, existing)).toEqual({
      'replikey/tax/tax': 'replikey/tax/b',
    });
  });
  test('with the same filter, although the destination changes', () => {
    const existing = {
      'replikey/tax/audit': aRule('Audit/'),
      'replikey/tax/books': aRule('Books/'),
    };
    const destination = 'arn:aws:s3:::acme-moved';
    const declared = {
      'replikey/tax/books': aRule('Books/', { destination }),
      'replikey/tax/tax': aRule('Audit/', { destination }),
    };
    expect(idsOf(declared, existing)).toEqual({
      'replikey/tax/books': 'replikey/tax/books',
      'replikey/tax/tax': 'replikey/tax/audit',
    });
  });
  test('with the derived id, although the tags change', () => {
    const existing = { 'replikey/tax/tax': aRule('Tax/'), 'replikey/tax/books': aRule('Books/') };
    const declared = {
      'replikey/tax/tax': aRule('Tax/', { tags: { class: 'secret' } }),
      'replikey/tax/audit': aRule('Audit/'),
    };
    expect(idsOf(declared, existing)).toEqual({
      'replikey/tax/tax': 'replikey/tax/tax',
      'replikey/tax/audit': 'replikey/tax/books',
    });
  });
  test('that alone remains enabled, if the destination is the same', () => {
    const existing = {
      'replikey/tax/tax': aRule('Tax/'),
      'replikey/tax/books': aRule('Books/'),
      'replikey/tax/old': aRule('Old/', { status: 'Disabled' }),
    };
    const declared = { 'replikey/tax/audit': aRule('Audit/'), 'replikey/tax/books': aRule('Books/') };
    expect(idsOf(declared, existing)['replikey/tax/audit']).toBe('replikey/tax/tax');
  });
  test('that alone remains enabled, if one prefix contains the other', () => {
    const destination = 'arn:aws:s3:::acme-moved';
    const declared = { 'replikey/tax/tax-2026': aRule('Tax/2026/', { destination }) };
    expect(idsOf(declared, { 'replikey/tax/tax': aRule('Tax/') })).toEqual({
      'replikey/tax/tax-2026': 'replikey/tax/tax',
    });
  });
});

describe('rule ids: an unnamed rule is a new one', () => {
  test('when destination and prefix change', () => {
    const declared = { 'replikey/tax/audit': aRule('Audit/', { destination: 'arn:aws:s3:::acme-moved' }) };
    expect(idsOf(declared, { 'replikey/tax/tax': aRule('Tax/') })).toEqual({
      'replikey/tax/audit': 'replikey/tax/audit',
    });
  });
  test('when two existing rules remain', () => {
    const existing = { 'replikey/tax/tax': aRule('Tax/'), 'replikey/tax/books': aRule('Books/') };
    expect(idsOf({ 'replikey/tax/audit': aRule('Audit/') }, existing)).toEqual({
      'replikey/tax/audit': 'replikey/tax/audit',
    });
  });
  test('when the remaining one is disabled, or belongs to another spec', () => {
    const declared = { 'replikey/tax/audit': aRule('Audit/') };
    const existing = {
      'replikey/tax/tax': aRule('Tax/', { status: 'Disabled' }),
      'replikey/tax-eu/audit': aRule('Audit/'),
      'replikey/books/audit': aRule('Audit/'),
      foreign: aRule('Audit/'),
    };
    expect(idsOf(declared, existing)).toEqual({ 'replikey/tax/audit': 'replikey/tax/audit' });
  });
  test('with digits of the hash of its filter when an edited rule has its id', () => {
    const declared = { 'replikey/tax/audit': aRule('Audit/'), 'replikey/tax/tax': aRule('Tax/') };
    const ids = idsOf(declared, { 'replikey/tax/tax': aRule('Audit/') });
    expect(ids).toEqual({
      'replikey/tax/audit': 'replikey/tax/tax',
      'replikey/tax/tax': expect.stringMatching(/^replikey\/tax\/tax-[0-9a-f]{4}$/),
    });
  });
});

test('rule ids: a named rule keeps its id in every edit, and takes it from an unnamed one', () => {
  const declared = { 'replikey/tax/tax': aRule('Books/'), 'replikey/tax/audit': aRule('Tax/') };
  expect(idsOf(declared, { 'replikey/tax/tax': aRule('Tax/') }, ['replikey/tax/audit'])).toEqual({
    'replikey/tax/tax': 'replikey/tax/tax',
    'replikey/tax/audit': 'replikey/tax/audit',
  });
  expect(idsOf({ 'replikey/tax/new': aRule('Tax/') }, { 'replikey/tax/tax': aRule('Tax/') }, [])).toEqual({
    'replikey/tax/new': 'replikey/tax/new',
  });
});

test('rule ids: rules of one spec with equal filters keep their derived ids', () => {
  const declared = { 'replikey/tax/tax': aRule('Tax/'), 'replikey/tax/tax-2': aRule('Tax/') };
  expect(idsOf(declared, { 'replikey/tax/audit': aRule('Tax/'), 'replikey/tax/b': aRule('B/') })).toEqual({
    'replikey/tax/tax': 'replikey/tax/tax',
    'replikey/tax/tax-2': 'replikey/tax/tax-2',
  });
});

test('rule ids: a temporary rule for canaries is no rule of the spec', () => {
  const existing = {
    'replikey/tax/tax/canary-202611301020-3fa9c1': aRule('Tax/.replikey-canary/'),
    'replikey/tax/tax': aRule('Tax/'),
  };
  expect(idsOf({ 'replikey/tax/audit': aRule('Audit/') }, existing)).toEqual({
    'replikey/tax/audit': 'replikey/tax/tax',
  });
});

describe('rule ids: random edits', () => {
  const PREFIXES = ['', 'Tax/', 'Tax/2026/', 'Audit/', 'Books/'];
  const SPECS = ['tax', 'books'];
  const rule = fc.record({
    prefix: fc.constantFrom(...PREFIXES),
    tags: fc.constantFrom({}, { class: 'secret' }),
    destination: fc.constantFrom('arn:aws:s3:::a', 'arn:aws:s3:::b'),
    status: fc.constantFrom('Enabled' as const, 'Disabled' as const),
  });
  const id = fc
    .tuple(fc.constantFrom(...SPECS), fc.constantFrom('tax', 'audit', 'books', 'all', 'tax-2'))
    .map(([spec, name]) => `replikey/${spec}/${name}`);
  const rules = fc.dictionary(id, rule, { maxKeys: 5 });

  /** Returns the configuration that a write leaves: rules that are not declared are disabled. */
  const writtenRules = (declared: Rules, ids: Map<string, string>, existing: Rules): Rules => ({
    ...Object.fromEntries(
      Object.entries(existing).map(([existingId, { ...settings }]) => [
        existingId,
        { ...settings, status: 'Disabled' as const },
      ]),
    ),
    ...Object.fromEntries(
      Object.entries(declared).map(([declaredId, settings]) => [ids.get(declaredId), settings]),
    ),
  });

  test('give each rule its own id in its own spec, the same before and after the write', () => {
    fc.assert(
      fc.property(rules, rules, fc.array(fc.boolean(), { minLength: 5 }), (declared, existing, named) => {
        const unnamed = Object.keys(declared).filter((_, index) => !named[index]);
        const ids = keptRuleIds(declared, unnamed, existing);
        expect(new Set(ids.values()).size).toBe(Object.keys(declared).length);
        for (const [declaredId, keptId] of ids) {
          expect(keptId.split('/').slice(0, 2)).toEqual(declaredId.split('/').slice(0, 2));
          if (!unnamed.includes(declaredId)) expect(keptId).toBe(declaredId);
        }
        const written = writtenRules(declared, ids, existing);
        expect(keptRuleIds(declared, unnamed, written)).toEqual(ids);
      }),
      { numRuns: 500 },
    );
  });
});
