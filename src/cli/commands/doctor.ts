import { Option } from 'commander';
import type { CommandDefinition } from '../command-model.ts';
import type { DoctorOptions } from '../diagnosis.ts';
import {
  addAwsOptions,
  addSelectionOptions,
  collectValues,
  outputOption,
  parseDurationMs,
  parseInteger,
  parsePages,
} from '../options.ts';

export const doctorCommand: CommandDefinition = {
  name: 'doctor',
  summary: 'diagnose whether each rule replicates, and if not why',
  description: 'diagnose whether each existing rule replicates, and if not why; change nothing',
  examples: [
    ['reconcile doctor specs/', 'diagnose declared and existing rules'],
    ['reconcile doctor --bucket acme-tax', 'diagnose any bucket, even without specs'],
    ['reconcile doctor --bucket acme-tax --object Tax/2026.pdf', 'explain why this object has no replica'],
    ['reconcile doctor --observed exported/', 'diagnose exported policies, without AWS'],
  ],
  configure: (command) =>
    addAwsOptions(addSelectionOptions(command.argument('[paths...]', 'specs')))
      .addOption(outputOption('sarif'))
      .option(
        '--bucket <name>',
        'diagnose this source bucket, even without specs; may be repeated',
        collectValues,
        [],
      )
      .option('--object <key>', 'explain the status of one object of the bucket')
      .option(
        '--observed <file>',
        'read a snapshot, or exported policies and configurations, from a file or folder instead of AWS',
      )
      .option('--sample <n>', 'check this many recent objects of each bucket', parseInteger, 20)
      .addOption(
        new Option(
          '--sample-pages <n>',
          'look for recent objects in this many pages of 1,000 versions under each prefix',
        )
          .argParser(parsePages)
          .default(10)
          .helpGroup('Buckets:'),
      )
      .option(
        '--failed-since <duration>',
        'fail if operations, or objects written, within this time failed or were passed over: 15m, 12h (default: 24h)',
        parseDurationMs,
      )
      .option('--region <region>', 'look up buckets in this Region first')
      .option('--allow-unproven', 'accept rules whose verdict is unknown because settings are unreadable')
      .option('-v, --verbose', 'show all findings and all requests'),
  async run({ io, signal }, paths: string[], options: DoctorOptions) {
    const { runDoctor } = await import('../diagnosis.ts');
    return runDoctor(paths, options, io, signal);
  },
};
