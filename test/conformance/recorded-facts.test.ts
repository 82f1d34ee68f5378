import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Aws } from './aws.ts';
import { startEndpoint } from './endpoint.ts';
import { describeFact, facts } from './facts.ts';
import { notMet } from './not-met.ts';
import { differencesFrom, scenarios } from './run.ts';

const otherEndpoint = process.env.REPLIKEY_TEST_ENDPOINT;

let endpoint: Awaited<ReturnType<typeof startEndpoint>>;
const aws = (): Aws => endpoint.aws;

beforeAll(async () => {
  endpoint = await startEndpoint(otherEndpoint);
});
afterAll(() => endpoint.close());

describe.runIf(otherEndpoint === undefined).concurrent('sandbox: matches the recorded response', () => {
  for (const fact of facts.filter(({ id }) => notMet[id] === undefined)) {
    it(`${fact.id}: ${describeFact(fact)}`, async () => {
      expect(await differencesFrom(fact, aws())).toEqual([]);
    });
  }
});

describe
  .runIf(otherEndpoint === undefined)
  .concurrent('sandbox: does not match a response that is listed as not met', () => {
    for (const fact of facts.filter(({ id }) => notMet[id] !== undefined)) {
      it(`${fact.id}: ${notMet[fact.id]}`, async () => {
        expect(await differencesFrom(fact, aws())).not.toEqual([]);
      });
    }
  });

describe('recorded responses', () => {
  const ids = facts.map(({ id }) => id).sort();

  it('each fact has a scenario, and each scenario a fact', () => {
    expect(Object.keys(scenarios).sort()).toEqual(ids);
  });

  it('each fact listed as not met exists', () => {
    expect(Object.keys(notMet).filter((id) => !ids.includes(id))).toEqual([]);
  });
});

describe.runIf(otherEndpoint !== undefined)('other endpoint', () => {
  it(`counts the recorded responses that ${otherEndpoint} matches`, async () => {
    const results = await Promise.all(
      facts.map(async (fact) => ({
        fact,
        differs: await differencesFrom(fact, aws()).catch((error: Error) => [error.message]),
      })),
    );
    const met = results.filter(({ differs }) => differs.length === 0);
    const missed = results.filter(({ differs }) => differs.length > 0);
    process.stdout.write(
      [
        ...missed.map(({ fact, differs }) => `not met: ${fact.id}: ${differs.join('; ')}`),
        `${otherEndpoint} matches ${met.length} of ${facts.length} recorded responses`,
        '',
      ].join('\n'),
    );
  }, 300_000);
});
