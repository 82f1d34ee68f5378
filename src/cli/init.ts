import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { EXIT, UserError } from '../errors.ts';
import { type FirstSpec, firstSpec, QUESTIONS, type Question } from '../spec/first-spec.ts';
import { jsonSchema } from '../spec/json-schema.ts';
import { loadSpecs } from '../spec/load.ts';
import { formatProblems } from '../spec/report.ts';
import { visible } from '../visible.ts';
import type { Io } from './io.ts';
import type { InitOptions } from './options.ts';
import { shellWord } from './shell-word.ts';
import { writeNew } from './write-new.ts';

const SCHEMA = 'replikey.schema.json';

type Known = Partial<FirstSpec>;

/** `reconcile init`: a first spec, and the schema beside it by which an editor completes and checks it. */
export async function init(
  file: string | undefined,
  options: InitOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  refuse(file === undefined ? undefined : unfit(file));
  const { spec, target } = await answers(file, given(options), io, signal);
  const text = firstSpec(spec, SCHEMA);
  await refuseInvalid(text);
  const schema = path.join(path.dirname(target), SCHEMA);
  if (!(await writeNew(target, text))) refuse(isThere(target));
  // One that is there may be of another version, and is somebody's choice.
  await writeNew(schema, `${JSON.stringify(jsonSchema(), null, 2)}\n`);
  const word = shellWord(target);
  io.stdout.write(`${visible(target)} is written; your editor checks it by ${visible(schema)}.

Next, rehearse it on this machine, without an AWS account:
  reconcile --once ${visible(word)} --sandbox
And then see what it would change in AWS:
  reconcile --dry-run ${visible(word)}
`);
  return EXIT.ok;
}

function refuse(why: string | undefined): void {
  if (why !== undefined) throw new UserError(EXIT.usage, why);
}

/** Why a file is none that a spec can be written to. */
function unfit(file: string): string | undefined {
  if (!/\.ya?ml$/.test(file)) return `${file}: specs are read from files that end in .yaml or .yml`;
  return existsSync(file) ? isThere(file) : undefined;
}

const isThere = (file: string): string => `${file} is there already, and is left as it is: name another file`;

/** What the options say beforehand. */
function given(options: InitOptions): Known {
  const { bucket, region, key, prefix, name } = options;
  const said: Record<string, readonly string[]> = {
    '--bucket': bucket,
    '--region': region,
    '--key': key,
    '--prefix': prefix === undefined ? [] : [prefix],
    '--name': name === undefined ? [] : [name],
  };
  const known: Known = {};
  for (const [flag, values] of Object.entries(said)) {
    const questions = QUESTIONS.filter((question) => question.flag === flag);
    if (values.length > questions.length)
      refuse(`${flag} is given at most ${questions.length} times: for the source, and for the destination`);
    values.forEach((value, index) => {
      const question = questions[index];
      if (question) known[question.key] = value;
    });
  }
  for (const { key: what, flag, check } of QUESTIONS) {
    const why = known[what] === undefined ? undefined : check(known[what], known);
    refuse(why === undefined ? undefined : `${flag} ${known[what]}: ${why}`);
  }
  return known;
}

/** All answers, and the file: asked for on a terminal where the options leave something open, and else as offered. */
async function answers(
  file: string | undefined,
  known: Known,
  io: Io,
  signal: AbortSignal,
): Promise<{ spec: FirstSpec; target: string }> {
  const home = io.env.AWS_REGION ?? io.env.AWS_DEFAULT_REGION ?? 'us-east-1';
  const assumed = assume(known, home);
  if (assumed.missing.length === 0)
    return { spec: assumed.spec, target: file ?? usualFile(assumed.spec.name) };
  if (!io.stdin.isTTY || !io.stderr.isTTY) {
    // What follows from the source bucket is not missing for itself.
    const others = assume({ ...known, source: known.source ?? 'any' }, home).missing;
    const missing = assumed.missing
      .filter((one) => one.key === 'source' || others.includes(one))
      .map(named)
      .join(', ');
    throw new UserError(
      EXIT.usage,
      `nobody can be asked here, and this is missing: ${missing}\nfor example: ${EXAMPLE}`,
    );
  }
  const asking = asker(io, signal);
  try {
    for (const { key, ask, offer, check } of QUESTIONS)
      known[key] ??= await asking.ask(ask, offer(known, home), (answer) => check(answer, known));
    const spec = known as FirstSpec;
    return { spec, target: file ?? (await asking.ask('File', usualFile(spec.name), unfit)) };
  } finally {
    asking.end();
  }
}

function named({ flag, key }: Question): string {
  const [side] = /^(source|destination)/.exec(key) ?? [];
  return side === undefined ? flag : `${flag} of the ${side}`;
}

const EXAMPLE =
  'reconcile init --bucket acme-tax --region us-east-1 --bucket acme-tax-replica --region us-west-2';

const usualFile = (name: string): string => path.join('specs', `${name}.yaml`);

/** What is known and what follows from it, without a guess. */
function assume(known: Known, home: string): { spec: FirstSpec; missing: Question[] } {
  const spec = { ...known };
  const missing: Question[] = [];
  for (const question of QUESTIONS) {
    const { key, offer, isGuess } = question;
    const value = spec[key] ?? (isGuess ? undefined : offer(spec, home));
    if (value === undefined) missing.push(question);
    else spec[key] = value;
  }
  return { spec: spec as FirstSpec, missing };
}

/** Questions and answers, line by line; the terminal itself edits the line. */
function asker(io: Io, signal: AbortSignal) {
  const terminal = createInterface({ input: io.stdin, output: io.stderr, terminal: false, signal });
  const lines = terminal[Symbol.asyncIterator]();
  return {
    /** Ask until an answer will do. */
    async ask(question: string, offered: string | undefined, check: (answer: string) => string | undefined) {
      for (;;) {
        const hint = offered === undefined ? '' : ` [${offered === '' ? 'everything' : offered}]`;
        io.stderr.write(visible(`${question}${hint}: `));
        const { value, done } = await lines.next();
        signal.throwIfAborted();
        if (done) throw new UserError(EXIT.usage, '\nnot all was answered: nothing was written');
        const answer = value.trim() || offered;
        const why = answer === undefined ? 'there must be something here' : check(answer);
        if (answer !== undefined && why === undefined) return answer;
        io.stderr.write(`  ${visible(why ?? '')}\n`);
      }
    },
    end: () => terminal.close(),
  };
}

/** What each answer alone does not show: two keys that differ in their account, and whatever else specs are checked for. */
async function refuseInvalid(text: string): Promise<void> {
  const { specs, problems } = await loadSpecs(['-'], async () => text);
  if (!specs) refuse(`this makes no valid spec, and nothing was written:\n${formatProblems(problems)}`);
}
