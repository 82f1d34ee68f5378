import pRetry from 'p-retry';

export interface Patience {
  /** Milliseconds after which nothing is tried again. */
  forMs: number;
  /** The longest wait between two attempts, in milliseconds. */
  longestMs: number;
  /** How often at most; default: as often as there is time for. */
  retries?: number;
  signal?: AbortSignal | undefined;
  /** Whether a failure is one that passes. */
  again: (error: Error) => boolean;
  /** Told of each failure that is tried again. */
  onAgain?: (error: Error, attempt: number) => void;
}

/**
 * Attempt something again, with growing waits of random length, while its failures are such as pass and there is time.
 * An interruption ends the waiting, but never loses an answer that came.
 *
 * @throws what the last attempt threw, or the reason of the interruption.
 */
export async function patiently<T>(attempt: () => Promise<T>, patience: Patience): Promise<T> {
  const { forMs, longestMs, retries = 10_000, signal, again, onAgain } = patience;
  const answers: [answer?: T] = [];
  try {
    return await pRetry(
      async () => {
        const answer = await attempt();
        answers[0] = answer;
        return answer;
      },
      {
        retries,
        minTimeout: 100,
        maxTimeout: longestMs,
        randomize: true,
        maxRetryTime: forMs,
        ...(signal === undefined ? {} : { signal }),
        shouldRetry: ({ error }) => again(error),
        onFailedAttempt({ error, attemptNumber, retriesLeft }) {
          if (onAgain && retriesLeft > 0 && again(error)) onAgain(error, attemptNumber);
        },
      },
    );
  } catch (error) {
    if (answers.length > 0) return answers[0] as T;
    throw error;
  }
}
