import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Aws } from './aws.ts';
import { startEndpoint } from './endpoint.ts';
import { facts, says } from './facts.ts';
import { notMet } from './not-met.ts';
import { page } from './page.ts';
import { differencesFrom, scenarios } from './run.ts';

const other = process.env.REPLIKEY_TEST_ENDPOINT;

let endpoint: Awaited<ReturnType<typeof startEndpoint>>;
const aws = (): Aws => endpoint.aws;

beforeAll(async () => {
  endpoint = await startEndpoint(other);
});
afterAll(() => endpoint.close());

describe.runIf(other === undefined).concurrent('the sandbox answers as AWS was recorded to answer', () => {
  for (const fact of facts.filter(({ id }) => notMet[id] === undefined)) {
    it(`${fact.id}: ${says(fact)}`, async () => {
      expect(await differencesFrom(fact, aws())).toEqual([]);
    });
  }
});

describe.runIf(other === undefined).concurrent('what is listed as not met is not met', () => {
  for (const fact of facts.filter(({ id }) => notMet[id] !== undefined)) {
    it(`${fact.id}: ${notMet[fact.id]}`, async () => {
      expect(await differencesFrom(fact, aws())).not.toEqual([]);
    });
  }
});

describe('the recorded answers', () => {
  const ids = facts.map(({ id }) => id).sort();

  it('each have a scenario, and no scenario is for nothing', () => {
    expect(Object.keys(scenarios).sort()).toEqual(ids);
  });

  it('that are listed as not met are recorded at all', () => {
    expect(Object.keys(notMet).filter((id) => !ids.includes(id))).toEqual([]);
  });

  it('are told in docs/reference/conformance.md', async () => {
    await expect(page(facts, notMet)).toMatchFileSnapshot('../../docs/reference/conformance.md');
  });
});

describe.runIf(other !== undefined)('another endpoint', () => {
  it(`is told how many of the recorded answers ${other} gives`, async () => {
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
        `${other} gives ${met.length} of ${facts.length} recorded answers`,
        '',
      ].join('\n'),
    );
  }, 300_000);
});
