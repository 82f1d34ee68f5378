import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { KMS_QUOTAS } from '../../src/aws/command.ts';
import { CONCURRENCY, createRateLimiter } from '../../src/aws/rate-limiter.ts';

const at = { region: 'us-east-1' };
const throttle = Object.assign(new Error('slow down'), { name: 'SlowDown' });
const newLimiter = (signal?: AbortSignal) => createRateLimiter((error) => error === throttle, signal);

/** Returns an attempt whose calls stay open until the test ends them. */
function calls() {
  const open: { ok: () => void; fail: (error: Error) => void }[] = [];
  return {
    open,
    attempt: () => new Promise<void>((ok, fail) => void open.push({ ok, fail })),
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] }));
afterEach(() => void vi.useRealTimers());

test('rate limiter: halves the concurrency after a throttled call, and raises it after successes', async () => {
  const limiter = newLimiter();
  const { open, attempt } = calls();
  const attempts = Array.from({ length: 2_000 }, () =>
    limiter.schedule('s3', at, 'GetBucketVersioning', attempt),
  );
  for (const call of attempts) call.catch(() => {});
  await settled();
  expect(open).toHaveLength(CONCURRENCY.initial);
  const throttled = open.splice(0);
  // Calls that were open together count as one throttling event.
  for (const call of throttled) call.fail(throttle);
  await settled();
  expect(open).toHaveLength(CONCURRENCY.initial / 2);
  for (const call of open.splice(0)) call.ok();
  await settled();
  expect(open.length).toBe(CONCURRENCY.initial / 2 + 1);
});

test('rate limiter: throttling in one service, Region and account does not slow down others', async () => {
  const limiter = newLimiter();
  await expect(
    limiter.schedule('s3', at, 'GetBucketVersioning', () => Promise.reject(throttle)),
  ).rejects.toBe(throttle);
  const { open, attempt } = calls();
  const otherLocations = [{ region: 'us-west-2' }, { region: 'us-east-1', account: 'other' }];
  for (const location of otherLocations) {
    for (let count = 0; count < 200; count++)
      void limiter.schedule('s3', location, 'GetBucketVersioning', attempt);
  }
  await settled();
  expect(open).toHaveLength(2 * CONCURRENCY.initial);
});

test('rate limiter: other failures do not reduce the concurrency', async () => {
  const limiter = newLimiter();
  const failing = () => Promise.reject(new Error('AccessDenied'));
  await expect(limiter.schedule('s3', at, 'GetBucketVersioning', failing)).rejects.toThrow('AccessDenied');
  const { open, attempt } = calls();
  for (let count = 0; count < 200; count++) void limiter.schedule('s3', at, 'GetBucketVersioning', attempt);
  await settled();
  expect(open).toHaveLength(CONCURRENCY.initial);
});

test('rate limiter: keeps to the CreateKey quota of KMS in each Region', async () => {
  const limiter = newLimiter();
  let created = 0;
  const create = async () => {
    created += 1;
  };
  for (let count = 0; count < 12; count++) void limiter.schedule('kms', at, 'CreateKey', create);
  await vi.advanceTimersByTimeAsync(0);
  expect(created).toBe(KMS_QUOTAS.CreateKey);
  for (let count = 0; count < 12; count++)
    void limiter.schedule('kms', { region: 'us-west-2' }, 'CreateKey', create);
  await vi.advanceTimersByTimeAsync(0);
  expect(created).toBe(10);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(created).toBe(20);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(created).toBe(24);
});

test('rate limiter: rejects queued CreateKey calls when the run is interrupted', async () => {
  const interruption = new AbortController();
  const limiter = newLimiter(interruption.signal);
  const pending = Array.from({ length: 7 }, () =>
    limiter.schedule('kms', at, 'CreateKey', async () => 'created'),
  );
  const outcomes = Promise.allSettled(pending);
  await vi.advanceTimersByTimeAsync(0);
  interruption.abort(new Error('interrupted'));
  await vi.advanceTimersByTimeAsync(0);
  expect((await outcomes).map(({ status }) => status)).toEqual([
    ...Array(5).fill('fulfilled'),
    ...Array(2).fill('rejected'),
  ]);
});

test('rate limiter: a call that waits for messages occupies no slot, also after throttling', async () => {
  const limiter = newLimiter();
  const { open, attempt } = calls();
  // Throttled calls reduce the limit to one.
  for (let limit = CONCURRENCY.initial; limit > 0; limit >>= 1) {
    const throttled = limiter.schedule('sqs', at, 'DeleteMessageBatch', attempt).catch(() => {});
    await settled();
    open.splice(0)[0]?.fail(throttle);
    await throttled;
  }
  const polls = ['a', 'b'].map(() => limiter.schedule('sqs', at, 'ReceiveMessage', attempt));
  const deletion = limiter.schedule('sqs', at, 'DeleteMessageBatch', attempt);
  await settled();
  expect(open).toHaveLength(3);
  for (const { ok } of open) ok();
  await Promise.all([...polls, deletion]);
});
