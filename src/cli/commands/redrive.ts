import { InvalidArgumentError, Option } from 'commander';
import { EXIT, UserError } from '../../errors.ts';
import type { Backfill, BackfillObjects } from '../../spec/types.ts';
import type { CommandDefinition } from '../command-model.ts';
import {
  addAccountOption,
  addCommonOptions,
  addConfirmOption,
  addSelectionOptions,
  addWaitOption,
  collectValues,
} from '../options.ts';
import type { RedriveCommandOptions } from '../redrive.ts';

/** Replicates objects again after a repair, with a batch job that no spec declares. */
export const redriveCommand: CommandDefinition = {
  name: 'redrive',
  summary: 'replicate failed objects again',
  description:
    'replicate failed objects of source buckets again, after a repair, with one batch job for each bucket; show their number and the price, and start only after an approval',
  examples: [
    ['reconcile redrive --bucket acme-tax', 'replicate failed objects'],
    ['reconcile redrive specs/ --dry-run', 'show what it would create'],
    ['reconcile redrive specs/ --objects failed,existing', 'add older objects'],
    ['reconcile redrive specs/ --allow start-backfill', 'run without questions'],
  ],
  configure: (command) =>
    addConfirmOption(
      addAccountOption(
        addWaitOption(
          addSelectionOptions(
            addCommonOptions(command.argument('[paths...]', 'specs of the source buckets')),
          ),
        ),
      ),
    )
      .option(
        '--bucket <name>',
        'replicate objects of this source bucket, without specs; may be repeated',
        collectValues,
        [],
      )
      .option('--region <region>', 'look up buckets in this Region first', 'us-east-1')
      .addOption(
        new Option(
          '--objects <statuses>',
          'objects by their status: failed, existing (none), elsewhere (replicated to another destination), replicas; several with commas (default: failed)',
        )
          .argParser(parseObjects)
          .helpGroup('Plan:'),
      )
      .addOption(
        new Option(
          '--report <url>',
          'write a list of the objects that the job could not replicate to s3://bucket/prefix/, a bucket in the Region of the source',
        )
          .argParser(parseReport)
          .helpGroup('Plan:'),
      )
      .addOption(
        new Option('--detach', 'exit when the job is approved, without waiting for its end').helpGroup(
          'Mode:',
        ),
      )
      .option('--dry-run', 'show the plan without applying it')
      .option('--detailed-exitcode', 'exit with 2 if the plan contains changes')
      .option('--explain', 'list the API calls of each change'),
  async run({ io, signal }, paths: string[], options: RedriveCommandOptions) {
    const example = 'reconcile redrive --bucket acme-tax';
    if (paths.length === 0 && options.bucket.length === 0)
      throw new UserError(EXIT.usage, `no bucket and no specs given: use ${example}`);
    if (paths.length > 0 && options.bucket.length > 0)
      throw new UserError(EXIT.usage, `--bucket needs no specs: use ${example}, or specs without --bucket`);
    const { runRedrive } = await import('../redrive.ts');
    return runRedrive(paths, options, io, signal);
  },
};

const OBJECTS: readonly BackfillObjects[] = ['failed', 'existing', 'elsewhere', 'replicas'];

function parseObjects(text: string): BackfillObjects[] {
  const names = text.split(',');
  if (names.every((name) => (OBJECTS as readonly string[]).includes(name)))
    return [...new Set(names)] as BackfillObjects[];
  throw new InvalidArgumentError(`Allowed choices are ${OBJECTS.join(', ')}.`);
}

function parseReport(text: string): NonNullable<Backfill['report']> {
  const [, bucket, prefix] = /^s3:\/\/([a-z0-9.-]{3,63})\/(.+)$/.exec(text) ?? [];
  if (bucket === undefined || prefix === undefined)
    throw new InvalidArgumentError('Expected s3://bucket/prefix/.');
  return { bucket, prefix };
}
