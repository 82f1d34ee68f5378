import fc from 'fast-check';
import { type CallFault, FAULTS } from './faults.ts';
import type { Call, Injection } from './run-pass.ts';

const { FAULTS: extent, FAULTS_SEED: seedText } = process.env;

/** A fixed seed, so that one commit has one result; a random one with EXPLORE=1. */
function defaultSeed(): number {
  return process.env.EXPLORE === '1' ? Math.floor(Math.random() * 2 ** 32) : 20_261_130;
}

/** All cases, or a sample that a seed determines. */
export const SAMPLING = {
  isAll: extent === 'all',
  seed: seedText === undefined ? defaultSeed() : Number(seedText),
};

/** Combines every call of a run with every fault that applies to it. */
export const matrixOf = (calls: readonly Call[]): Injection[] =>
  calls.flatMap((call) => FAULTS.filter((fault) => applies(fault, call)).map((fault) => ({ call, fault })));

function applies({ isExecuted, effect }: CallFault, { service, operation, isRead }: Call): boolean {
  // The responses of S3 to a write and to HEAD have no body.
  if (effect.kind === 'half of the body')
    return service !== 's3' || (isRead && !operation.startsWith('Head'));
  // An executed read has no effect, so this is the same case as an unexecuted one.
  return !(effect.kind === 'error response' && isExecuted && isRead);
}

/** Returns a random sample of the cases that includes every fault and every operation. */
export function sampleOf(cases: readonly Injection[], count: number, seed: number): Injection[] {
  const shuffled = shuffle(cases, seed);
  const covered = new Set<string>();
  const needed = shuffled.filter(({ call, fault }) => {
    const newNames = [fault.name, `${call.service}:${call.operation}`].filter((name) => !covered.has(name));
    for (const name of newNames) covered.add(name);
    return newNames.length > 0;
  });
  const remaining = shuffled.filter((injection) => !needed.includes(injection));
  return [...needed, ...remaining.slice(0, Math.max(0, count - needed.length))];
}

/** Returns the items in an order that the seed determines. */
export function shuffle<T>(items: readonly T[], seed: number): T[] {
  const orders = fc.shuffledSubarray([...items], { minLength: items.length });
  const [order = []] = fc.sample(orders, { seed, numRuns: 1 });
  return order;
}
