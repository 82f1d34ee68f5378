import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { KMS_QUOTAS } from '../../src/aws/command.ts';
import { CONCURRENCY, createRateLimiter } from '../../src/aws/rate-limiter.ts';

const at = { region: 'us-east-1' };
const throttle = Object.assign(new Error('slow down'), { name: 'SlowDown' });
const paceOf = (signal?: AbortSignal) => createRateLimiter((error) => error === throttle, signal);

/** Calls that stay under way until they are told how they end. */
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

test('half as many calls are under way after one was throttled, and more again when they go well', async () => {
  const pace = paceOf();
  const { open, attempt } = calls();
  const all = Array.from({ length: 2_000 }, () => pace.schedule('s3', at, 'GetBucketVersioning', attempt));
  for (const one of all) one.catch(() => {});
  await settled();
  expect(open).toHaveLength(CONCURRENCY.initial);
  const first = open.splice(0);
  // All that were under way say the same, which tells nothing more than the first of them.
  for (const one of first) one.fail(throttle);
  await settled();
  expect(open).toHaveLength(CONCURRENCY.initial / 2);
  for (const one of open.splice(0)) one.ok();
  await settled();
  expect(open.length).toBe(CONCURRENCY.initial / 2 + 1);
});

test('one service, Region or account that is throttled makes no other slower', async () => {
  const pace = paceOf();
  await expect(pace.schedule('s3', at, 'GetBucketVersioning', () => Promise.reject(throttle))).rejects.toBe(
    throttle,
  );
  const { open, attempt } = calls();
  const others = [{ region: 'us-west-2' }, { region: 'us-east-1', account: 'other' }];
  for (const other of others) {
    for (let count = 0; count < 200; count++) void pace.schedule('s3', other, 'GetBucketVersioning', attempt);
  }
  await settled();
  expect(open).toHaveLength(2 * CONCURRENCY.initial);
});

test('any other failure makes nothing slower', async () => {
  const pace = paceOf();
  const failing = () => Promise.reject(new Error('AccessDenied'));
  await expect(pace.schedule('s3', at, 'GetBucketVersioning', failing)).rejects.toThrow('AccessDenied');
  const { open, attempt } = calls();
  for (let count = 0; count < 200; count++) void pace.schedule('s3', at, 'GetBucketVersioning', attempt);
  await settled();
  expect(open).toHaveLength(CONCURRENCY.initial);
});

test('KMS is asked for no more keys a second than it makes, in each Region for itself', async () => {
  const pace = paceOf();
  let made = 0;
  const create = async () => {
    made += 1;
  };
  for (let count = 0; count < 12; count++) void pace.schedule('kms', at, 'CreateKey', create);
  await vi.advanceTimersByTimeAsync(0);
  expect(made).toBe(KMS_QUOTAS.CreateKey);
  for (let count = 0; count < 12; count++)
    void pace.schedule('kms', { region: 'us-west-2' }, 'CreateKey', create);
  await vi.advanceTimersByTimeAsync(0);
  expect(made).toBe(10);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(made).toBe(20);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(made).toBe(24);
});

test('who waits for their turn to make a key goes when the run is interrupted', async () => {
  const interruption = new AbortController();
  const pace = paceOf(interruption.signal);
  const turns = Array.from({ length: 7 }, () => pace.schedule('kms', at, 'CreateKey', async () => 'made'));
  const outcomes = Promise.allSettled(turns);
  await vi.advanceTimersByTimeAsync(0);
  interruption.abort(new Error('interrupted'));
  await vi.advanceTimersByTimeAsync(0);
  expect((await outcomes).map(({ status }) => status)).toEqual([
    ...Array(5).fill('fulfilled'),
    ...Array(2).fill('rejected'),
  ]);
});
