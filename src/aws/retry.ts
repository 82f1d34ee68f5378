import pRetry from 'p-retry';
import { classifyError } from './errors.ts';

export interface RetryOptions {
  /** Milliseconds after which nothing is tried again. */
  timeoutMs: number;
  /** The longest wait between two attempts, in milliseconds. */
  maxDelayMs: number;
  /** How often at most; default: as often as there is time for. */
  retries?: number;
  signal?: AbortSignal | undefined;
  /** Whether a failure is one that passes. */
  shouldRetry: (error: Error) => boolean;
  /** Told of each failure that is tried again. */
  onRetry?: (error: Error, attempt: number) => void;
}

/**
 * Attempt something again, with growing waits of random length, while its failures are such as pass and there is time.
 * An interruption ends the waiting, but never loses an answer that came.
 *
 * @throws what the last attempt threw, or the reason of the interruption.
 */
export async function retry<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { timeoutMs, maxDelayMs, retries = 10_000, signal, shouldRetry, onRetry } = options;
  const results: [answer?: T] = [];
  try {
    return await pRetry(
      async () => {
        const result = await attempt();
        results[0] = result;
        return result;
      },
      {
        retries,
        minTimeout: 100,
        maxTimeout: maxDelayMs,
        randomize: true,
        maxRetryTime: timeoutMs,
        ...(signal === undefined ? {} : { signal }),
        shouldRetry: ({ error }) => shouldRetry(error),
        onFailedAttempt({ error, attemptNumber, retriesLeft }) {
          if (onRetry && retriesLeft > 0 && shouldRetry(error)) onRetry(error, attemptNumber);
        },
      },
    );
  } catch (error) {
    if (results.length > 0) return results[0] as T;
    throw error;
  }
}

/**
 * Whether another attempt of an operation may help and does no harm. A transient error leaves open whether AWS made the
 * call, so a call that makes one thing more each time is not repeated: its caller looks first what exists.
 */
export function isRetryable(error: unknown, operation: string): boolean {
  const errorClass = classifyError(error);
  if (errorClass === 'transient') return !NON_IDEMPOTENT.has(operation);
  return errorClass === 'throttle' || errorClass === 'conflict';
}

const NON_IDEMPOTENT: ReadonlySet<string> = new Set(['CreateKey']);
