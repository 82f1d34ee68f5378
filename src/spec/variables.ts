import { type Parsed, positionOf, problem, writtenAt } from './document.ts';
import { quoted } from './excerpt.ts';
import { asValue, type Given, IN_WORDS, misfit, type Said, said } from './given.ts';
import { type Path, valueAt } from './path.ts';
import type { WrittenVariable } from './schema.ts';
import { at } from './source.ts';
import type { Position, Problem, Variable, VariableValue } from './types.ts';
import { type CheckedVariables, isSound } from './validate.ts';

/** A variable that some document declares. */
export interface Declared {
  position: Position;
  /** Absent where something is wrong with it, or with the value that was given; that was told. */
  settings?: WrittenVariable;
  /** Absent where none was given. */
  chosen?: Chosen;
}

export type Chosen = Pick<Variable, 'value' | 'from'>;

/** Everything that is declared, with its value: from --var, else from the environment where the declaration names it, else the default. */
export function settle(
  documents: readonly Parsed[],
  checked: readonly CheckedVariables[],
  given: Given,
): { variables: ReadonlyMap<string, Declared>; problems: Problem[] } {
  const { names, problems } = declaredNames(documents);
  const { texts, problems: misgiven } = said(given.variables, [...names.keys()]);
  problems.push(...misgiven);
  const byDocument = new Map(checked.map((one) => [one.parsed, one]));
  const variables = new Map<string, Declared>();
  for (const [name, { parsed, path }] of names) {
    const declared: Declared = { position: positionOf(parsed, path, true) };
    variables.set(name, declared);
    const document = byDocument.get(parsed);
    const settings = document && isSound(document, path) && document.written.spec.variables[name];
    if (!settings) continue;
    const declaration = { name, settings, parsed, path };
    const wrong = misfits(declaration);
    const value = wrong.length > 0 ? { problems: wrong } : choose(declaration, texts.get(name), given);
    problems.push(...value.problems);
    if (value.problems.length > 0) continue;
    declared.settings = settings;
    if ('chosen' in value && value.chosen) declared.chosen = value.chosen;
  }
  return { variables, problems };
}

interface Declaration {
  name: string;
  settings: WrittenVariable;
  parsed: Parsed;
  path: Path;
}

/** Every name with its first declaration, also in documents that are wrong otherwise, so that no use of it is called undeclared. */
function declaredNames(documents: readonly Parsed[]) {
  const names = new Map<string, { parsed: Parsed; path: Path }>();
  const problems: Problem[] = [];
  for (const parsed of documents) {
    const declared = valueAt(parsed.value, ['spec', 'variables']);
    if (typeof declared !== 'object' || declared === null || Array.isArray(declared)) continue;
    for (const name of Object.keys(declared)) {
      const path = ['spec', 'variables', name];
      const before = names.get(name);
      if (before) {
        const message = `the variable ${name} is already declared at ${at(positionOf(before.parsed, before.path, true))}`;
        problems.push(
          problem(parsed, path, message, 'a variable is declared once: remove one of the two', true),
        );
      } else names.set(name, { parsed, path });
    }
  }
  return { names, problems };
}

/** What in a declaration does not fit its type. */
function misfits({
  settings: { type, enum: values, default: fallback },
  parsed,
  path,
}: Declaration): Problem[] {
  const typed = (value: VariableValue, where: Path): Problem[] => {
    const written = writtenAt(parsed, where);
    if (
      typeof value === 'number' &&
      type === 'number' &&
      written !== undefined &&
      written !== String(value)
    ) {
      const hint = `write ${value}, or declare type: string and quote it`;
      return [problem(parsed, where, `${written} would be written as ${value} in a text`, hint)];
    }
    if (typeof value === type) return [];
    const found = typeof value === 'string' ? quoted(value) : `the ${typeof value} ${value}`;
    const hint = `the variable is declared with type: ${type}`;
    return [problem(parsed, where, `expected ${IN_WORDS[type]}, found ${found}`, hint)];
  };
  const wrong = (values ?? []).flatMap((value, index) => typed(value, [...path, 'enum', index]));
  if (fallback === undefined || wrong.length > 0) return wrong;
  const where = [...path, 'default'];
  const untyped = typed(fallback, where);
  const reason = misfit(fallback, values);
  if (untyped.length > 0 || reason === undefined) return untyped;
  const hint = 'write a value as --var could give it';
  return [problem(parsed, where, reason, hint)];
}

function choose(
  { name, settings, parsed, path }: Declaration,
  told: Said | undefined,
  { environment }: Given,
): { chosen?: Chosen; problems: Problem[] } {
  const { env, default: fallback } = settings;
  const place = at(positionOf(parsed, path, true));
  if (told) {
    const read = asValue(told.text, settings);
    if ('value' in read) return { chosen: { value: read.value, from: '--var' }, problems: [] };
    const hint = `${name} is declared at ${place}`;
    return { problems: [told.problem({ path: name, message: read.wrong, hint })] };
  }
  const text = env === undefined ? undefined : environment[env];
  if (text !== undefined) {
    const read = asValue(text, settings);
    if ('value' in read) return { chosen: { value: read.value, from: `environment ${env}` }, problems: [] };
    const hint = `set ${env} to something else, or take it out of the environment`;
    return {
      problems: [problem(parsed, [...path, 'env'], `${env} in the environment: ${read.wrong}`, hint)],
    };
  }
  return {
    ...(fallback === undefined ? {} : { chosen: { value: fallback, from: 'default' } }),
    problems: [],
  };
}
