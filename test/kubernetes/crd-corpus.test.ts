import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { RESOURCE_PLURALS } from '../../src/kubernetes/resources.ts';
import { INVALID_SPECS } from '../spec/invalid-specs.ts';
import { completeSpecArbitrary } from '../support/spec-arbitraries.ts';
import { NAMESPACE } from './api-server.ts';
import { toolSkipReason, validateResources } from './tools.ts';

/** Returns the custom resources of a spec file. Empty if one of its documents cannot be a custom resource. */
function resourcesOf(yaml: string): object[] {
  const documents = parseAllDocuments(yaml);
  const values = documents.map((document) => {
    try {
      const { errors, warnings } = document;
      return errors.length + warnings.length > 0 ? undefined : JSON.parse(JSON.stringify(document.toJS()));
    } catch {
      // An alias without an anchor, or one that contains itself.
      return undefined;
    }
  });
  // In a cluster, overlays replace variables.
  if (!values.every((value) => value?.kind in RESOURCE_PLURALS) || yaml.includes('${var.')) return [];
  return values.map((value) => ({ ...value, metadata: { namespace: NAMESPACE, ...value.metadata } }));
}

const skipReason = toolSkipReason('validator');
describe.skipIf(skipReason)(`custom resources${skipReason ? ` (skipped: ${skipReason})` : ''}`, () => {
  test('accept every valid spec', async () => {
    const yamls = fc.sample(completeSpecArbitrary, 300).map(({ yaml }) => yaml);
    const specs = yamls.flatMap(resourcesOf);
    expect(specs.length).toBeGreaterThan(300);
    expect((await validateResources(specs)).flat()).toEqual([]);
  });

  test('reject each invalid spec, except those in the golden file', async () => {
    const cases = Object.entries(INVALID_SPECS)
      .map(([name, yaml]) => ({ name, resources: resourcesOf(yaml) }))
      .filter(({ resources }) => resources.length > 0);
    expect(cases.length).toBeGreaterThan(60);
    const errors = await validateResources(cases.flatMap(({ resources }) => resources));
    const accepted = cases.filter(({ resources }) =>
      errors.splice(0, resources.length).every((list) => list.length === 0),
    );
    await expect(`${accepted.map(({ name }) => name).join('\n')}\n`).toMatchFileSnapshot(
      'golden/reported-in-status-only.txt',
    );
  });
});
