import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client, ClientName } from './client.ts';
import { type Endpoint, startEndpoint } from './endpoint.ts';
import { describeFact, facts } from './facts.ts';
import { notMet } from './not-met.ts';
import { type Comparison, compareWithFact } from './run.ts';

const otherEndpoint = process.env.REPLIKEY_TEST_ENDPOINT;

const MATCH: Comparison = { differences: [], faults: [] };

const failed = (message: string): Comparison => ({ differences: [message], faults: [] });

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
        expect(await compareWithFact(fact, endpoint)).toEqual(MATCH);
      });
    }
  });

  describe
    .runIf(otherEndpoint === undefined)
    .concurrent(`${name}: does not match a response that is listed as not met`, () => {
      for (const fact of facts.filter(({ id }) => reasons[id] !== undefined)) {
        it(`${fact.id}: ${reasons[fact.id]}`, async () => {
          expect(await compareWithFact(fact, endpoint)).not.toEqual(MATCH);
        });
      }
    });

  it.runIf(otherEndpoint !== undefined)(
    `${name}: counts the recorded responses that ${otherEndpoint} matches`,
    async () => {
      const results = await Promise.all(
        facts.map(async (fact) => ({
          fact,
          ...(await compareWithFact(fact, endpoint).catch(({ message }: Error) => failed(message))),
        })),
      );
      const met = results.filter(({ differences }) => differences.length === 0);
      const withoutFaults = met.filter(({ faults }) => faults.length === 0);
      process.stdout.write(
        [
          ...results
            .map(({ fact, differences, faults }) => ({ fact, all: [...differences, ...new Set(faults)] }))
            .filter(({ all }) => all.length > 0)
            .map(({ fact, all }) => `${name}: not met: ${fact.id}: ${all.join('; ')}`),
          `${name}: ${otherEndpoint} matches ${met.length} of ${facts.length} recorded responses, ${withoutFaults.length} of them without a fault in the protocol`,
          '',
        ].join('\n'),
      );
    },
    900_000,
  );
}
