import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createWorkQueue } from '../../src/controller/queue.ts';
import { fakeClock, flushPromises } from '../support/fake-clock.ts';

/** Creates a queue whose work on a key lasts until the test ends it. */
function controllableQueue(workers = 2) {
  const clock = fakeClock();
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const concurrentKeys: string[] = [];
  const queue = createWorkQueue({
    clock,
    workers,
    work: (key) => {
      if (ends.has(key)) concurrentKeys.push(key);
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
  return { clock, queue, started, ends, end, concurrentKeys };
}

test('work queue: a key is added several times while it is queued: processes it once', async () => {
  const { queue, started, end } = controllableQueue(1);
  for (const key of ['a', 'b', 'b', 'b']) queue.add(key);
  expect(started).toEqual(['a']);
  expect(queue.depth).toBe(1);
  await end('a');
  await end('b');
  expect(started).toEqual(['a', 'b']);
});

test('work queue: a key is added while it is processed: processes it once more afterwards', async () => {
  const { queue, started, end } = controllableQueue();
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

test('work queue: addAfter keeps the earliest time, and add cancels it', async () => {
  const { clock, queue, started, end } = controllableQueue();
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

test('work queue: drain starts no more work, and resolves when running work has ended', async () => {
  const { clock, queue, started, end } = controllableQueue(1);
  for (const key of ['a', 'b']) queue.add(key);
  queue.addAfter('c', 10);
  let isDrained = false;
  const draining = queue.drain().then(() => {
    isDrained = true;
  });
  await clock.advance(1_000);
  expect({ started, isDrained }).toEqual({ started: ['a'], isDrained: false });
  await end('a');
  await draining;
  expect({ started, isDrained }).toEqual({ started: ['a'], isDrained: true });
});

test('work queue: work that ends during a drain schedules itself: no timer keeps the process alive', async () => {
  const { clock, queue, end } = controllableQueue(1);
  queue.add('a');
  const draining = queue.drain();
  queue.addAfter('a', 7_200_000);
  await end('a');
  await draining;
  expect(clock.pending).toBe(0);
});

test('work queue: any sequence of actions: no concurrent work on one key, respects the worker limit, loses no key', async () => {
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
        const { clock, queue, started, ends, end, concurrentKeys } = controllableQueue(workers);
        /** Keys that were added since their last start. */
        const pendingKeys = new Set<string>();
        let startCount = 0;
        const updatePending = () => {
          for (const key of started.slice(startCount)) pendingKeys.delete(key);
          startCount = started.length;
        };
        for (const action of actions) {
          if (action.do === 'add') {
            pendingKeys.add(action.key);
            queue.add(action.key);
          }
          if (action.do === 'later') queue.addAfter(action.key, action.ms);
          if (action.do === 'end') await end(action.key);
          if (action.do === 'pass') await clock.advance(action.ms);
          updatePending();
          expect(ends.size).toBeLessThanOrEqual(workers);
        }
        await clock.advance(10_000);
        for (let rounds = 0; rounds < 50 && ends.size > 0; rounds++) {
          for (const key of [...ends.keys()]) await end(key);
        }
        updatePending();
        expect({
          concurrentKeys,
          pendingKeys: [...pendingKeys],
          depth: queue.depth,
          active: queue.active,
        }).toEqual({
          concurrentKeys: [],
          pendingKeys: [],
          depth: 0,
          active: 0,
        });
      },
    ),
    { numRuns: 200 },
  );
});
