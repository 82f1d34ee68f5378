import { EXIT, UserError } from '../errors.ts';
import { formatProblems } from '../spec/format-problems.ts';
import { loadSpecs } from '../spec/load.ts';
import { type Selection, SelectionError, selectSpecs } from '../spec/select.ts';
import type { Specs } from '../spec/types.ts';
import type { VariableInput } from '../spec/variable-input.ts';
import type { Io } from './io.ts';
import type { SpecOptions } from './options.ts';

/**
 * The specs that the arguments name, and of these the selected ones.
 *
 * @throws UserError with every problem of every file, when there is one, and where nothing can be selected so.
 */
export async function loadSelectedSpecs(
  paths: readonly string[],
  options: SpecOptions,
  io: Io,
): Promise<Specs> {
  const { specs, problems } = await loadSpecs(
    paths,
    () => readStream(io.stdin),
    variableInputOf(options, io),
  );
  if (specs) return applySelection(specs, options);
  const problemCount = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  throw new UserError(EXIT.specs, `${formatProblems(problems)}\n\n${problemCount}; AWS was not asked.`);
}

/** What variables take their values from. */
export const variableInputOf = (
  options: Pick<SpecOptions, 'var'>,
  { env }: Pick<Io, 'env'>,
): VariableInput => ({
  assignments: options.var,
  environment: env,
});

function applySelection(specs: Specs, selection: Selection): Specs {
  try {
    return selectSpecs(specs, selection);
  } catch (error) {
    if (error instanceof SelectionError) throw new UserError(EXIT.usage, error.message);
    throw error;
  }
}

export async function readStream(stream: NodeJS.ReadStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
