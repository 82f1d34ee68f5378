import { expect, it } from 'vitest';
import { sectionJson } from '../conformance/section.ts';
import { clientsSection } from './section.ts';

it('section of the conformance page: contains each check and each client', async () => {
  await expect(sectionJson(clientsSection())).toMatchFileSnapshot('section.json');
});
