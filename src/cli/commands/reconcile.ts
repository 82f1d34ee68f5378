import { type Command, InvalidArgumentError, Option } from 'commander';
import { EXIT, UserError } from '../../errors.ts';
import type { CommandDefinition, CommandModel } from '../command-model.ts';
import type { RunOptions } from '../controller.ts';
import { suggestCommand } from '../help.ts';
import {
  addCommonOptions,
  addGuardOptions,
  addPlanOptions,
  addSelectionOptions,
  parseInteger,
  parsePort,
  parseSeconds,
} from '../options.ts';

/** The program itself, without a command: one pass, or the controller. */
export const reconcileCommand: CommandDefinition = {
  name: 'reconcile',
  description: 'Keeps S3 replication of KMS-encrypted objects as declared in YAML.',
  examples: [
    ['reconcile init', 'write a first spec'],
    ['reconcile validate specs/', 'check the YAML'],
    ['reconcile --dry-run specs/', 'show what would change'],
    ['reconcile --once specs/', 'make it so'],
    ['reconcile specs/', 'keep it so, until stopped'],
    ['reconcile doctor specs/', 'say whether it replicates, and if not why'],
    ['reconcile verify specs/', 'prove it with real objects'],
    ['reconcile --once specs/ --sandbox', 'rehearse it without an AWS account'],
  ],
  configure(command) {
    const withPaths = command.argument(
      '[paths...]',
      'files, folders or globs of specs; - for standard input',
    );
    return addControllerOptions(
      addGuardOptions(addPlanOptions(addSelectionOptions(addCommonOptions(withPaths, 'ndjson', 'markdown'))))
        .option('--once', 'make one pass and exit')
        .option('--dry-run', 'plan, and change nothing')
        .option(
          '--plan <checksum>',
          'apply only the plan with this checksum, as a dry run showed it',
          parseChecksum,
        ),
    );
  },
  runsUntilStopped: (_paths: string[], options: RunOptions) => isController(options),
  async run({ io, signal, program }, paths: string[], options: RunOptions) {
    if (options.source === 'kubernetes' && !isController(options))
      throw new UserError(
        EXIT.usage,
        '--source kubernetes runs until stopped: leave out --once and --dry-run',
      );
    if (options.source === 'files' && paths.length === 0)
      throw new UserError(
        EXIT.usage,
        'name the specs: reconcile --once specs/ (reconcile --help shows more)',
      );
    if (!isController(options)) {
      const { runOnce } = await import('../single-pass.ts');
      return runOnce(paths, options, io, signal);
    }
    rejectMisspelledCommand(program(), paths[0]);
    const { runController } = await import('../controller.ts');
    return runController(paths, options, io, signal);
  },
};

const isController = ({ once, dryRun }: RunOptions): boolean => !once && !dryRun;

/** Rejects a word that is not a file but resembles the name of a command. */
function rejectMisspelledCommand(program: CommandModel, word = ''): void {
  const suggestion = suggestCommand(program, word);
  if (suggestion)
    throw new UserError(EXIT.usage, `there is no command or file "${word}" (did you mean ${suggestion}?)`);
}

/** Adds the options of the controller. */
const addControllerOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--source <where>', 'read the specs from files, or from custom resources of the cluster')
        .choices(['files', 'kubernetes'])
        .default('files'),
    )
    .option('--interval <seconds>', 'look at each pair this often', parseSeconds, 300)
    .option('--verify-interval <seconds>', 'write canaries this often; absent: none', parseSeconds)
    .option('--workers <n>', 'how many pairs to work on at a time', parseInteger, 10)
    .option(
      '--listen <address>',
      'serve health, metrics and a status page: 8080, or 0.0.0.0:8080',
      parseListenAddress,
    )
    .option('--grace <seconds>', 'how long to finish what is in flight when told to stop', parseSeconds, 25)
    .addOption(
      new Option(
        '--leader-elect <how>',
        'let one of several write: by a Lease in a cluster, or an object in S3',
      )
        .choices(['auto', 'lease', 's3', 'none'])
        .default('auto'),
    )
    .option('--lock <url>', 'the object that is the lock outside Kubernetes: s3://bucket/key', parseLockUrl)
    .option('--lease-duration <seconds>', 'after this long without a sign another may lead', parseSeconds, 30)
    .option(
      '--shard <i/n>',
      'look after the pairs of one part of n: 1/3, or auto/3 in a StatefulSet',
      parseShard,
    )
    .option('--plan-only', 'never change anything, and say what waits');

function parseChecksum(text: string): string {
  if (/^[0-9a-f]{16,64}$/i.test(text)) return text;
  throw new InvalidArgumentError('The checksum of a plan has at least 16 digits, as a dry run prints it.');
}

function parseListenAddress(text: string): { host: string; port: number } {
  const [, host = '127.0.0.1', portText = ''] = /^(?:\[?([^\]]+)\]?:)?(\d+)$/.exec(text) ?? [];
  if (portText === '')
    throw new InvalidArgumentError('Expected a port, or an address and a port, such as 0.0.0.0:8080.');
  return { host, port: parsePort(portText) };
}

function parseShard(text: string): { index: number | 'auto'; of: number } {
  const [, index = '', of = ''] = /^(\d{1,3}|auto)\/(\d{1,3})$/.exec(text) ?? [];
  const shardCount = Number(of);
  const isWithin = index === 'auto' || (Number(index) >= 1 && Number(index) <= shardCount);
  if (!(shardCount >= 1) || !isWithin)
    throw new InvalidArgumentError('Expected a part, from 1, and of how many, such as 1/3.');
  return { index: index === 'auto' ? index : Number(index), of: shardCount };
}

function parseLockUrl(text: string): { bucket: string; key: string } {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+)$/.exec(text) ?? [];
  if (bucket === undefined || key === undefined) throw new InvalidArgumentError('Expected s3://bucket/key.');
  return { bucket, key };
}
