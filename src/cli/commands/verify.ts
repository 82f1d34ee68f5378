import { type CanaryResult, runCanaries } from '../../canary/canary.ts';
import { EXIT } from '../../errors.ts';
import { canaryText } from '../../report/outcome-text.ts';
import { createPaint } from '../../report/style.ts';
import { safeJson } from '../../util/escape.ts';
import type { Io } from '../io.ts';
import { loadSelectedSpecs } from '../load-specs.ts';
import type { VerifyOptions } from '../options.ts';
import { openSession } from '../session.ts';

/** `reconcile verify`. */
export async function runVerify(
  paths: readonly string[],
  options: VerifyOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const specs = await loadSelectedSpecs(paths, options, io);
  const session = await openSession(specs, options, io, signal);
  const paint = createPaint(io.stdout, io.env);
  const onResult = (result: CanaryResult) => {
    if (options.output === 'text') io.stdout.write(`${canaryText(result, paint)}\n`);
  };
  try {
    const results: CanaryResult[] = [];
    for (const pair of specs.pairs) {
      results.push(
        ...(await runCanaries(pair, {
          aws: session.aws,
          pairs: specs.pairs,
          timeoutMs: options.timeout * 1000,
          signal,
          onResult,
        })),
      );
    }
    if (options.output === 'json') io.stdout.write(`${safeJson({ format: 1, canaries: results }, 2)}\n`);
    const isSuccess = results.every(
      ({ result, left }) => (result === 'replicated' || result === 'skipped') && !left,
    );
    return isSuccess ? EXIT.ok : EXIT.failed;
  } finally {
    await session.close();
  }
}
