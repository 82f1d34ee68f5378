import type { Readable } from 'node:stream';

/** In bytes: more than a thousand roles with the longest policies that they may have. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

/**
 * The body of an answer, which the SDK by itself would wait for without end where it comes byte by byte, and keep where it
 * never stops.
 */
export const boundedBody =
  (timeoutMs: number) =>
  async (body: Readable): Promise<Uint8Array> => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    const onTimeout = () =>
      body.destroy(namedError('TimeoutError', `the answer was not complete within ${timeoutMs} ms`));
    const timer = setTimeout(onTimeout, timeoutMs);
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        size += chunk.length;
        if (size > MAX_BODY_BYTES)
          throw namedError(
            'AnswerTooLong',
            `the answer is longer than ${MAX_BODY_BYTES} bytes, as none of AWS is`,
          );
        chunks.push(chunk);
      }
    } finally {
      clearTimeout(timer);
    }
    return Buffer.concat(chunks);
  };

const namedError = (name: string, message: string): Error => Object.assign(new Error(message), { name });
