import type { CommandDefinition } from '../command-model.ts';
import type { DoctorOptions } from '../diagnosis.ts';
import { addAwsOptions, addSelectionOptions, collectValues, outputOption, parseInteger } from '../options.ts';

export const doctorCommand: CommandDefinition = {
  name: 'doctor',
  summary: 'say whether each rule replicates, and if not why',
  description: 'say of every rule that exists whether it will replicate, and if not why; nothing is changed',
  examples: [
    ['reconcile doctor specs/', 'every rule that is declared or there'],
    ['reconcile doctor --bucket acme-tax', 'a bucket, whoever set it up'],
    ['reconcile doctor --bucket acme-tax --object Tax/2026.pdf', 'why this object did not arrive'],
    ['reconcile doctor --observed exported/', 'from exported policies alone'],
  ],
  configure: (command) =>
    addAwsOptions(addSelectionOptions(command.argument('[paths...]', 'specs')))
      .addOption(outputOption('sarif'))
      .option('--bucket <name>', 'a source bucket, whoever set it up; may be repeated', collectValues, [])
      .option('--object <key>', 'explain one object of the bucket')
      .option(
        '--observed <file>',
        'look at exported policies and configurations instead of AWS: a file, or a folder',
      )
      .option('--sample <n>', 'how many recent objects of each bucket to look at', parseInteger, 20)
      .option('--region <region>', 'where to ask first for a bucket')
      .option('--allow-unproven', 'let what cannot be read pass')
      .option('-v, --verbose', 'show every finding and every request'),
  async run({ io, signal }, paths: string[], options: DoctorOptions) {
    const { runDoctor } = await import('../diagnosis.ts');
    return runDoctor(paths, options, io, signal);
  },
};
