import { describe, expect, test } from 'vitest';
import { parseLabelSelector, SelectionError, selectSpecs } from '../../src/spec/select.ts';
import { parseSpecs, TAX_SPEC } from '../support/env.ts';

describe('parseLabelSelector', () => {
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
    // Properties of the prototype of every object are not labels.
    ['!constructor', true],
  ])('%s: %s', (selector, expected) => {
    expect(parseLabelSelector(selector)(labels)).toBe(expected);
  });

  test('matches an empty value', () => {
    expect(parseLabelSelector('team=')({ team: '' })).toBe(true);
  });

  test.each(['', ',', 'team=tax,', 'a b', 'team in tax', '=tax', 'team>tax', 'team in (a', '!'])(
    'rejects the invalid selector "%s"',
    (selector) => {
      expect(() => parseLabelSelector(selector)).toThrow(SelectionError);
    },
  );
});

describe('selectSpecs', async () => {
  const labelled = (name: string, team: string) =>
    TAX_SPEC.replaceAll('tax', name).replace(
      `{ name: ${name} }`,
      `{ name: ${name}, labels: { team: ${team} } }`,
    );
  const twoWaySpec = labelled('shop', 'web').replace('  rules:', '  direction: both\n  rules:');
  const specs = await parseSpecs(
    [labelled('tax', 'law'), labelled('books', 'law'), twoWaySpec].join('---\n'),
  );
  const namesOf = (selection: Parameters<typeof selectSpecs>[1]) =>
    selectSpecs(specs, selection).pairs.map(({ name }) => name);

  test('returns all specs without a selection', () => {
    expect(selectSpecs(specs, { only: [] })).toBe(specs);
  });

  test('selects by name, with both directions of a two-way spec', () => {
    expect(namesOf({ only: ['books'] })).toEqual(['books']);
    expect(namesOf({ only: ['shop', 'tax'] })).toEqual(['tax', 'shop', 'shop-reverse']);
  });

  test('selects by labels, and by names and labels together', () => {
    expect(namesOf({ only: [], selector: 'team=law' })).toEqual(['tax', 'books']);
    expect(namesOf({ only: [], selector: 'team!=law' })).toEqual(['shop', 'shop-reverse']);
    expect(namesOf({ only: ['tax'], selector: 'team' })).toEqual(['tax']);
  });

  test('rejects an empty selection, and lists the existing labels', () => {
    expect(() => namesOf({ only: ['boks'] })).toThrow('no spec is named boks (did you mean books?)');
    expect(() => namesOf({ only: [], selector: 'team=tax' })).toThrow(
      'the selection matches none of 4 specs: their labels are team=law, team=web',
    );
  });
});
