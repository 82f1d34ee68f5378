import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createWorkQueue } from '../../src/controller/queue.ts';
import { fakeClock, flushPromises } from '../support/fake-clock.ts';

/** A queue whose work lasts until it is told to end. */
function working(workers = 2) {
  const clock = fakeClock();
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const twice: string[] = [];
  const queue = createWorkQueue({
    clock,
    workers,
    work: (key) => {
      if (ends.has(key)) twice.push(key);
      started.push(key);
      return new Promise((resolve) => {
        ends.set(key, () => {
          ends.delete(key);
          resolve();
        });
      });
    },
  });
  const end = async (key: string) => {
    ends.get(key)?.();
    await flushPromises();
  };
  return { clock, queue, started, ends, end, twice };
}

test('a key that waits is worked on once, however often it is added', async () => {
  const { queue, started, end } = working(1);
  for (const key of ['a', 'b', 'b', 'b']) queue.add(key);
  expect(started).toEqual(['a']);
  expect(queue.depth).toBe(1);
  await end('a');
  await end('b');
  expect(started).toEqual(['a', 'b']);
});

test('a key that is added while it is worked on is worked on again, after', async () => {
  const { queue, started, end } = working();
  queue.add('a');
  queue.add('a');
  queue.add('a');
  expect(started).toEqual(['a']);
  await end('a');
  expect(started).toEqual(['a', 'a']);
  await end('a');
  expect(started).toEqual(['a', 'a']);
  expect(queue.active).toBe(0);
});

test('what is due is added then; the earlier of two times counts, and an addition at once calls it off', async () => {
  const { clock, queue, started, end } = working();
  queue.addAfter('a', 5_000);
  queue.addAfter('a', 1_000);
  queue.addAfter('a', 9_000);
  expect(queue.dueAt('a')).toBe(clock.now() + 1_000);
  await clock.advance(999);
  expect(started).toEqual([]);
  await clock.advance(1);
  expect(started).toEqual(['a']);
  await end('a');
  queue.addAfter('a', 5_000);
  queue.add('a');
  await end('a');
  await clock.advance(60_000);
  expect(started).toEqual(['a', 'a']);
  expect(clock.pending).toBe(0);
});

test('draining starts nothing more, and ends when what is in flight has ended', async () => {
  const { clock, queue, started, end } = working(1);
  for (const key of ['a', 'b']) queue.add(key);
  queue.addAfter('c', 10);
  let drained = false;
  const draining = queue.drain().then(() => {
    drained = true;
  });
  await clock.advance(1_000);
  expect({ started, drained }).toEqual({ started: ['a'], drained: false });
  await end('a');
  await draining;
  expect({ started, drained }).toEqual({ started: ['a'], drained: true });
});

test('whatever happens in whatever order: never twice at a time, never more than there are workers, and nothing is lost', async () => {
  const keys = ['a', 'b', 'c', 'd'];
  const action = fc.oneof(
    fc.record({ do: fc.constant('add' as const), key: fc.constantFrom(...keys) }),
    fc.record({ do: fc.constant('later' as const), key: fc.constantFrom(...keys), ms: fc.nat(2_000) }),
    fc.record({ do: fc.constant('end' as const), key: fc.constantFrom(...keys) }),
    fc.record({ do: fc.constant('pass' as const), key: fc.constant(''), ms: fc.nat(2_000) }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 60 }),
      fc.integer({ min: 1, max: 3 }),
      async (actions, workers) => {
        const { clock, queue, started, ends, end, twice } = working(workers);
        /** Keys that were added since they were last begun. */
        const owed = new Set<string>();
        let seen = 0;
        const catchUp = () => {
          for (const key of started.slice(seen)) owed.delete(key);
          seen = started.length;
        };
        for (const one of actions) {
          if (one.do === 'add') {
            owed.add(one.key);
            queue.add(one.key);
          }
          if (one.do === 'later') queue.addAfter(one.key, one.ms);
          if (one.do === 'end') await end(one.key);
          if (one.do === 'pass') await clock.advance(one.ms);
          catchUp();
          expect(ends.size).toBeLessThanOrEqual(workers);
        }
        await clock.advance(10_000);
        for (let rounds = 0; rounds < 50 && ends.size > 0; rounds++) {
          for (const key of [...ends.keys()]) await end(key);
        }
        catchUp();
        expect({ twice, owed: [...owed], depth: queue.depth, active: queue.active }).toEqual({
          twice: [],
          owed: [],
          depth: 0,
          active: 0,
        });
      },
    ),
    { numRuns: 200 },
  );
});
