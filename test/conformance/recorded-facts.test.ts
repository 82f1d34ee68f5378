import { describe, expect, it } from 'vitest';
import { facts } from './facts.ts';
import { notMet } from './not-met.ts';
import { scenarios } from './run.ts';

describe('recorded responses', () => {
  const ids = facts.map(({ id }) => id).sort();

  it('each fact has a scenario, and each scenario a fact', () => {
    expect(Object.keys(scenarios).sort()).toEqual(ids);
  });

  it.each(Object.entries(notMet))('%s: each fact listed as not met exists', (_, reasons) => {
    expect(Object.keys(reasons).filter((id) => !ids.includes(id))).toEqual([]);
  });
});
