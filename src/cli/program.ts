import { existsSync } from 'node:fs';
import { Argument, Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { EXIT, UserError } from '../errors.ts';
import { suggest } from '../spec/did-you-mean.ts';
import { commandModelOf } from './command-model.ts';
import type { Shell } from './completion/index.ts';
import { HELP_CONFIGURATION, helpWidth } from './help.ts';
import type { Io } from './io.ts';
import {
  type ApplyCommandOptions,
  addAwsOptions,
  addCommonOptions,
  addControllerOptions,
  addDoctorOptions,
  addGuardOptions,
  addPlanOptions,
  addSelectionOptions,
  addVariableOption,
  collectValues,
  type DoctorOptions,
  type ImportOptions,
  type InitOptions,
  type ObserveOptions,
  outputOption,
  type PermissionsOptions,
  parseChecksum,
  parsePort,
  parseSeconds,
  pruneOption,
  type ReconcileOptions,
  type RunOptions,
  type SandboxCommandOptions,
  type ValidateOptions,
  type VerifyOptions,
} from './options.ts';
import { runInterruptible } from './signals.ts';

/** What can be said on the command line, and for each command one call of its body, which is loaded when it is asked for. */
export function buildProgram(io: Io, onExit: (code: number) => void): Command {
  const program = new Command('reconcile')
    .description('Keeps S3 replication of KMS-encrypted objects as declared in YAML.')
    .version(manifest.version, '-V, --version', 'print the version')
    .usage('[options] <paths...>\n       reconcile <command> [options]')
    .helpOption('-h, --help', 'show this')
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => helpWidth(io),
      getErrHelpWidth: () => helpWidth(io),
    })
    .configureHelp(HELP_CONFIGURATION)
    .exitOverride()
    .showHelpAfterError('(reconcile --help shows what can be said)')
    .enablePositionalOptions()
    .hook('preSubcommand', passOptionsDown);

  const toAction =
    <A extends unknown[]>(body: (signal: AbortSignal, ...args: A) => Promise<number>) =>
    async (...args: A): Promise<void> =>
      onExit(await runInterruptible(io, (signal) => body(signal, ...args)));

  const reconcileCommand = addGuardOptions(
    addPlanOptions(
      addSelectionOptions(
        addCommonOptions(
          program.argument('[paths...]', 'files, folders or globs of specs; - for standard input'),
          'ndjson',
          'markdown',
        ),
      ),
    ),
  )
    .option('--once', 'make one pass and exit')
    .option('--dry-run', 'plan, and change nothing')
    .option(
      '--plan <checksum>',
      'apply only the plan with this checksum, as a dry run showed it',
      parseChecksum,
    );
  addControllerOptions(reconcileCommand).action(async (paths: string[], options: RunOptions) => {
    const untilStopped = !options.once && !options.dryRun;
    if (options.source === 'kubernetes' && !untilStopped)
      throw new UserError(
        EXIT.usage,
        '--source kubernetes runs until stopped: leave out --once and --dry-run',
      );
    if (options.source === 'files' && paths.length === 0)
      throw new UserError(
        EXIT.usage,
        'name the specs: reconcile --once specs/ (reconcile --help shows more)',
      );
    if (untilStopped) rejectMisspelledCommand(program, paths[0]);
    const body = async (signal: AbortSignal) =>
      untilStopped
        ? (await import('./commands/run.ts')).runController(paths, options, io, signal)
        : (await import('./commands/reconcile.ts')).runOnce(paths, options, io, signal);
    onExit(await runInterruptible(io, body, { untilStopped }));
  });

  addPlanOptions(
    addSelectionOptions(
      addCommonOptions(program.command('plan').argument('<paths...>', 'specs'), 'ndjson', 'markdown'),
    ),
  )
    .description('show what would change; the same as --dry-run')
    .action(
      toAction(async (signal, paths: string[], options: ReconcileOptions) =>
        (await import('./commands/reconcile.ts')).runOnce(paths, { ...options, dryRun: true }, io, signal),
      ),
    );

  addGuardOptions(
    addCommonOptions(program.command('apply').argument('<plan>', 'what plan --out saved'), 'ndjson'),
  )
    .summary('apply a saved plan, if it is still the same')
    .description('apply a saved plan, if it is still the same when it is made again')
    .action(
      toAction(async (signal, file: string, options: ApplyCommandOptions) =>
        (await import('./commands/apply.ts')).runApply(file, options, io, signal),
      ),
    );

  addAwsOptions(addSelectionOptions(program.command('observe').argument('<paths...>', 'specs')))
    .summary('write down what exists, to plan from it')
    .description('write down what exists, so that a plan can be made from it without credentials')
    .addOption(pruneOption())
    .option('--out <file>', 'where to write it; absent: standard output')
    .action(
      toAction(async (signal, paths: string[], options: ObserveOptions) =>
        (await import('./commands/observe.ts')).runObserve(paths, options, io, signal),
      ),
    );

  addSelectionOptions(addCommonOptions(program.command('verify').argument('<paths...>', 'specs')))
    .summary('prove it with a canary under each rule')
    .description('write a canary under each rule, and watch its replica arrive under the declared key')
    .option('--timeout <seconds>', 'how long to wait for a replica', parseSeconds, 900)
    .action(
      toAction(async (signal, paths: string[], options: VerifyOptions) =>
        (await import('./commands/verify.ts')).runVerify(paths, options, io, signal),
      ),
    );

  addDoctorOptions(addSelectionOptions(program.command('doctor').argument('[paths...]', 'specs'))).action(
    toAction(async (signal, paths: string[], options: DoctorOptions) =>
      (await import('./commands/doctor.ts')).runDoctor(paths, options, io, signal),
    ),
  );

  addCommonOptions(program.command('import'))
    .description('print specs for replication that exists')
    .option('--bucket <name>', 'a source bucket; may be repeated', collectValues, [])
    .option('--all', 'every bucket of the account that has a replication configuration')
    .option('--region <region>', 'where to ask first', 'us-east-1')
    .action(
      toAction(async (signal, options: ImportOptions) =>
        (await import('./commands/import.ts')).runImport(options, io, signal),
      ),
    );

  addSelectionOptions(program.command('permissions').argument('<paths...>', 'specs'))
    .description('print the least IAM policy that replikey itself needs for these specs')
    .option('--plan-only', 'to look, and change nothing')
    .option('--verify', 'to write canaries, too')
    .option('--who-changed', 'to say who changed what drifted, too, from CloudTrail')
    .action(
      toAction(async (_, paths: string[], options: PermissionsOptions) =>
        (await import('./commands/permissions.ts')).runPermissions(paths, options, io),
      ),
    );

  addVariableOption(program.command('validate').argument('<paths...>', 'specs'))
    .description('check the YAML; AWS is not asked')
    .addOption(outputOption())
    .action(
      toAction(async (_, paths: string[], options: ValidateOptions) =>
        (await import('./commands/validate.ts')).runValidate(paths, options, io),
      ),
    );

  program
    .command('schema')
    .addArgument(
      new Argument('[of]', 'specs, what is printed, or custom resources')
        .choices(['specs', 'output', 'crd'])
        .default('specs'),
    )
    .summary('print the JSON Schema of specs, or of results')
    .description(
      'print the JSON Schema of specs, for editors, or of what -o json and -o ndjson print; or the definitions of the custom resources for a cluster',
    )
    .action(
      toAction(async (_, subject: 'specs' | 'output' | 'crd') =>
        (await import('./commands/schema.ts')).runSchema(subject, io),
      ),
    );

  program
    .command('explain')
    .argument('[field]', 'such as spec.rules.prefix; absent: all kinds of documents')
    .description('say what may stand in a field of a spec')
    .action(
      toAction(async (_, field: string | undefined) =>
        (await import('./commands/explain.ts')).runExplain(field, io),
      ),
    );

  program
    .command('sandbox')
    .summary('serve an AWS of your own on this machine')
    .description('serve an AWS of your own on this machine until stopped')
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0 takes any', parsePort, 4566)
    .option('--state <dir>', 'keep the state in a folder; absent: in memory')
    .action(
      toAction(async (signal, options: SandboxCommandOptions) =>
        (await import('./commands/sandbox.ts')).runSandbox(options, io, signal),
      ),
    );

  program
    .command('demo')
    .summary('the whole story on a sandbox, in half a minute')
    .description('the whole story on the sandbox: plan, apply, replicate, break, heal')
    .action(toAction(async (signal) => (await import('./commands/demo.ts')).runDemo(io, signal)));

  program
    .command('init')
    .argument('[file]', 'where to write it; absent: specs/NAME.yaml')
    .summary('write a first spec, from a few questions')
    .description('write a first spec, from a few questions or from options; AWS is not asked')
    .option(
      '--bucket <name>',
      'the source; a second time: the destination (its name and -replica)',
      collectValues,
      [],
    )
    .option('--region <region>', 'of the source; a second time: of the destination', collectValues, [])
    .option(
      '--key <key>',
      'of the source; a second time: of the destination (alias/ and its bucket)',
      collectValues,
      [],
    )
    .option('--prefix <prefix>', 'only objects whose key begins with this; absent: every object')
    .option('--name <name>', 'of the spec; absent: that of the source bucket')
    .action(
      toAction(async (signal, file: string | undefined, options: InitOptions) =>
        (await import('./commands/init.ts')).runInit(file, options, io, signal),
      ),
    );

  program
    .command('completion')
    .addArgument(new Argument('<shell>', 'whose language it is in').choices(['bash', 'zsh', 'fish']))
    .summary('print what bash, zsh or fish completes by')
    .description('print a script with which a shell completes commands, options and their values')
    .action(
      toAction(async (_, shell: Shell) => {
        const { completionScript: completion } = await import('./completion/index.ts');
        io.stdout.write(completion(shell, commandModelOf(program)));
        return EXIT.ok;
      }),
    );

  program
    .command('man')
    .description('print the manual page')
    .action(
      toAction(async () => {
        const { manPage } = await import('./man.ts');
        io.stdout.write(manPage(commandModelOf(program), manifest.version));
        return EXIT.ok;
      }),
    );

  for (const command of program.commands)
    command.showHelpAfterError(`(reconcile ${command.name()} --help shows what can be said)`);

  return program;
}

/** A word that is no file but nearly a command was meant as one. */
function rejectMisspelledCommand(program: Command, word = ''): void {
  const suggestion = suggestCommand(program, word);
  if (suggestion)
    throw new UserError(EXIT.usage, `there is no command or file "${word}" (did you mean ${suggestion}?)`);
}

/** The command that a word was meant as, if it is nearly one and no file. */
export function suggestCommand(program: Command, word = ''): string | undefined {
  if (existsSync(word)) return undefined;
  const suggestion = suggest(
    word,
    program.commands.map((command) => command.name()),
  );
  return suggestion === word ? undefined : suggestion;
}

/**
 * `reconcile --sandbox verify specs/` means the same as `reconcile verify --sandbox specs/`: an option before the
 * command is never passed over in silence, least of all one that keeps a run away from AWS.
 */
function passOptionsDown(program: Command, command: Command): void {
  for (const option of program.options) {
    const name = option.attributeName();
    if (program.getOptionValueSource(name) !== 'cli') continue;
    if (!command.options.some((candidate) => candidate.attributeName() === name)) {
      throw new UserError(EXIT.usage, `${command.name()} has no ${option.long}: leave it out`);
    }
    command.setOptionValueWithSource(name, program.getOptionValue(name), 'cli');
  }
}
