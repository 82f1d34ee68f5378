import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client, ClientName } from './client.ts';
import { type Endpoint, startEndpoint } from './endpoint.ts';
import { describeFact, facts } from './facts.ts';
import { notMet } from './not-met.ts';
import { differencesFrom } from './run.ts';

const otherEndpoint = process.env.REPLIKEY_TEST_ENDPOINT;

/** Defines the tests that compare the sandbox, or another endpoint, with the recorded responses through one client. */
export function compareFacts(name: ClientName, connect: (endpoint: string) => Client): void {
  let endpoint: Endpoint;
  const reasons = notMet[name];

  beforeAll(async () => {
    endpoint = await startEndpoint(connect, otherEndpoint);
  });
  afterAll(() => endpoint?.close());

  describe.runIf(otherEndpoint === undefined).concurrent(`${name}: matches the recorded response`, () => {
    for (const fact of facts.filter(({ id }) => reasons[id] === undefined)) {
      it(`${fact.id}: ${describeFact(fact)}`, async () => {
        expect(await differencesFrom(fact, endpoint)).toEqual([]);
      });
    }
  });

  describe
    .runIf(otherEndpoint === undefined)
    .concurrent(`${name}: does not match a response that is listed as not met`, () => {
      for (const fact of facts.filter(({ id }) => reasons[id] !== undefined)) {
        it(`${fact.id}: ${reasons[fact.id]}`, async () => {
          expect(await differencesFrom(fact, endpoint)).not.toEqual([]);
        });
      }
    });

  it.runIf(otherEndpoint !== undefined)(
    `${name}: counts the recorded responses that ${otherEndpoint} matches`,
    async () => {
      const results = await Promise.all(
        facts.map(async (fact) => ({
          fact,
          differs: await differencesFrom(fact, endpoint).catch((error: Error) => [error.message]),
        })),
      );
      const missed = results.filter(({ differs }) => differs.length > 0);
      process.stdout.write(
        [
          ...missed.map(({ fact, differs }) => `${name}: not met: ${fact.id}: ${differs.join('; ')}`),
          `${name}: ${otherEndpoint} matches ${facts.length - missed.length} of ${facts.length} recorded responses`,
          '',
        ].join('\n'),
      );
    },
    300_000,
  );
}
