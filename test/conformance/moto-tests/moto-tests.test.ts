import { beforeAll, describe, expect, it } from 'vitest';
import { sectionJson } from '../section.ts';
import { type Cause, covers, knownFailures } from './known-failures.ts';
import { motoTestsEnvironment, type Result, runMotoTests } from './run.ts';
import { motoTestsSection } from './section.ts';
import { selections } from './selection.ts';

const { missing } = motoTestsEnvironment();

describe.skipIf(missing)(`moto's tests against the sandbox${missing ? `: ${missing}` : ''}`, () => {
  let results: Result[];
  const failed = () => results.filter(({ outcome }) => outcome === 'failed');
  const listed = (cause?: Cause) =>
    knownFailures.filter((group) => cause === undefined || group.cause === cause);

  beforeAll(async () => {
    results = await runMotoTests(selections);
  }, 600_000);

  it('each failure is listed with its reason', () => {
    const tests = listed().flatMap((group) => group.tests);
    const unlisted = failed().filter(({ id }) => !tests.some((test) => covers(test, id)));
    expect(unlisted.map(({ id, reason }) => `${id}: ${reason}`)).toEqual([]);
  });

  it('each listed test exists and fails, with all its parameters', () => {
    const wrong = listed()
      .flatMap((group) => group.tests)
      .flatMap((test) => {
        const cases = results.filter(({ id }) => covers(test, id));
        if (cases.length === 0) return [`${test}: does not exist`];
        return cases
          .filter(({ outcome }) => outcome !== 'failed')
          .map(({ id, outcome }) => `${id}: ${outcome}`);
      });
    expect(wrong).toEqual([]);
  });

  it('each test is listed once', () => {
    const reasons = failed().map(
      ({ id }) => listed().filter(({ tests }) => tests.some((test) => covers(test, id))).length,
    );
    expect(reasons.filter((count) => count > 1)).toEqual([]);
  });

  it('a test that is listed for a missing operation calls it, and gets 501', () => {
    const wrong = listed('not implemented').flatMap(({ reason: operation, tests }) =>
      failed()
        .filter(({ id }) => tests.some((test) => covers(test, id)))
        .filter(({ notImplemented }) => !notImplemented.includes(operation))
        .map(({ id, notImplemented }) => `${id}: ${operation}, but got 501 for ${notImplemented.join(', ')}`),
    );
    expect(wrong).toEqual([]);
  });

  it('are summarised in the conformance page', async () => {
    const section = motoTestsSection(selections, results, knownFailures);
    await expect(sectionJson(section)).toMatchFileSnapshot('section.json');
  });
});
