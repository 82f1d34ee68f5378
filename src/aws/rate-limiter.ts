import pLimit from 'p-limit';
import pThrottle from 'p-throttle';
import type { Location } from '../core/resource.ts';
import type { Service } from './command.ts';
import { PUBLISHED_QUOTAS } from './command.ts';

/** How fast AWS may be asked: for each account, Region and service on its own, since AWS counts them so. */
export interface RateLimiter {
  /** Make an attempt when it is its turn, in the order in which they were asked for. */
  schedule<T>(service: Service, location: Location, operation: string, attempt: () => Promise<T>): Promise<T>;
}

/** How many calls of one service may be under way at first, and at most. */
export const CONCURRENCY = { initial: 100, max: 200 };

/**
 * S3 and IAM publish no rates, so that theirs are found out: half as many calls are under way after AWS has throttled
 * one, and one more after as many as may be have gone well. That is how TCP shares a line among those who know nothing
 * of each other.
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
      return getOrCreate(adaptiveLimits, scope, () => createAdaptiveLimit(isThrottle)).run(attempt);
    },
  };
}

function createAdaptiveLimit(isThrottle: (error: unknown) => boolean) {
  const limit = pLimit(CONCURRENCY.initial);
  let successes = 0;
  /** Attempts that were under way when it was last made slower tell nothing new. */
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
