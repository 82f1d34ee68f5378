import type { CanaryResult } from '../../canary/canary.ts';
import { EXIT } from '../../errors.ts';
import { createPaint } from '../../report/style.ts';
import { safeJson } from '../../util/escape.ts';
import type { CommandDefinition } from '../command-model.ts';
import {
  addCommonOptions,
  addSelectionOptions,
  type GlobalOptions,
  parseSeconds,
  type SpecOptions,
  sandboxFlags,
  specArgumentsOf,
} from '../options.ts';

interface VerifyOptions extends SpecOptions, GlobalOptions {
  timeout: number;
}

export const verifyCommand: CommandDefinition = {
  name: 'verify',
  summary: 'test each rule with canary objects',
  description:
    'write canary objects for each rule, wait for their replicas under the declared key, and delete both',
  examples: [
    ['reconcile verify specs/', 'test every rule'],
    ['reconcile verify specs/ --only tax --timeout 5m', 'test one spec, at most 5m'],
  ],
  configure: (command) =>
    addSelectionOptions(addCommonOptions(command.argument('<paths...>', 'specs'))).option(
      '--timeout <duration>',
      'time to wait for a replica',
      parseSeconds,
      900,
    ),
  async run({ io, signal }, paths: string[], options: VerifyOptions) {
    const [{ runCanaries }, { canaryText }, { loadSelectedSpecs, openSession }] = await Promise.all([
      import('../../canary/canary.ts'),
      import('../../report/outcome-text.ts'),
      import('../session.ts'),
    ]);
    const specs = await loadSelectedSpecs(paths, options, io, signal);
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
            specs,
            allowedRisks: options.allow,
            timeoutMs: options.timeout * 1000,
            signal,
            onResult,
            specArguments: [
              ...specArgumentsOf(paths, { ...options, only: [pair.name] }),
              ...sandboxFlags(options),
            ].join(' '),
            onNotice: (line) => session.log.info(line),
          })),
        );
      }
      if (options.output === 'json') io.stdout.write(`${safeJson({ format: 1, canaries: results }, 2)}\n`);
      return exitCodeOf(results);
    } finally {
      await session.close();
    }
  },
};

function exitCodeOf(results: readonly CanaryResult[]): number {
  const isFailure = ({ result, left }: CanaryResult) => result === 'failed' || result === 'timeout' || left;
  if (results.some(isFailure)) return EXIT.failed;
  return results.some(({ result }) => result === 'refused') ? EXIT.refused : EXIT.ok;
}
