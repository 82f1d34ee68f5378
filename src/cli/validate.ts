import { EXIT } from '../errors.ts';
import { loadSpecs } from '../spec/load.ts';
import { formatProblems } from '../spec/report.ts';
import type { Io } from './io.ts';
import { readAll } from './specs.ts';

/** `reconcile validate`. */
export async function validate(
  paths: readonly string[],
  { output }: { output: 'text' | 'json' },
  io: Io,
): Promise<number> {
  const { specs, problems, documents, files } = await loadSpecs(paths, () => readAll(io.stdin));
  if (output === 'json') {
    io.stdout.write(
      `${JSON.stringify({ format: 1, valid: specs !== undefined, documents, problems }, null, 2)}\n`,
    );
  } else if (specs) {
    const pairs = specs.pairs.length === 1 ? '1 pair' : `${specs.pairs.length} pairs`;
    const read = files;
    io.stdout.write(`Valid: ${pairs} in ${read === 1 ? '1 file' : `${read} files`}.\n`);
  } else {
    io.stderr.write(
      `${formatProblems(problems)}\n\n${problems.length === 1 ? '1 problem' : `${problems.length} problems`}.\n`,
    );
  }
  return specs ? EXIT.ok : EXIT.specs;
}
