import { vi } from 'vitest';

/** Calls that are in flight. Simulated time does not advance during a call. */
export interface InFlightCalls {
  /** Returns a function to call when the call has ended, or when only a timeout can end it. */
  begin(): () => void;
  readonly any: boolean;
}

export function trackInFlightCalls(): InFlightCalls {
  const calls = new Set<object>();
  return {
    begin() {
      const call = {};
      calls.add(call);
      return () => void calls.delete(call);
    },
    get any() {
      return calls.size > 0;
    },
  };
}

/** Replaces timers, the date and the performance clock. Only `runWithSimulatedTime` advances them. */
export function simulateTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
}

/**
 * Runs work without real delays: while no call is in flight, it advances the time to the next timer. A minute of retries
 * takes a millisecond.
 */
export async function runWithSimulatedTime<T>(calls: InFlightCalls, work: () => Promise<T>): Promise<T> {
  let done = false;
  const result = work().finally(() => {
    done = true;
  });
  // The caller handles it. Without this handler it would count as unhandled until then.
  result.catch(() => {});
  for (let idle = 0; !done; ) {
    await new Promise((resolve) => setImmediate(resolve));
    idle = calls.any ? 0 : idle + 1;
    if (idle < 2 || done) continue;
    vi.advanceTimersToNextTimer();
    idle = 0;
  }
  return result;
}

/** Advances the simulated time. */
export const passTime = (ms: number): void => void vi.advanceTimersByTime(ms);
