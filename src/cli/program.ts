import { setImmediate } from 'node:timers/promises';
import { Command, CommanderError } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { EXIT, systemErrorReason, UserError } from '../errors.ts';
import { escapeUnprintable, safeJson } from '../util/escape.ts';
import {
  type CommandDefinition,
  type CommandModel,
  commandModelOf,
  type Example,
  type Io,
} from './command-model.ts';
import { COMMAND_GROUPS, COMMANDS } from './commands/index.ts';
import { reconcileCommand } from './commands/reconcile.ts';
import { exitCodesText, type HeadingGroups, helpConfiguration, helpWidth, suggestCommand } from './help.ts';
import { applyQuiet, type ColorChoice, withColor, withSandboxDir } from './options.ts';
import { runInterruptible } from './signals.ts';

/** Runs one command line and returns the exit code. It does not end the process. */
export async function runCommandLine(argv: readonly string[], io: Io): Promise<number> {
  const isOutputLost = watchOutput(io);
  const code = await runCommand(argv, io);
  // Node reports the failure of the last write one turn later.
  await setImmediate();
  return isOutputLost() && (code === EXIT.ok || code === EXIT.changes) ? EXIT.failed : code;
}

/**
 * Keeps work in progress running when its output cannot be written. A reader that closed the pipe, for example `head`,
 * is not a failure. A lost result, for example on a full disk, is a failure.
 */
function watchOutput(io: Io): () => boolean {
  let isOutputLost = false;
  io.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || isOutputLost) return;
    isOutputLost = true;
    io.stderr.write(`cannot write to standard output: ${systemErrorReason(error)}\n`);
  });
  // Ignored: no stream is left to report it to.
  io.stderr.on('error', () => {});
  return () => isOutputLost;
}

async function runCommand(argv: readonly string[], io: Io): Promise<number> {
  if (argv[0] === 'help' && argv[1] === 'exit-codes') {
    io.stdout.write(exitCodesText());
    return EXIT.ok;
  }
  let code: number = EXIT.ok;
  const program = buildProgram(io, (result) => {
    code = result;
  });
  try {
    await program.parseAsync(rewriteHelpCommand(argv).map(withSandboxDir), { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    const { exitCode, message } = describeFailure(error, argv.includes('--debug'));
    // Commander has already printed its own errors. It does not suggest the intended command if a misspelt command has
    // options.
    const suggestion =
      error instanceof CommanderError ? suggestCommand(programModel(program), argv[0]) : undefined;
    if (suggestion) io.stderr.write(`(did you mean reconcile ${suggestion}?)\n`);
    if (!(error instanceof CommanderError)) io.stderr.write(`${message}\n`);
    const format = requestedFormat(argv);
    if (format === 'json') io.stdout.write(`${safeJson(failureDocument(exitCode, message), 2)}\n`);
    if (format === 'ndjson') io.stdout.write(`${safeJson(failureLine(exitCode, message))}\n`);
    return exitCode;
  }
}

/** Treats `reconcile help plan` as `reconcile plan --help`, as other programs do. */
const rewriteHelpCommand = (argv: readonly string[]): readonly string[] =>
  argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv;

/** Returns a message for people and the exit code for the error that ended a run. */
function describeFailure(error: unknown, debug: boolean): { exitCode: number; message: string } {
  if (error instanceof CommanderError) return { exitCode: EXIT.usage, message: error.message };
  const errorMessage = error instanceof Error ? error.message : String(error);
  const message = debug && error instanceof Error ? (error.stack ?? errorMessage) : errorMessage;
  const lines = message.split('\n').map(escapeUnprintable).join('\n');
  if (error instanceof UserError) return { exitCode: error.exitCode, message: lines };
  const advice = debug ? '' : '\nThis is a bug in replikey; run with --debug for the stack trace.';
  return { exitCode: EXIT.failed, message: `${lines}${advice}` };
}

const failureDocument = (exitCode: number, message: string) => ({ format: 1, error: { exitCode, message } });

const failureLine = (exitCode: number, message: string) => ({
  format: 1,
  type: 'error',
  time: new Date().toISOString(),
  message,
  error: { exitCode, message },
});

/** Returns the requested output format, even from a command line that cannot be parsed. */
function requestedFormat(argv: readonly string[]): string | undefined {
  const index = argv.findIndex((word) => /^(-o|--output)/.test(word));
  const [word = '', next] = argv.slice(index < 0 ? argv.length : index);
  return word === '-o' || word === '--output' ? next : word.replace(/^(-o|--output=)/, '');
}

/** Builds the command line from the definitions of the commands. */
export function buildProgram(io: Io, onExit: (code: number) => void): Command {
  const program = new Command(reconcileCommand.name)
    .version(manifest.version, '-V, --version', 'print the version')
    .usage('[options] <paths...>\n       reconcile <command> [options]')
    .helpOption('-h, --help', 'show this help')
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => helpWidth(io),
      getErrHelpWidth: () => helpWidth(io),
    })
    .configureHelp(helpConfiguration(COMMAND_NAME_GROUPS, examplesOf))
    .exitOverride()
    .showHelpAfterError("See 'reconcile --help'.")
    .enablePositionalOptions()
    .hook('preSubcommand', passOptionsDown)
    .hook('preAction', (_, command) => applyQuiet(command));

  const define = (command: Command, definition: CommandDefinition): void => {
    definition
      .configure(command.description(definition.description).summary(definition.summary ?? ''))
      .action(async (...args: unknown[]) => {
        const untilStopped = definition.runsUntilStopped?.(...args) ?? false;
        const ownIo = withColor(io, command.opts<{ color?: ColorChoice }>().color);
        const body = (signal: AbortSignal) =>
          definition.run({ io: ownIo, signal, program: () => programModel(program) }, ...args);
        onExit(await runInterruptible(ownIo, body, { untilStopped }));
      });
  };
  define(program, reconcileCommand);
  for (const definition of COMMANDS) {
    const command = program
      .command(definition.name)
      .showHelpAfterError(`See 'reconcile ${definition.name} --help'.`);
    define(definition.alias === undefined ? command : command.alias(definition.alias), definition);
  }
  return program;
}

/** Describes the program with all its commands. */
export const programModel = (program: Command): CommandModel => commandModelOf(program, examplesOf);

const examplesOf = (name: string): readonly Example[] =>
  [reconcileCommand, ...COMMANDS].find((definition) => definition.name === name)?.examples ?? [];

const COMMAND_NAME_GROUPS: HeadingGroups = COMMAND_GROUPS.map(([heading, commands]) => [
  heading,
  commands.map(({ name }) => name),
]);

/**
 * Passes options before a command on to the command: `reconcile --sandbox verify specs/` means `reconcile verify
 * --sandbox specs/`. The program never ignores such an option silently, because `--sandbox` keeps a run away from AWS.
 */
function passOptionsDown(program: Command, command: Command): void {
  for (const option of program.options) {
    const name = option.attributeName();
    if (program.getOptionValueSource(name) !== 'cli') continue;
    if (!command.options.some((candidate) => candidate.attributeName() === name)) {
      throw new UserError(EXIT.usage, `${command.name()} does not support ${option.long}: remove it`);
    }
    command.setOptionValueWithSource(name, program.getOptionValue(name), 'cli');
  }
}
