import { expect, it } from 'vitest';
import { facts } from './facts.ts';
import { notMet } from './not-met.ts';
import { page } from './page.ts';
import { readSections } from './section.ts';

it('docs/reference/conformance.md: contains the results of all suites', async () => {
  await expect(page(facts, notMet, readSections())).toMatchFileSnapshot(
    '../../docs/reference/conformance.md',
  );
});
