import { Option } from 'commander';
import { EXIT, UserError } from '../../errors.ts';
import type { CommandDefinition } from '../command-model.ts';
import type { DoctorOptions } from '../diagnosis.ts';
import type { FleetOptions } from '../doctor-all.ts';
import type { StackOptions } from '../doctor-stack.ts';
import {
  addAwsOptions,
  addOrganizationOption,
  addSelectionOptions,
  collectValues,
  outputOption,
  parseDurationMs,
  parseInteger,
  parsePages,
} from '../options.ts';

const parseRegions = (value: string, previous: string[] = []): string[] => [
  ...previous,
  ...value.split(',').map((region) => region.trim()),
];

export const doctorCommand: CommandDefinition = {
  name: 'doctor',
  summary: 'diagnose whether each rule replicates, and if not why',
  description: 'diagnose whether each existing rule replicates, and if not why; change nothing',
  examples: [
    ['reconcile doctor specs/', 'diagnose declared and existing rules'],
    ['reconcile doctor --bucket acme-tax', 'diagnose any bucket, without specs'],
    ['reconcile doctor --bucket acme-tax --object Tax/2026.pdf', 'explain why this object has no replica'],
    ['reconcile doctor --observed exported/', 'diagnose exported policies, offline'],
    ['reconcile doctor --terraform plan.json', 'prove a plan of Terraform, offline'],
    ['reconcile doctor --all accounts.yaml', 'survey all buckets of all accounts'],
  ],
  configure: (command) =>
    addOrganizationOption(addAwsOptions(addSelectionOptions(command.argument('[paths...]', 'specs'))))
      .addOption(outputOption('sarif', 'csv', 'html'))
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
      .option(
        '--sample <n>',
        'check this many recent objects of each bucket (default: 20; with --all: 0)',
        parseInteger,
      )
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
      .option('--all', 'survey all buckets of all accounts: of specs, --accounts or --organization')
      .option(
        '--accounts <file>',
        'survey the accounts in this file: Account documents, or one account id a line with --role-name',
      )
      .option('--organization', 'survey all accounts of the organization')
      .option('--role-name <name>', 'role to assume in each account')
      .option(
        '--regions <regions>',
        'survey only buckets in these Regions: us-east-1,eu-west-1',
        parseRegions,
      )
      .option(
        '--save <file>',
        'save the report, compare it with the last one in the file, and continue an interrupted run',
      )
      .option(
        '--terraform <file>',
        'prove the rules in a plan or state from `terraform show -json`, without AWS; -: standard input',
      )
      .option(
        '--cloudformation <file>',
        'prove the rules in a template of CloudFormation, without AWS; -: standard input',
      )
      .option(
        '--stack <file>',
        'with --cloudformation: read account, Region, parameters and outputs from describe-stacks',
      )
      .option('-v, --verbose', 'show all findings and all requests'),
  async run({ io, signal }, paths: string[], options: DoctorOptions & FleetOptions & StackOptions) {
    if (options.all) {
      const { runDoctorAll } = await import('../doctor-all.ts');
      return runDoctorAll(paths, options, io, signal);
    }
    rejectFleetOptions(options);
    if ((options.terraform ?? options.cloudformation ?? options.stack) !== undefined) {
      const { runDoctorStack } = await import('../doctor-stack.ts');
      return runDoctorStack(paths, options, io);
    }
    const { runDoctor } = await import('../diagnosis.ts');
    return runDoctor(paths, options, io, signal);
  },
};

/** @throws UserError for an option that has an effect only with `--all`. */
function rejectFleetOptions({ accounts, organization, roleName, regions, save }: FleetOptions): void {
  const options = Object.entries({
    '--accounts': accounts,
    '--organization': organization,
    '--role-name': roleName,
    '--regions': regions,
    '--save': save,
  }).flatMap(([name, value]) => (value === undefined ? [] : name));
  if (options.length > 0)
    throw new UserError(EXIT.usage, `${options.join(', ')} requires --all: add it, or remove the option`);
}
