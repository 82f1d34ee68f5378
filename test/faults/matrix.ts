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

/** Every call of a run with every fault that it can suffer. */
export const matrixOf = (calls: readonly Call[]): Injection[] =>
  calls.flatMap((call) => FAULTS.filter((fault) => applies(fault, call)).map((fault) => ({ call, fault })));

function applies(
  { isExecuted: isCarriedOut, effect: instead }: CallFault,
  { service, operation, isRead }: Call,
): boolean {
  // S3 answers a write, and HEAD, without a body: there is nothing to cut.
  if (instead.kind === 'half the body') return service !== 's3' || (isRead && !operation.startsWith('Head'));
  // For a read it makes no difference.
  return !(instead.kind === 'an error' && isCarriedOut && isRead);
}

/** A random sample: some of the cases, among them every fault and every operation. */
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

/** In an order that a seed determines. */
export function shuffle<T>(items: readonly T[], seed: number): T[] {
  const orders = fc.shuffledSubarray([...items], { minLength: items.length });
  const [order = []] = fc.sample(orders, { seed, numRuns: 1 });
  return order;
}
