import { existsSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { distance } from 'fastest-levenshtein';
import manifest from '../package.json' with { type: 'json' };
import { interruptible } from './cli/interrupt.ts';
import type { Io } from './cli/io.ts';
import type { Thresholds } from './core/guard.ts';
import { RISKS } from './core/risks.ts';
import { EXIT, UserError } from './errors.ts';
import { visible } from './report/visible.ts';
import type { Selection } from './spec/select.ts';

/**
 * The command line: what can be said, and for each command one call of its body, which is loaded when it is asked for.
 * Returns the exit code; nothing here ends the process.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  io.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // `reconcile … | head` is no failure of ours.
    if (error.code !== 'EPIPE') throw error;
  });
  let code: number = EXIT.ok;
  const program = build(io, (result) => {
    code = result;
  });
  try {
    await program.parseAsync(argv.map(withFolder), { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    const { exitCode, message } = explain(error, argv.includes('--debug'));
    // Commander has told its own errors already; but not that the options are those of a command that was misspelt.
    const meant = error instanceof CommanderError ? commandMeant(program, argv[0]) : undefined;
    if (meant) io.stderr.write(`(did you mean reconcile ${meant}?)\n`);
    if (!(error instanceof CommanderError)) io.stderr.write(`${message}\n`);
    if (wantsJson(argv))
      io.stdout.write(`${JSON.stringify({ format: 1, error: { exitCode, message } }, null, 2)}\n`);
    return exitCode;
  }
}

/** What ended a run, for a person, and the exit code that goes with it. */
function explain(error: unknown, debug: boolean): { exitCode: number; message: string } {
  if (error instanceof CommanderError) return { exitCode: EXIT.usage, message: error.message };
  const said = error instanceof Error ? error.message : String(error);
  const message = debug && error instanceof Error ? (error.stack ?? said) : said;
  const lines = message.split('\n').map(visible).join('\n');
  if (error instanceof UserError) return { exitCode: error.exitCode, message: lines };
  const advice = debug ? '' : '\nThis is a fault of replikey itself; --debug shows where.';
  return { exitCode: EXIT.failed, message: `${lines}${advice}` };
}

/** Whether JSON was asked for, also where the command line is not fit to be parsed. */
const wantsJson = (argv: readonly string[]): boolean =>
  argv.some((word, index) =>
    word === '-o' || word === '--output'
      ? argv[index + 1] === 'json'
      : word === '-ojson' || word === '--output=json',
  );

export interface GlobalOptions {
  /** The folder of its state. */
  sandbox?: string;
  output: 'text' | 'json';
  allow: string[];
  wait: number;
  logLevel: string;
  debug?: true;
}

export interface ReconcileOptions extends Selection, Omit<GlobalOptions, 'output'> {
  output: 'text' | 'json' | 'markdown';
  once?: true;
  dryRun?: true;
  detailedExitcode?: true;
  prune?: true;
  allowUnproven?: true;
  plan?: string;
  maxChanges?: NonNullable<Thresholds['maxChanges']>;
  maxRemovals?: number;
}

export interface VerifyOptions extends Selection, GlobalOptions {
  timeout: number;
}

export interface ImportOptions extends GlobalOptions {
  bucket: string[];
  all?: true;
  region: string;
}

export interface DoctorOptions extends Selection, Pick<GlobalOptions, 'sandbox' | 'logLevel' | 'debug'> {
  output: 'text' | 'json' | 'sarif';
  bucket: string[];
  object?: string;
  observed?: string;
  sample: number;
  region?: string;
  verbose?: true;
  allowUnproven?: true;
}

export interface SandboxOptions {
  host: string;
  port: number;
  state?: string;
}

function build(io: Io, done: (code: number) => void): Command {
  const program = new Command('reconcile')
    .description('Keeps S3 replication of KMS-encrypted objects as declared in YAML.')
    .version(manifest.version, '-V, --version')
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
    .exitOverride()
    .showHelpAfterError('(reconcile --help shows what can be said)')
    .enablePositionalOptions()
    .addHelpText('after', EXAMPLES)
    .hook('preSubcommand', handDown);

  const action =
    <A extends unknown[]>(body: (signal: AbortSignal, ...args: A) => Promise<number>) =>
    async (...args: A): Promise<void> =>
      done(await interruptible(io, (signal) => body(signal, ...args)));

  const reconcile = selecting(
    common(
      program.argument('[paths...]', 'files, folders or globs of specs; - for standard input'),
      'markdown',
    ),
  )
    .option('--once', 'make one pass and exit')
    .option('--dry-run', 'plan, and change nothing')
    .addOption(prune())
    .option('--plan <checksum>', 'apply only the plan with this checksum, as a dry run showed it', checksum)
    .option('--allow-unproven', 'apply also what would not replicate')
    .option('--max-changes <n>', 'refuse a plan that changes more resources: a number, or 20%', share)
    .option(
      '--max-removals <n>',
      'refuse a plan that takes more rules, statements and roles away (default: 10)',
      whole,
    )
    .addOption(detailedExitcode());
  reconcile.action(
    action(async (signal, paths: string[], options: ReconcileOptions) => {
      if (paths.length === 0)
        throw new UserError(
          EXIT.usage,
          'name the specs: reconcile --once specs/ (reconcile --help shows more)',
        );
      if (options.once || options.dryRun)
        return (await import('./cli/reconcile.ts')).reconcileOnce(paths, options, io, signal);
      refuseMisspelt(program, paths[0]);
      throw new UserError(
        EXIT.usage,
        'this version makes one pass at a time: add --once (or --dry-run to change nothing)',
      );
    }),
  );

  selecting(common(program.command('plan').argument('<paths...>', 'specs'), 'markdown'))
    .description('show what would change; the same as --dry-run')
    .addOption(prune())
    .addOption(detailedExitcode())
    .action(
      action(async (signal, paths: string[], options: ReconcileOptions) =>
        (await import('./cli/reconcile.ts')).reconcileOnce(paths, { ...options, dryRun: true }, io, signal),
      ),
    );

  selecting(common(program.command('verify').argument('<paths...>', 'specs')))
    .description('write a canary under each rule, and watch its replica arrive under the declared key')
    .option('--timeout <seconds>', 'how long to wait for a replica', seconds, 900)
    .action(
      action(async (signal, paths: string[], options: VerifyOptions) =>
        (await import('./cli/verify.ts')).verify(paths, options, io, signal),
      ),
    );

  doctorOptions(selecting(program.command('doctor').argument('[paths...]', 'specs'))).action(
    action(async (signal, paths: string[], options: DoctorOptions) =>
      (await import('./cli/doctor.ts')).doctor(paths, options, io, signal),
    ),
  );

  common(program.command('import'))
    .description('print specs for replication that exists')
    .option('--bucket <name>', 'a source bucket; may be repeated', listed, [])
    .option('--all', 'every bucket of the account that has a replication configuration')
    .option('--region <region>', 'where to ask first', 'us-east-1')
    .action(
      action(async (signal, options: ImportOptions) =>
        (await import('./cli/import.ts')).importSpecs(options, io, signal),
      ),
    );

  program
    .command('validate')
    .description('check the YAML; AWS is not asked')
    .argument('<paths...>', 'specs')
    .addOption(output())
    .action(
      action(async (_, paths: string[], options: { output: 'text' | 'json' }) =>
        (await import('./cli/validate.ts')).validate(paths, options, io),
      ),
    );

  program
    .command('schema')
    .description('print the JSON Schema of specs, for editors')
    .action(action(async () => (await import('./cli/schema.ts')).schema(io)));

  program
    .command('explain')
    .argument('[field]', 'such as spec.rules.prefix; absent: all kinds of documents')
    .description('say what may stand in a field of a spec')
    .action(
      action(async (_, field: string | undefined) => (await import('./cli/explain.ts')).explain(field, io)),
    );

  program
    .command('sandbox')
    .description('serve an AWS of your own on this machine until stopped')
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0 takes any', port, 4566)
    .option('--state <dir>', 'keep the state in a folder; absent: in memory')
    .action(
      action(async (signal, options: SandboxOptions) =>
        (await import('./cli/sandbox.ts')).sandbox(options, io, signal),
      ),
    );

  program
    .command('demo')
    .description('the whole story on the sandbox: plan, apply, replicate, break, heal')
    .action(action(async (signal) => (await import('./cli/demo.ts')).demo(io, signal)));

  return program;
}

/** A word that is no file but nearly a command was meant as one. */
function refuseMisspelt(program: Command, word = ''): void {
  const meant = commandMeant(program, word);
  if (meant)
    throw new UserError(EXIT.usage, `there is no command or file "${word}" (did you mean ${meant}?)`);
}

function commandMeant(program: Command, word = ''): string | undefined {
  if (existsSync(word)) return undefined;
  const near = (name: string) => name !== word && distance(name, word) <= 2;
  return program.commands.map((command) => command.name()).find(near);
}

/**
 * `reconcile --sandbox verify specs/` means the same as `reconcile verify --sandbox specs/`: an option before the
 * command is never passed over in silence, least of all one that keeps a run away from AWS.
 */
function handDown(program: Command, command: Command): void {
  for (const option of program.options) {
    const name = option.attributeName();
    if (program.getOptionValueSource(name) !== 'cli') continue;
    if (!command.options.some((own) => own.attributeName() === name)) {
      throw new UserError(EXIT.usage, `${command.name()} has no ${option.long}: leave it out`);
    }
    command.setOptionValueWithSource(name, program.getOptionValue(name), 'cli');
  }
}

const SANDBOX_FOLDER = '.replikey/sandbox';

/** A folder is given as --sandbox=DIR alone: `--sandbox specs/` means the sandbox, and then the specs. */
const withFolder = (word: string): string => (word === '--sandbox' ? `${word}=${SANDBOX_FOLDER}` : word);

/** The options that all commands share which talk to AWS. */
function common(command: Command, ...forms: string[]): Command {
  return reading(command)
    .addOption(output(...forms))
    .option(
      '--allow <risk>',
      'allow a risk by its id; may be repeated',
      (id: string, before: string[]) => [...before, risk(id)],
      [],
    )
    .option('--wait <seconds>', 'how long to wait for what was written to be seen', seconds, 60);
}

/** The options that choose among the specs that the paths name. */
const selecting = (command: Command): Command =>
  command
    .option('--only <name>', 'only the spec of this name; may be repeated', listed, [])
    .option('-l, --selector <labels>', 'only specs with these labels: team=tax,env!=dev,tier in (gold)');

function reading(command: Command): Command {
  return command
    .option(
      '--sandbox [dir]',
      `use an embedded sandbox instead of AWS, its state kept in a folder (--sandbox=DIR; default ${SANDBOX_FOLDER})`,
    )
    .addOption(
      new Option('--log-level <level>', 'what to log')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .option('--debug', 'show where in the program an error arose');
}

const doctorOptions = (command: Command): Command =>
  reading(command)
    .description(
      'say of every rule that exists whether it will replicate, and if not why; nothing is changed',
    )
    .addOption(output('sarif'))
    .option('--bucket <name>', 'a source bucket, whoever set it up; may be repeated', listed, [])
    .option('--object <key>', 'explain one object of the bucket')
    .option(
      '--observed <file>',
      'look at exported policies and configurations instead of AWS: a file, or a folder',
    )
    .option('--sample <n>', 'how many recent objects of each bucket to look at', whole, 20)
    .option('--region <region>', 'where to ask first for a bucket')
    .option('--allow-unproven', 'let what cannot be read pass')
    .option('-v, --verbose', 'show every finding and every request');

const listed = (value: string, before: string[]): string[] => [...before, value];

const output = (...more: string[]) =>
  new Option('-o, --output <form>', 'form of the result').choices(['text', 'json', ...more]).default('text');

const prune = () =>
  new Option('--prune', 'take away what is left of specs that are not given any more (deletion: Remove)');

const detailedExitcode = () => new Option('--detailed-exitcode', 'exit with 2 when the plan holds changes');

function risk(id: string): string {
  if (Object.hasOwn(RISKS, id)) return id;
  throw new InvalidArgumentError(`known: ${Object.keys(RISKS).join(', ')}`);
}

function checksum(text: string): string {
  if (/^[0-9a-f]{16,64}$/i.test(text)) return text;
  throw new InvalidArgumentError('the checksum of a plan has at least 16 digits, as a dry run prints it');
}

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('a whole number');
  return Number(text);
}

function share(text: string): NonNullable<Thresholds['maxChanges']> {
  const [, percent] = /^(\d{1,3})%$/.exec(text) ?? [];
  return percent === undefined ? { count: whole(text) } : { percent: Number(percent) };
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 86_400)) throw new InvalidArgumentError('a number of seconds, 0 to 86400');
  return value;
}

function port(text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value >= 0 && value <= 65_535))
    throw new InvalidArgumentError('a port, 0 to 65535');
  return value;
}

const EXAMPLES = `
Examples:
  reconcile validate specs/                  check the YAML
  reconcile --dry-run specs/                 show what would change
  reconcile --once specs/                    make it so
  reconcile doctor specs/                    say whether it replicates, and if not why
  reconcile verify specs/                    prove it with real objects
  reconcile --once specs/ --sandbox          rehearse it on this machine, without an AWS account

Exit codes:
  0 converged, or nothing to do, or planned    1 failed, or partly failed
  2 changes (only with --detailed-exitcode)    3 refused by a safety rail
  4 no usable credentials, or the wrong account
  64 unusable arguments   65 invalid specs     130, 143 interrupted`;
