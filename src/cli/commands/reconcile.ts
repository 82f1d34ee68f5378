import { existsSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { EXIT, UserError } from '../../errors.ts';
import { escapeUnprintable } from '../../util/escape.ts';
import type { CommandDefinition, CommandModel } from '../command-model.ts';
import type { RunOptions } from '../controller.ts';
import { suggestCommand } from '../help.ts';
import {
  addApprovalOptions,
  addConfirmOption,
  addLockOptions,
  addPassOptions,
  addPlanOptions,
  addWaitOption,
  collectQueues,
  parseInteger,
  parsePages,
  parsePort,
  parseSeconds,
  rejectOptions,
} from '../options.ts';

/** The program itself, without a command: one pass, or the controller. */
export const reconcileCommand: CommandDefinition = {
  name: 'reconcile',
  description: 'keep S3 replication of KMS-encrypted objects as declared in YAML',
  examples: [
    ['reconcile init', 'write a first spec'],
    ['reconcile validate specs/', 'validate the YAML'],
    ['reconcile --dry-run specs/', 'show the changes'],
    ['reconcile --once specs/', 'apply the changes once'],
    ['reconcile specs/', 'reconcile until stopped'],
    ['reconcile doctor specs/', 'diagnose whether each rule replicates'],
    ['reconcile verify specs/', 'test replication with canary objects'],
    ['reconcile --once specs/ --sandbox', 'apply in a sandbox, without an AWS account'],
  ],
  configure(command) {
    const withPaths = command.argument(
      '[paths...]',
      'files, folders or globs of specs; - for standard input',
    );
    const singlePass = addApprovalOptions(
      addWaitOption(addPlanOptions(addPassOptions(withPaths, 'ndjson', 'markdown'))),
    )
      .option('--once', 'run one pass and exit')
      .option('--dry-run', 'plan without applying');
    return addLockOptions(addControllerOptions(singlePass));
  },
  runsUntilStopped: (_paths: string[], options: RunOptions) => isController(options),
  async run({ io, signal, program }, paths: string[], options: RunOptions, command: Command) {
    if (options.source === 'kubernetes' && !isController(options))
      throw new UserError(EXIT.usage, '--source kubernetes runs until stopped: remove --once and --dry-run');
    if (options.source === 'files' && paths.length === 0)
      throw new UserError(
        EXIT.usage,
        "no specs given: use reconcile --once specs/, or see 'reconcile --help'",
      );
    rejectUnknownCommand(program(), paths[0]);
    rejectIneffectiveOptions(options, command);
    if (!isController(options)) {
      const { runOnce } = await import('../single-pass.ts');
      return runOnce(paths, options, io, signal);
    }
    const { runController } = await import('../controller.ts');
    return runController(paths, options, io, signal);
  },
};

const isController = ({ once, dryRun }: RunOptions): boolean => !once && !dryRun;

/**
 * Rejects an option that would have no effect. A user who sets `--plan-only` or `--lock` relies on it.
 *
 * @throws UserError that names the option
 */
function rejectIneffectiveOptions(options: RunOptions, command: Command): void {
  if (isController(options)) return;
  const namesOf = ({ options: candidates }: Command) => candidates.map(({ long }) => long ?? '');
  const mode = options.dryRun ? '--dry-run' : '--once';
  rejectOptions(
    command,
    // The command has already checked the source of specs.
    namesOf(addControllerOptions(new Command())).filter((name) => name !== '--source'),
    `has no effect with ${mode}, which runs a single pass: remove it`,
  );
  if (options.dryRun)
    rejectOptions(
      command,
      namesOf(addConfirmOption(addLockOptions(new Command()))),
      'has no effect with --dry-run, which changes nothing: remove it',
    );
}

/**
 * Rejects a word that is neither a command nor an existing path. A new folder of specs can still be named with a slash.
 *
 * @throws UserError with the command that the word resembles
 */
function rejectUnknownCommand(program: CommandModel, word = '-'): void {
  if (word === '-' || /[/.*]/.test(word) || existsSync(word)) return;
  const suggestion = suggestCommand(program, word);
  const advice = suggestion
    ? `did you mean reconcile ${suggestion}?`
    : `the commands are in 'reconcile --help'; a folder is written ${word}/`;
  throw new UserError(EXIT.usage, `unknown command or file "${escapeUnprintable(word)}": ${advice}`);
}

/** Adds the options of the controller. */
const addControllerOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--source <source>', 'read specs from files, or from custom resources in the cluster')
        .choices(['files', 'kubernetes'])
        .default('files'),
    )
    .option(
      '--interval <duration>',
      'reconcile each pair at this interval (default: 300; with --changes 7200)',
      parseSeconds,
    )
    .option('--verify-interval <duration>', 'write canaries at this interval (default: never)', parseSeconds)
    .option(
      '--metrics-interval <duration>',
      'read the CloudWatch metrics of all rules at this interval; 0: never (default: --interval if given, at least 300)',
      parseSeconds,
    )
    .addOption(
      new Option(
        '--sample-pages <n>',
        'with --verify-interval, look for recent objects in this many pages of 1,000 versions under each prefix',
      )
        .argParser(parsePages)
        .default(1)
        .helpGroup('Controller:'),
    )
    .addOption(
      new Option(
        '--failures <queue>',
        'receive failure events of S3 from this queue (URL or ARN), and explain them; may be repeated',
      )
        .argParser(collectQueues)
        .default([])
        .helpGroup('Controller:'),
    )
    .addOption(
      new Option(
        '--changes <queue>',
        'receive change events of CloudTrail from this queue (URL or ARN), and reconcile the pairs; may be repeated',
      )
        .argParser(collectQueues)
        .default([])
        .helpGroup('Controller:'),
    )
    .option('--workers <n>', 'reconcile this many pairs concurrently', parseInteger, 10)
    .option(
      '--listen <address>',
      'serve health checks, metrics and a status page: 8080, or 0.0.0.0:8080',
      parseListenAddress,
    )
    .option(
      '--health-listen <address>',
      'serve only the health checks, for probes: 8081, or 0.0.0.0:8081',
      parseListenAddress,
    )
    .option('--grace <duration>', 'time to finish calls in flight after a stop signal', parseSeconds, 25)
    .option(
      '--shard <i/n>',
      'reconcile only the pairs of this shard: 1/3, or auto/3 in a StatefulSet',
      parseShard,
    )
    .option('--plan-only', 'never write; report pending changes');

function parseListenAddress(text: string): { host: string; port: number } {
  const [, host = '127.0.0.1', portText = ''] = /^(?:\[?([^\]]+)\]?:)?(\d+)$/.exec(text) ?? [];
  if (portText === '')
    throw new InvalidArgumentError('Expected a port, or an address and a port, for example 0.0.0.0:8080.');
  return { host, port: parsePort(portText) };
}

function parseShard(text: string): { index: number | 'auto'; of: number } {
  const [, index = '', of = ''] = /^(\d{1,3}|auto)\/(\d{1,3})$/.exec(text) ?? [];
  const shardCount = Number(of);
  const isWithin = index === 'auto' || (Number(index) >= 1 && Number(index) <= shardCount);
  if (!(shardCount >= 1) || !isWithin)
    throw new InvalidArgumentError('Expected a shard (from 1) and the number of shards, for example 1/3.');
  return { index: index === 'auto' ? index : Number(index), of: shardCount };
}
