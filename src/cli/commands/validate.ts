import { EXIT } from '../../errors.ts';
import { variableLines } from '../../report/plan-text.ts';
import { formatProblems } from '../../spec/format-problems.ts';
import { loadSpecs } from '../../spec/load.ts';
import { safeJson } from '../../util/escape.ts';
import type { Io } from '../io.ts';
import { readStream, variableInputOf } from '../load-specs.ts';
import type { ValidateOptions } from '../options.ts';

/** `reconcile validate`. */
export async function runValidate(
  paths: readonly string[],
  options: ValidateOptions,
  io: Io,
): Promise<number> {
  const stdin = () => readStream(io.stdin);
  const { specs, problems, documents, files } = await loadSpecs(paths, stdin, variableInputOf(options, io));
  if (options.output === 'json') {
    const { variables = [] } = specs ?? {};
    const value = { format: 1, valid: specs !== undefined, documents, variables, problems };
    io.stdout.write(`${safeJson(value, 2)}\n`);
  } else if (specs) {
    const pairCount = specs.pairs.length === 1 ? '1 pair' : `${specs.pairs.length} pairs`;
    const fileCount = files === 1 ? '1 file' : `${files} files`;
    io.stdout.write(
      `${[`Valid: ${pairCount} in ${fileCount}.`, ...variableLines(specs.variables)].join('\n')}\n`,
    );
  } else {
    const problemCount = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    io.stderr.write(`${formatProblems(problems)}\n\n${problemCount}.\n`);
  }
  return specs ? EXIT.ok : EXIT.specs;
}
