import { type Parsed, type Place, problem } from './document.ts';
import { quoted } from './excerpt.ts';
import { MAX_PROBLEMS_PER_FILE } from './limits.ts';
import { formatPath, type Path } from './path.ts';
import { at, type Finding } from './source.ts';
import { suggest } from './suggest.ts';
import type { Problem, Variable, VariableValue } from './types.ts';
import type { Declared } from './variables.ts';

/** `${var.name}`, what was meant as one, and either after a `$`, which makes it literal. */
const REFERENCE = /\$?\$\{\s*var\s*\.(?:([A-Za-z][\w-]*)\})?/g;

type Variables = ReadonlyMap<string, Declared>;

/** Whether a text has a variable in it, or something that was meant as one. */
export const isReferring = (text: string): boolean => text.search(REFERENCE) !== -1;

/** A text as a spec has to have it, to mean just that. */
export const literal = (text: string): string => text.replace(REFERENCE, '$$$&');

/** Documents with the values of variables in place of their names; each value stays where the name stands. */
export function fill(
  documents: readonly Parsed[],
  variables: Variables,
): { documents: Parsed[]; problems: Problem[]; used: Variable[] } {
  const used = new Map<string, Variable>();
  const filled = documents.map((parsed) =>
    mayRefer(parsed) ? fillOne(parsed, variables, used) : { document: parsed, problems: [] },
  );
  return {
    documents: filled.map(({ document }) => document),
    problems: filled.flatMap(({ problems }) => problems),
    used: [...used.keys()].sort().flatMap((name) => used.get(name) ?? []),
  };
}

/** A text that stands for a variable has a `$`, which may be written as an escape. */
const mayRefer = ({ source }: Parsed): boolean => /[$\\]/.test(source.text);

function fillOne(
  parsed: Parsed,
  variables: Variables,
  used: Map<string, Variable>,
): { document: Parsed; problems: Problem[] } {
  const changed = new Map<string, Place>();
  const wrong: Path[] = [];
  const problems: Problem[] = [];

  const complain = (path: Path, finding: () => Finding, key = false): void => {
    if (problems.length === MAX_PROBLEMS_PER_FILE) return;
    const { message, hint } = finding();
    problems.push(problem(parsed, path, message, hint, key));
  };

  function read(value: unknown, path: Path): unknown {
    if (typeof value === 'string') return readText(value, path);
    if (Array.isArray(value)) return value.map((item, index) => read(item, [...path, index]));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, readField(key, item, path)]));
  }

  function readField(key: string, value: unknown, path: Path): unknown {
    // What a document is must be plain before anything is filled in.
    if (path.length === 0 && key !== 'metadata' && key !== 'spec') return value;
    const inside = [...path, key];
    if (isReferring(key)) {
      wrong.push(inside);
      complain(inside, () => IN_KEY, true);
    }
    return read(value, inside);
  }

  function readText(text: string, path: Path): VariableValue {
    let whole: Declared | undefined;
    const told = new Set<string>();
    const result = text.replace(REFERENCE, (match: string, name: string | undefined) => {
      if (match.startsWith('$$')) return match.slice(1);
      const declared = match === `\${var.${name}}` ? variables.get(name ?? '') : undefined;
      if (declared?.chosen) {
        used.set(name ?? '', { name: name ?? '', ...declared.chosen });
        if (match === text) whole = declared;
        return String(declared.chosen.value);
      }
      if (told.size === 0) wrong.push(path);
      // What is wrong with a declaration, or with the value that is given, was told there.
      const isTold = declared !== undefined && declared.settings === undefined;
      if (!isTold && !told.has(match)) complain(path, () => whyNot(match, name, declared, variables));
      told.add(match);
      return match;
    });
    if (whole?.chosen) changed.set(formatPath(path), placeOf(text, path, whole));
    return whole?.chosen?.value ?? result;
  }

  function placeOf(text: string, path: Path, { chosen, position }: Declared): Place {
    const { written: _, ...place } = parsed.places.get(formatPath(path)) ?? { value: 0, isBlock: false };
    return { ...place, variable: `${text} is ${chosen?.value}, and declared at ${at(position)}` };
  }

  const value = read(parsed.value, []);
  const places = changed.size === 0 ? parsed.places : new Map([...parsed.places, ...changed]);
  return { document: { ...parsed, value, places, wrong }, problems };
}

const IN_KEY: Finding = {
  message: 'variables are read in values, not in keys',
  hint: 'write the key out',
};

function whyNot(
  match: string,
  name: string | undefined,
  declared: Declared | undefined,
  variables: Variables,
): Finding {
  if (name === undefined || match !== `\${var.${name}}`) {
    return {
      message: `${quoted(match)} begins like a variable, and is none`,
      hint: `write \${var.name}, with no space in it; $\${var. means it literally`,
    };
  }
  if (declared) {
    const { enum: [example] = [], type, env } = declared.settings ?? {};
    const given = `--var ${name}=${example ?? EXAMPLES[type ?? 'string']}`;
    const environment = env ?? `REPLIKEY_${name.toUpperCase().replaceAll('-', '_')}`;
    return {
      message: `${match} has no value: it is declared at ${at(declared.position)}, without a default`,
      hint: `give it with ${given}, or as ${environment} in the environment${env === undefined ? `, once it is declared with env: ${environment}` : ''}`,
    };
  }
  const meant = suggest(name, [...variables.keys()]);
  return {
    message: `no document declares a variable ${quoted(name)}`,
    hint:
      meant === undefined
        ? `declare it in a document of kind: Variables, and name its file too; $${match} means it literally`
        : `did you mean \${var.${meant}}?`,
  };
}

const EXAMPLES = { string: '…', number: '1', boolean: 'true' } as const;
