import pLimit from 'p-limit';
import pThrottle from 'p-throttle';
import { KMS_QUOTAS } from '../core/least-time.ts';
import type { Place } from '../core/resource.ts';
import type { Service } from './clients.ts';

/** How fast AWS may be asked: for each account, Region and service on its own, since AWS counts them so. */
export interface Pace {
  /** Make an attempt when it is its turn, in the order in which they were asked for. */
  turn<T>(service: Service, at: Place, operation: string, attempt: () => Promise<T>): Promise<T>;
}

/** How many calls of one service may be under way at first, and at most. */
export const AT_ONCE = { first: 100, most: 200 };

/** What is published, in calls a second. */
const QUOTAS: Partial<Record<Service, Record<string, number>>> = {
  kms: KMS_QUOTAS,
  // https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
  cloudtrail: { LookupEvents: 2 },
};

/**
 * S3 and IAM publish no rates, so that theirs are found out: half as many calls are under way after AWS has throttled
 * one, and one more after as many as may be have gone well. That is how TCP shares a line among those who know nothing
 * of each other.
 */
export function createPace(isThrottle: (error: unknown) => boolean, signal?: AbortSignal): Pace {
  const families = new Map<string, ReturnType<typeof createFamily>>();
  const known = <T>(map: Map<string, T>, key: string, make: () => T): T => {
    const one = map.get(key) ?? make();
    map.set(key, one);
    return one;
  };
  const rates = new Map<string, () => Promise<void>>();
  return {
    async turn(service, at, operation, attempt) {
      const family = `${service} ${at.account ?? ''} ${service === 'iam' ? '' : at.region}`;
      const quota = QUOTAS[service]?.[operation];
      if (quota !== undefined) {
        const throttled = pThrottle({
          limit: quota,
          interval: 1_000,
          ...(signal === undefined ? {} : { signal }),
        });
        await known(rates, `${family} ${operation}`, () => throttled(async () => {}))();
      }
      return known(families, family, () => createFamily(isThrottle)).run(attempt);
    },
  };
}

function createFamily(isThrottle: (error: unknown) => boolean) {
  const limit = pLimit(AT_ONCE.first);
  let well = 0;
  /** Attempts that were under way when it was last made slower tell nothing new. */
  let era = 0;
  const slower = (since: number): void => {
    if (since !== era) return;
    era += 1;
    well = 0;
    limit.concurrency = Math.max(1, limit.concurrency >> 1);
  };
  const faster = (): void => {
    well += 1;
    if (well < limit.concurrency || limit.concurrency >= AT_ONCE.most) return;
    well = 0;
    limit.concurrency += 1;
  };
  return {
    run: <T>(attempt: () => Promise<T>): Promise<T> =>
      limit(async () => {
        const since = era;
        try {
          const answer = await attempt();
          faster();
          return answer;
        } catch (error) {
          if (isThrottle(error)) slower(since);
          throw error;
        }
      }),
  };
}
