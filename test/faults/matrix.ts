import fc from 'fast-check';
import type { Call, Strike } from './drive.ts';
import { FAULTS, type Fault } from './faults.ts';

const { FAULTS: which, FAULTS_SEED: given } = process.env;

/** All cases, or a sample that a seed determines. */
export const EXTENT = {
  isAll: which === 'all',
  seed: given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given),
};

/** Every call of a run with every fault that it can suffer. */
export const matrixOf = (calls: readonly Call[]): Strike[] =>
  calls.flatMap((call) => FAULTS.filter((fault) => concerns(fault, call)).map((fault) => ({ call, fault })));

function concerns({ isCarriedOut, instead }: Fault, { service, operation, isRead }: Call): boolean {
  // S3 answers a write, and HEAD, without a body: there is nothing to cut.
  if (instead.how === 'half the body') return service !== 's3' || (isRead && !operation.startsWith('Head'));
  // For a read it makes no difference.
  return !(instead.how === 'an error' && isCarriedOut && isRead);
}

/** A random sample: some of the cases, among them every fault and every operation. */
export function sampleOf(cases: readonly Strike[], count: number, seed: number): Strike[] {
  const shuffled = shuffle(cases, seed);
  const met = new Set<string>();
  const needed = shuffled.filter(({ call, fault }) => {
    const news = [fault.name, `${call.service}:${call.operation}`].filter((name) => !met.has(name));
    for (const name of news) met.add(name);
    return news.length > 0;
  });
  const others = shuffled.filter((one) => !needed.includes(one));
  return [...needed, ...others.slice(0, Math.max(0, count - needed.length))];
}

/** In an order that a seed determines. */
export function shuffle<T>(items: readonly T[], seed: number): T[] {
  const orders = fc.shuffledSubarray([...items], { minLength: items.length });
  const [order = []] = fc.sample(orders, { seed, numRuns: 1 });
  return order;
}
