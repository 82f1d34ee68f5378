import type { Readable } from 'node:stream';

/** In bytes: more than a thousand roles with the longest policies that they may have. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * The body of an answer, which the SDK by itself would wait for without end where it comes byte by byte, and keep where it
 * never stops.
 */
export const collectBody =
  (timeoutMs: number) =>
  async (body: Readable): Promise<Uint8Array> => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    const late = () =>
      body.destroy(failure('TimeoutError', `the answer was not complete within ${timeoutMs} ms`));
    const timer = setTimeout(late, timeoutMs);
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        size += chunk.length;
        if (size > MOST_BYTES)
          throw failure('AnswerTooLong', `the answer is longer than ${MOST_BYTES} bytes, as none of AWS is`);
        chunks.push(chunk);
      }
    } finally {
      clearTimeout(timer);
    }
    return Buffer.concat(chunks);
  };

const failure = (name: string, message: string): Error => Object.assign(new Error(message), { name });
