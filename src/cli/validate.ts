import { EXIT } from '../errors.ts';
import { jsonText } from '../report/json-text.ts';
import { variableLines } from '../report/variables.ts';
import { loadSpecs } from '../spec/load.ts';
import { formatProblems } from '../spec/report.ts';
import type { Io } from './io.ts';
import type { ValidateOptions } from './options.ts';
import { givenBy, readAll } from './specs.ts';

/** `reconcile validate`. */
export async function validate(paths: readonly string[], options: ValidateOptions, io: Io): Promise<number> {
  const stdin = () => readAll(io.stdin);
  const { specs, problems, documents, files } = await loadSpecs(paths, stdin, givenBy(options, io));
  if (options.output === 'json') {
    const { variables = [] } = specs ?? {};
    const value = { format: 1, valid: specs !== undefined, documents, variables, problems };
    io.stdout.write(`${jsonText(value, 2)}\n`);
  } else if (specs) {
    const pairs = specs.pairs.length === 1 ? '1 pair' : `${specs.pairs.length} pairs`;
    const read = files === 1 ? '1 file' : `${files} files`;
    io.stdout.write(`${[`Valid: ${pairs} in ${read}.`, ...variableLines(specs.variables)].join('\n')}\n`);
  } else {
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    io.stderr.write(`${formatProblems(problems)}\n\n${count}.\n`);
  }
  return specs ? EXIT.ok : EXIT.specs;
}
