import { setImmediate } from 'node:timers/promises';
import { CommanderError } from 'commander';
import type { Io } from './cli/io.ts';
import { withFolder } from './cli/options.ts';
import { build, commandMeant } from './cli/program.ts';
import { systemReason } from './cli/system-reason.ts';
import { EXIT, UserError } from './errors.ts';
import { jsonText } from './report/json-text.ts';
import { visible } from './visible.ts';

/**
 * Run one command line. Returns the exit code; nothing here ends the process.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const isLost = watchOutput(io);
  const code = await runCommand(argv, io);
  // That the last write failed is known a turn later.
  await setImmediate();
  return isLost() && (code === EXIT.ok || code === EXIT.changes) ? EXIT.failed : code;
}

/**
 * Work that is under way goes on where what is told of it can no longer be written. That a reader went away, as with
 * `reconcile … | head`, is no failure of ours; that a result is lost, as on a full disk, is one.
 */
function watchOutput(io: Io): () => boolean {
  let isLost = false;
  io.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || isLost) return;
    isLost = true;
    io.stderr.write(`standard output cannot be written: ${systemReason(error)}\n`);
  });
  // There is nowhere left to say so.
  io.stderr.on('error', () => {});
  return () => isLost;
}

async function runCommand(argv: readonly string[], io: Io): Promise<number> {
  let code: number = EXIT.ok;
  const program = build(io, (result) => {
    code = result;
  });
  try {
    await program.parseAsync(withHelp(argv).map(withFolder), { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    const { exitCode, message } = explain(error, argv.includes('--debug'));
    // Commander has told its own errors already; but not that the options are those of a command that was misspelt.
    const meant = error instanceof CommanderError ? commandMeant(program, argv[0]) : undefined;
    if (meant) io.stderr.write(`(did you mean reconcile ${meant}?)\n`);
    if (!(error instanceof CommanderError)) io.stderr.write(`${message}\n`);
    const form = formOf(argv);
    if (form === 'json') io.stdout.write(`${jsonText(failure(exitCode, message), 2)}\n`);
    if (form === 'ndjson') io.stdout.write(`${jsonText(failureLine(exitCode, message))}\n`);
    return exitCode;
  }
}

/** `reconcile help plan` is `reconcile plan --help`, as in other programs. */
const withHelp = (argv: readonly string[]): readonly string[] =>
  argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv;

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

const failure = (exitCode: number, message: string) => ({ format: 1, error: { exitCode, message } });

const failureLine = (exitCode: number, message: string) => ({
  format: 1,
  type: 'error',
  time: new Date().toISOString(),
  message,
  error: { exitCode, message },
});

/** The form of output that was asked for, also where the command line is not fit to be parsed. */
function formOf(argv: readonly string[]): string | undefined {
  const index = argv.findIndex((word) => /^(-o|--output)/.test(word));
  const [word = '', next] = argv.slice(index < 0 ? argv.length : index);
  return word === '-o' || word === '--output' ? next : word.replace(/^(-o|--output=)/, '');
}
