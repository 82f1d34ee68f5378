import pLimit from 'p-limit';
import pThrottle from 'p-throttle';
import type { Location } from '../core/resource.ts';
import type { Service } from './command.ts';
import { PUBLISHED_QUOTAS } from './command.ts';

/** Limits the rate of calls for each account, Region and service, because AWS applies its quotas to these. */
export interface RateLimiter {
  /** Runs an attempt when the limits allow it, in the order of the requests. */
  schedule<T>(service: Service, location: Location, operation: string, attempt: () => Promise<T>): Promise<T>;
}

/** Concurrent calls of one service: the initial limit and the maximum. */
export const CONCURRENCY = { initial: 100, max: 200 };

/**
 * Creates a rate limiter. S3 and IAM publish no rates, so the limiter adapts the concurrency (additive increase,
 * multiplicative decrease). It halves the limit when AWS throttles a call. It adds one after as many successful calls
 * as the limit allows. TCP shares a line among independent senders in the same way.
 */
export function createRateLimiter(
  isThrottle: (error: unknown) => boolean,
  signal?: AbortSignal,
): RateLimiter {
  const adaptiveLimits = new Map<string, ReturnType<typeof createAdaptiveLimit>>();
  const getOrCreate = <T>(map: Map<string, T>, key: string, create: () => T): T => {
    const value = map.get(key) ?? create();
    map.set(key, value);
    return value;
  };
  const quotaThrottles = new Map<string, () => Promise<void>>();
  return {
    async schedule(service, location, operation, attempt) {
      const scope = `${service} ${location.account ?? ''} ${service === 'iam' ? '' : location.region}`;
      const quota = PUBLISHED_QUOTAS[service]?.[operation];
      if (quota !== undefined) {
        const throttle = pThrottle({
          limit: quota,
          interval: 1_000,
          ...(signal === undefined ? {} : { signal }),
        });
        await getOrCreate(quotaThrottles, `${scope} ${operation}`, () => throttle(async () => {}))();
      }
      // A call that waits for messages is no load, and must not occupy a slot of other calls.
      if (operation === 'ReceiveMessage') return attempt();
      return getOrCreate(adaptiveLimits, scope, () => createAdaptiveLimit(isThrottle)).run(attempt);
    },
  };
}

function createAdaptiveLimit(isThrottle: (error: unknown) => boolean) {
  const limit = pLimit(CONCURRENCY.initial);
  let successes = 0;
  /** Counts the decreases. A throttled attempt that started before the last decrease does not cause another. */
  let epoch = 0;
  const decrease = (startEpoch: number): void => {
    if (startEpoch !== epoch) return;
    epoch += 1;
    successes = 0;
    limit.concurrency = Math.max(1, limit.concurrency >> 1);
  };
  const increase = (): void => {
    successes += 1;
    if (successes < limit.concurrency || limit.concurrency >= CONCURRENCY.max) return;
    successes = 0;
    limit.concurrency += 1;
  };
  return {
    run: <T>(attempt: () => Promise<T>): Promise<T> =>
      limit(async () => {
        const startEpoch = epoch;
        try {
          const result = await attempt();
          increase();
          return result;
        } catch (error) {
          if (isThrottle(error)) decrease(startEpoch);
          throw error;
        }
      }),
  };
}
