import { buffer } from 'node:stream/consumers';
import { EXIT } from '../../errors.ts';
import { safeJson } from '../../util/escape.ts';
import type { CommandDefinition } from '../command-model.ts';
import {
  addVariableOption,
  type GlobalOptions,
  outputOption,
  type SpecOptions,
  variableInputOf,
} from '../options.ts';

interface ValidateOptions extends Pick<SpecOptions, 'var'>, Pick<GlobalOptions, 'output'> {}

export const validateCommand: CommandDefinition = {
  name: 'validate',
  description: 'validate the YAML, without calling AWS',
  examples: [
    ['reconcile validate specs/', 'list all problems with positions'],
    ['reconcile validate specs/ --var stage=prod', 'set a variable'],
  ],
  configure: (command) =>
    addVariableOption(command.argument('<paths...>', 'specs')).addOption(outputOption()),
  async run({ io }, paths: string[], options: ValidateOptions) {
    const [{ variableLines }, { formatProblems }, { loadSpecs }] = await Promise.all([
      import('../../report/plan-text.ts'),
      import('../../spec/format-problems.ts'),
      import('../../spec/load.ts'),
    ]);
    const stdin = () => buffer(io.stdin);
    const { specs, problems, documents, files } = await loadSpecs(paths, stdin, {
      variableInput: variableInputOf(options, io),
      nowMs: Date.now(),
    });
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
  },
};
