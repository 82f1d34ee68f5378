import pRetry from 'p-retry';
import { classifyError } from './errors.ts';

export interface RetryOptions {
  /** Time limit for retries, in milliseconds. */
  timeoutMs: number;
  /** The longest wait between two attempts, in milliseconds. */
  maxDelayMs: number;
  /** Maximum number of retries; default: 10,000, so that only the time limits them. */
  retries?: number;
  signal?: AbortSignal | undefined;
  /** Whether an error is transient. */
  shouldRetry: (error: Error) => boolean;
  /** Called before each retry. */
  onRetry?: (error: Error, attempt: number) => void;
}

/**
 * Retries an attempt with growing, randomized delays, while its errors are transient and time is left. An interruption
 * ends the wait, but never discards the result of an attempt.
 *
 * @throws the error of the last attempt, or the reason of the interruption.
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
 * Whether a retry of an operation is useful and safe. After a transient error it is unknown whether AWS carried out the
 * call, so an operation that is not idempotent is not retried. Its caller first checks whether the resource exists.
 */
export function isRetryable(error: unknown, operation: string): boolean {
  const errorClass = classifyError(error);
  if (errorClass === 'transient') return !NON_IDEMPOTENT.has(operation);
  return errorClass === 'throttle' || errorClass === 'conflict';
}

/**
 * CreateJob has a token, but AWS does not document for how long it is remembered, or that the response names the first
 * job.
 */
const NON_IDEMPOTENT: ReadonlySet<string> = new Set(['CreateKey', 'CreateJob']);
