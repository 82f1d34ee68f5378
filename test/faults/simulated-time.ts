import { vi } from 'vitest';

/** Calls that are under way: while there are any, time stands still. */
export interface InFlightCalls {
  /** The function that comes back says that a call has ended, or that nothing but time will end it. */
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

/** From here on timers, the date and what measures time obey `inNoTime` alone. What Node does for itself is not concerned. */
export function simulateTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
}

/**
 * Do some work without waiting: whenever no call is under way, whatever waits is woken in its turn, as if its time had
 * passed. A minute of patience takes a millisecond.
 */
export async function runWithSimulatedTime<T>(calls: InFlightCalls, work: () => Promise<T>): Promise<T> {
  let done = false;
  const result = work().finally(() => {
    done = true;
  });
  // Handled below; meanwhile it must not count as unhandled.
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

/** Let time pass in which nobody does anything. */
export const passTime = (ms: number): void => void vi.advanceTimersByTime(ms);
