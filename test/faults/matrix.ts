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
export function sampleOf(cases: readonly Strike[], count: number, chance: () => number): Strike[] {
  const shuffled = cases
    .map((one) => ({ one, at: chance() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
  const met = new Set<string>();
  const needed = shuffled.filter(({ call, fault }) => {
    const news = [fault.name, `${call.service}:${call.operation}`].filter((name) => !met.has(name));
    for (const name of news) met.add(name);
    return news.length > 0;
  });
  const others = shuffled.filter((one) => !needed.includes(one));
  return [...needed, ...others.slice(0, Math.max(0, count - needed.length))];
}

/** Numbers from 0 to 1 that a seed determines (mulberry32). */
export function chanceOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
