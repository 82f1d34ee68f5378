import { check } from './checks.ts';
import { readSources } from './files.ts';
import { parse } from './parse.ts';
import { resolveAccount, resolveReplication } from './resolve.ts';
import type { Problem, Specs } from './types.ts';
import { type Valid, validate } from './validate.ts';

/** What was found: the specs if there is nothing wrong with any, and everything that is wrong. */
export interface Loaded {
  specs?: Specs;
  problems: Problem[];
  /** How many files and documents were read. */
  files: number;
  documents: number;
}

/** Load, validate and resolve everything that the paths name. No problem is thrown; all of all files come back at once. */
export async function loadSpecs(
  paths: readonly string[],
  stdin: () => Promise<string> = async () => '',
): Promise<Loaded> {
  const sources = await readSources(paths, stdin);
  const problems: Problem[] = [];
  const valid: Valid[] = [];
  let documents = 0;
  let files = 0;
  for (const source of sources) {
    if ('problem' in source) {
      problems.push(source.problem);
      continue;
    }
    files += 1;
    const parsed = parse(source.text, source.file);
    problems.push(...parsed.problems);
    documents += parsed.documents.length;
    for (const document of parsed.documents) {
      const result = validate(document);
      problems.push(...result.problems);
      if (result.valid) valid.push(result.valid);
    }
  }
  problems.push(...check(valid));
  if (problems.length === 0 && !valid.some(({ kind }) => kind === 'BucketReplication')) {
    problems.push({
      position: { file: paths[0] ?? '.', line: 1, column: 1 },
      message: 'no BucketReplication is declared',
      hint: 'a run that finds nothing to look after is taken for a mistake: name the folder of your specs',
    });
  }
  if (problems.length > 0) return { problems, files, documents };
  return { specs: resolve(valid), problems, files, documents };
}

function resolve(valid: readonly Valid[]): Specs {
  const accounts = valid.flatMap((one) => (one.kind === 'Account' ? [resolveAccount(one)] : []));
  const ids = new Map(accounts.map(({ name, id }) => [name, id]));
  const pairs = valid.flatMap((one) =>
    one.kind === 'BucketReplication' ? [resolveReplication(one, ids)] : [],
  );
  return { pairs, accounts };
}
