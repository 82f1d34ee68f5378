import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { EXIT, UserError } from '../errors.ts';
import { visible } from '../report/visible.ts';
import { type FirstSpec, firstSpec, QUESTIONS, type Question, unquoted } from '../spec/first-spec.ts';
import { jsonSchema } from '../spec/json-schema.ts';
import type { Io } from './io.ts';
import type { InitOptions } from './options.ts';

const SCHEMA = 'replikey.schema.json';

/** `reconcile init`: a first spec, and the schema beside it by which an editor completes and checks it. */
export async function init(
  file: string | undefined,
  options: InitOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const given = givenIn(options);
  const spec = await answers(given, io, signal);
  const target = file ?? path.join('specs', `${spec.name}.yaml`);
  const folder = path.dirname(target);
  await mkdir(folder, { recursive: true });
  await writeNew(target, firstSpec(spec, SCHEMA));
  // It is the same whoever writes it; one that is there may be of another version, and somebody's choice.
  const schema = path.join(folder, SCHEMA);
  await writeFile(schema, `${JSON.stringify(jsonSchema(), null, 2)}\n`, { flag: 'wx' }).catch(
    () => undefined,
  );
  io.stdout.write(`${visible(target)} is written, and ${visible(schema)} beside it for your editor. Next:

  reconcile --once ${target} --sandbox   rehearse it on this machine, without an AWS account
  reconcile --dry-run ${target}          show what it would change in AWS
`);
  return EXIT.ok;
}

/** @throws UserError for what will not do, or was given too often. */
function givenIn({ bucket, region, prefix, name }: InitOptions): Partial<FirstSpec> {
  if (bucket.length > 2 || region.length > 2)
    throw new UserError(EXIT.usage, 'a pair has two buckets: name --bucket and --region twice at most');
  const all = {
    source: bucket[0],
    destination: bucket[1],
    sourceRegion: region[0],
    destinationRegion: region[1],
    prefix,
    name,
  };
  const given = Object.entries(all).filter(
    (entry): entry is [keyof FirstSpec, string] => entry[1] !== undefined,
  );
  for (const [key, value] of given) {
    const why = QUESTIONS.find((question) => question.key === key)?.check(value);
    if (why !== undefined) throw new UserError(EXIT.usage, `${value}: ${why}`);
  }
  return Object.fromEntries(given);
}

/** Ask for what was not given; where nobody can answer, what is offered counts, and what must be given is named. */
async function answers(given: Partial<FirstSpec>, io: Io, signal: AbortSignal): Promise<FirstSpec> {
  const known: Partial<FirstSpec> = { ...given };
  const open = QUESTIONS.filter(({ key }) => known[key] === undefined);
  if (!io.stdin.isTTY) {
    for (const { key, offer } of open) {
      const offered = offer?.(known);
      if (offered === undefined)
        throw new UserError(EXIT.usage, 'name the source bucket: reconcile init --bucket acme-tax');
      known[key] = unquoted(offered);
    }
    return known as FirstSpec;
  }
  const terminal = createInterface({ input: io.stdin, output: io.stderr, terminal: false, signal });
  const lines = terminal[Symbol.asyncIterator]();
  const ask = async (text: string): Promise<string> => {
    io.stderr.write(text);
    const { value, done } = await lines.next();
    signal.throwIfAborted();
    if (done) throw new UserError(EXIT.usage, '\nnot all was answered: nothing was written');
    return value;
  };
  try {
    for (const question of open) known[question.key] = unquoted(await answer(question, known, ask, io));
  } finally {
    terminal.close();
  }
  return known as FirstSpec;
}

/** Ask until an answer will do. */
async function answer(
  { ask, offer, check }: Question,
  known: Partial<FirstSpec>,
  question: (text: string) => Promise<string>,
  io: Io,
): Promise<string> {
  const offered = offer?.(known);
  for (;;) {
    const text =
      (await question(`${ask}${offered === undefined ? '' : ` [${offered}]`}: `)).trim() || offered;
    const why = text === undefined ? 'there must be something here' : check(text);
    if (text !== undefined && why === undefined) return text;
    io.stderr.write(`  ${why}\n`);
  }
}

/** @throws UserError where there is one already: what somebody wrote is never written over. */
async function writeNew(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx' });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why =
      code === 'EEXIST'
        ? 'is there already, and is left as it is: name another file'
        : `cannot be written: ${message}`;
    throw new UserError(EXIT.usage, `${file} ${why}`, { cause: error });
  }
}
