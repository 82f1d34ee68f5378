import { InvalidArgumentError, Option } from 'commander';
import type { CommandDefinition } from '../command-model.ts';
import { addAwsOptions, addSelectionOptions, outputOption, parseSeconds } from '../options.ts';
import type { StatusOptions } from '../status.ts';

export const statusCommand: CommandDefinition = {
  name: 'status',
  summary: 'show pending, failed and late objects of each pair',
  description: 'show readiness, proof, replication metrics, canaries and drift of each pair; change nothing',
  examples: [
    ['reconcile status specs/', 'read AWS once'],
    ['reconcile status specs/ -o wide', 'also show buckets, reasons'],
    ['reconcile status --server http://127.0.0.1:8080 -w', 'watch a running controller'],
  ],
  configure: (command) =>
    addAwsOptions(addSelectionOptions(command.argument('[paths...]', 'specs')))
      .addOption(outputOption('wide'))
      .option('-w, --watch', 'show changes until interrupted')
      .addOption(
        new Option(
          '--interval <duration>',
          'with --watch, read at this interval (default: 10 with --server, else 60)',
        )
          .argParser(parseInterval)
          .helpGroup('Output:'),
      )
      .option('--server <url>', 'read a running controller (--listen) instead of AWS', parseServerUrl)
      .option('--detailed-exitcode', 'exit with 2 if a pair is not ready'),
  runsUntilStopped: (_paths: string[], options: StatusOptions) => options.watch ?? false,
  async run({ io, signal }, paths: string[], options: StatusOptions) {
    const { runStatus } = await import('../status.ts');
    return runStatus(paths, options, io, signal);
  },
};

function parseInterval(text: string): number {
  const seconds = parseSeconds(text);
  if (seconds < 1) throw new InvalidArgumentError('Expected a duration, 1s to 24h.');
  return seconds;
}

function parseServerUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw new InvalidArgumentError('Expected a URL of a controller, for example http://127.0.0.1:8080.');
  if (url.username || url.password || url.search || url.hash)
    throw new InvalidArgumentError('Expected a URL without credentials and query.');
  return url;
}
