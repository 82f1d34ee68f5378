import { EXIT, UserError } from '../errors.ts';
import type { Given } from '../spec/given.ts';
import { loadSpecs } from '../spec/load.ts';
import { formatProblems } from '../spec/report.ts';
import { type Selection, SelectionError, select } from '../spec/select.ts';
import type { Specs } from '../spec/types.ts';
import type { Io } from './io.ts';
import type { SpecOptions } from './options.ts';

/**
 * The specs that the arguments name, and of these the selected ones.
 *
 * @throws UserError with every problem of every file, when there is one, and where nothing can be selected so.
 */
export async function specsFrom(paths: readonly string[], options: SpecOptions, io: Io): Promise<Specs> {
  const { specs, problems } = await loadSpecs(paths, () => readAll(io.stdin), givenBy(options, io));
  if (specs) return selected(specs, options);
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  throw new UserError(EXIT.specs, `${formatProblems(problems)}\n\n${count}; AWS was not asked.`);
}

/** What variables take their values from. */
export const givenBy = (options: Pick<SpecOptions, 'var'>, { env }: Pick<Io, 'env'>): Given => ({
  variables: options.var,
  environment: env,
});

function selected(specs: Specs, selection: Selection): Specs {
  try {
    return select(specs, selection);
  } catch (error) {
    if (error instanceof SelectionError) throw new UserError(EXIT.usage, error.message);
    throw error;
  }
}

export async function readAll(stream: NodeJS.ReadStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
