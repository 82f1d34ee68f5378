import { describe, expect, test } from 'vitest';
import { parseLabelSelector, SelectionError, selectSpecs } from '../../src/spec/select.ts';
import { parseSpecs, TAX_SPEC } from '../support/env.ts';

describe('a selector of labels', () => {
  const labels = { team: 'tax', tier: 'gold', 'example.com/owner': 'ana' };
  test.each([
    ['team=tax', true],
    ['team==tax', true],
    ['team = tax', true],
    ['team=law', false],
    ['stage=live', false],
    ['team!=law', true],
    ['team!=tax', false],
    ['stage!=live', true],
    ['team in (law, tax)', true],
    ['team in (law)', false],
    ['stage in (live)', false],
    ['team notin (law)', true],
    ['team notin (law, tax)', false],
    ['stage notin (live)', true],
    ['team', true],
    ['stage', false],
    ['!stage', true],
    ['!team', false],
    ['example.com/owner=ana', true],
    ['team=tax,tier in (gold, silver),!stage', true],
    ['team=tax,tier in (bronze)', false],
    // What every object has, as prototypes go, no spec has as a label.
    ['!constructor', true],
  ])('%s: %s', (selector, expected) => {
    expect(parseLabelSelector(selector)(labels)).toBe(expected);
  });

  test('takes an empty value for one', () => {
    expect(parseLabelSelector('team=')({ team: '' })).toBe(true);
  });

  test.each(['', ',', 'team=tax,', 'a b', 'team in tax', '=tax', 'team>tax', 'team in (a', '!'])(
    'that is none is refused in words: "%s"',
    (selector) => {
      expect(() => parseLabelSelector(selector)).toThrow(SelectionError);
    },
  );
});

describe('a selection', async () => {
  const labelled = (name: string, team: string) =>
    TAX_SPEC.replaceAll('tax', name).replace(
      `{ name: ${name} }`,
      `{ name: ${name}, labels: { team: ${team} } }`,
    );
  const both = labelled('shop', 'web').replace('  rules:', '  direction: both\n  rules:');
  const specs = await parseSpecs([labelled('tax', 'law'), labelled('books', 'law'), both].join('---\n'));
  const namesOf = (selection: Parameters<typeof selectSpecs>[1]) =>
    selectSpecs(specs, selection).pairs.map(({ name }) => name);

  test('is everything where nothing is said', () => {
    expect(selectSpecs(specs, { only: [] })).toBe(specs);
  });

  test('goes by name, both ways of a two-way spec together', () => {
    expect(namesOf({ only: ['books'] })).toEqual(['books']);
    expect(namesOf({ only: ['shop', 'tax'] })).toEqual(['tax', 'shop', 'shop-reverse']);
  });

  test('goes by labels, and by both', () => {
    expect(namesOf({ only: [], selector: 'team=law' })).toEqual(['tax', 'books']);
    expect(namesOf({ only: [], selector: 'team!=law' })).toEqual(['shop', 'shop-reverse']);
    expect(namesOf({ only: ['tax'], selector: 'team' })).toEqual(['tax']);
  });

  test('that selects nothing is a mistake, and says what there is', () => {
    expect(() => namesOf({ only: ['boks'] })).toThrow('no spec is named boks (did you mean books?)');
    expect(() => namesOf({ only: [], selector: 'team=tax' })).toThrow(
      'none of 4 specs is selected: their labels are team=law, team=web',
    );
  });
});
