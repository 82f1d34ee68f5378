import { existsSync } from 'node:fs';
import path from 'node:path';
import { EXIT, UserError } from '../../errors.ts';
import { formatProblems } from '../../spec/format-problems.ts';
import type { StarterQuestion, StarterSpec } from '../../spec/starter-spec.ts';
import { escapeUnprintable, shellQuote } from '../../util/escape.ts';
import { writeNewFile } from '../../util/files.ts';
import type { CommandDefinition, Io } from '../command-model.ts';
import { collectValues } from '../options.ts';
import { createPrompter, isInteractive, type Prompter } from '../prompt.ts';

interface InitOptions {
  /** Source, then destination. */
  bucket: string[];
  region: string[];
  key: string[];
  prefix?: string;
  name?: string;
}

const SCHEMA_FILE = 'replikey.schema.json';

type PartialFirstSpec = Partial<StarterSpec>;

/** Writes a first spec, and beside it the schema for completion and validation in an editor. */
export const initCommand: CommandDefinition = {
  name: 'init',
  summary: 'write a first spec, interactively or from options',
  description: 'write a first spec, interactively or from options, without calling AWS',
  examples: [
    ['reconcile init', 'ask for each value'],
    [
      'reconcile init --bucket acme-tax --region us-east-1 --region us-west-2',
      'use these values, without questions',
    ],
  ],
  configure: (command) =>
    command
      .argument('[file]', 'file to write (default: specs/NAME.yaml)')
      .option(
        '--bucket <name>',
        'source bucket; repeat for the destination (default: SOURCE-replica)',
        collectValues,
        [],
      )
      .option('--region <region>', 'Region of the source; repeat for the destination', collectValues, [])
      .option(
        '--key <key>',
        'KMS key of the source; repeat for the destination (default: alias/BUCKET)',
        collectValues,
        [],
      )
      .option('--prefix <prefix>', 'replicate only objects whose key begins with this (default: all objects)')
      .option('--name <name>', 'name of the spec (default: the name of the source bucket)'),
  async run({ io, signal }, file: string | undefined, options: InitOptions) {
    const [{ renderStarterSpec, STARTER_QUESTIONS }, { buildJsonSchema }] = await Promise.all([
      import('../../spec/starter-spec.ts'),
      import('../../spec/json-schema.ts'),
    ]);
    rejectIf(file === undefined ? undefined : targetProblem(file));
    const { spec, target } = await completeAnswers(
      file,
      answersFromOptions(options, STARTER_QUESTIONS),
      STARTER_QUESTIONS,
      io,
      signal,
    );
    const text = renderStarterSpec(spec, SCHEMA_FILE);
    await assertValidSpec(text);
    const schema = path.join(path.dirname(target), SCHEMA_FILE);
    if (!(await writeNewFile(target, text))) rejectIf(fileExistsMessage(target));
    // Keeps an existing schema file: the user may have chosen another version.
    await writeNewFile(schema, `${JSON.stringify(buildJsonSchema(), null, 2)}\n`);
    const quotedTarget = shellQuote(target);
    io.stdout.write(`Wrote ${escapeUnprintable(target)}; editors validate it with ${escapeUnprintable(schema)}.

Next, apply it in the sandbox, without an AWS account:
  reconcile --once ${escapeUnprintable(quotedTarget)} --sandbox
Then show the changes that it would make in AWS:
  reconcile --dry-run ${escapeUnprintable(quotedTarget)}
`);
    return EXIT.ok;
  },
};

function rejectIf(problem: string | undefined): void {
  if (problem !== undefined) throw new UserError(EXIT.usage, problem);
}

/** Returns why a spec cannot be written to a file. */
function targetProblem(file: string): string | undefined {
  if (!/\.ya?ml$/.test(file)) return `invalid file name ${file}: spec files end in .yaml or .yml`;
  return existsSync(file) ? fileExistsMessage(file) : undefined;
}

const fileExistsMessage = (file: string): string =>
  `${file} already exists and was not changed: choose another file`;

/** Takes answers from the options. */
function answersFromOptions(
  options: InitOptions,
  starterQuestions: readonly StarterQuestion[],
): PartialFirstSpec {
  const { bucket, region, key, prefix, name } = options;
  const valuesByFlag: Record<string, readonly string[]> = {
    '--bucket': bucket,
    '--region': region,
    '--key': key,
    '--prefix': prefix === undefined ? [] : [prefix],
    '--name': name === undefined ? [] : [name],
  };
  const answers: PartialFirstSpec = {};
  for (const [flag, values] of Object.entries(valuesByFlag)) {
    const questions = starterQuestions.filter((question) => question.flag === flag);
    if (values.length > questions.length)
      rejectIf(
        `too many ${flag} options: use at most ${questions.length}, for the source and the destination`,
      );
    values.forEach((value, index) => {
      const question = questions[index];
      if (question) answers[question.key] = value;
    });
  }
  for (const { key: questionKey, flag, check } of starterQuestions) {
    const problem = answers[questionKey] === undefined ? undefined : check(answers[questionKey], answers);
    rejectIf(problem === undefined ? undefined : `${flag} ${answers[questionKey]}: ${problem}`);
  }
  return answers;
}

/**
 * Completes the answers and the file with defaults. If an answer is still missing, asks the user on a terminal.
 *
 * @throws UserError if an answer is missing and no terminal is available.
 */
async function completeAnswers(
  file: string | undefined,
  answers: PartialFirstSpec,
  starterQuestions: readonly StarterQuestion[],
  io: Io,
  signal: AbortSignal,
): Promise<{ spec: StarterSpec; target: string }> {
  const homeRegion = io.env.AWS_REGION ?? io.env.AWS_DEFAULT_REGION ?? 'us-east-1';
  const defaults = fillDefaults(answers, starterQuestions, homeRegion);
  if (defaults.missing.length === 0)
    return { spec: defaults.spec, target: file ?? defaultFile(defaults.spec.name) };
  if (!isInteractive(io)) {
    // Excludes answers that follow from the source bucket.
    const missingWithSource = fillDefaults(
      { ...answers, source: answers.source ?? 'any' },
      starterQuestions,
      homeRegion,
    ).missing;
    const missing = defaults.missing
      .filter((question) => question.key === 'source' || missingWithSource.includes(question))
      .map(questionLabel)
      .join(', ');
    throw new UserError(
      EXIT.usage,
      `not a terminal; missing required options: ${missing}\nfor example: ${INIT_EXAMPLE}`,
    );
  }
  const prompter = createPrompter(io, signal);
  try {
    for (const { key, prompt: ask, defaultAnswer: offer, check } of starterQuestions)
      answers[key] ??= await askValid(prompter, ask, offer(answers, homeRegion), (answer) =>
        check(answer, answers),
      );
    const spec = answers as StarterSpec;
    const target = file ?? (await askValid(prompter, 'File', defaultFile(spec.name), targetProblem));
    return { spec, target };
  } finally {
    prompter.close();
  }
}

function questionLabel({ flag, key }: StarterQuestion): string {
  const [side] = /^(source|destination)/.exec(key) ?? [];
  return side === undefined ? flag : `${flag} of the ${side}`;
}

const INIT_EXAMPLE =
  'reconcile init --bucket acme-tax --region us-east-1 --bucket acme-tax-replica --region us-west-2';

const defaultFile = (name: string): string => path.join('specs', `${name}.yaml`);

/** Fills in the answers that follow from other answers, without guesses. */
function fillDefaults(
  answers: PartialFirstSpec,
  starterQuestions: readonly StarterQuestion[],
  homeRegion: string,
): { spec: StarterSpec; missing: StarterQuestion[] } {
  const spec = { ...answers };
  const missing: StarterQuestion[] = [];
  for (const question of starterQuestions) {
    const { key, defaultAnswer: offer, isGuess } = question;
    const value = spec[key] ?? (isGuess ? undefined : offer(spec, homeRegion));
    if (value === undefined) missing.push(question);
    else spec[key] = value;
  }
  return { spec: spec as StarterSpec, missing };
}

/** Asks until the answer is valid. */
async function askValid(
  prompter: Prompter,
  question: string,
  fallback: string | undefined,
  check: (answer: string) => string | undefined,
): Promise<string> {
  for (;;) {
    const hint = fallback === undefined ? '' : ` [${fallback === '' ? 'all objects' : fallback}]`;
    const line = await prompter.ask(`${question}${hint}:`);
    if (line === undefined) throw new UserError(EXIT.usage, 'incomplete answers: no file was written');
    const answer = line.trim() || fallback;
    const problem = answer === undefined ? 'a value is required' : check(answer);
    if (answer !== undefined && problem === undefined) return answer;
    prompter.print(`  ${escapeUnprintable(problem ?? '')}\n`);
  }
}

/**
 * Validates the whole spec. Single answers cannot show problems between answers, for example two keys in different
 * accounts.
 */
async function assertValidSpec(text: string): Promise<void> {
  const { loadSpecs } = await import('../../spec/load.ts');
  const { specs, problems } = await loadSpecs(['-'], async () => text);
  if (!specs) rejectIf(`invalid spec, no file was written:\n${formatProblems(problems)}`);
}
