import { EXIT } from '../errors.ts';
import { canaryText } from '../report/canary-text.ts';
import { jsonText } from '../report/json-text.ts';
import { paintFor } from '../report/paint.ts';
import { type CanaryResult, canaries } from '../steps/canary.ts';
import type { Io } from './io.ts';
import type { VerifyOptions } from './options.ts';
import { openSession } from './session.ts';
import { specsFrom } from './specs.ts';

/** `reconcile verify`. */
export async function verify(
  paths: readonly string[],
  options: VerifyOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const specs = await specsFrom(paths, options, io);
  const session = await openSession(specs, options, io, signal);
  const paint = paintFor(io.stdout, io.env);
  const onResult = (result: CanaryResult) => {
    if (options.output === 'text') io.stdout.write(`${canaryText(result, paint)}\n`);
  };
  try {
    const results: CanaryResult[] = [];
    for (const pair of specs.pairs) {
      results.push(
        ...(await canaries(pair, {
          door: session.door,
          pairs: specs.pairs,
          timeoutMs: options.timeout * 1000,
          signal,
          onResult,
        })),
      );
    }
    if (options.output === 'json') io.stdout.write(`${jsonText({ format: 1, canaries: results }, 2)}\n`);
    const good = results.every(
      ({ result, left }) => (result === 'replicated' || result === 'skipped') && !left,
    );
    return good ? EXIT.ok : EXIT.failed;
  } finally {
    await session.close();
  }
}
