import { Option } from 'commander';
import { EXIT } from '../../errors.ts';
import { safeJson } from '../../util/escape.ts';
import { parseQueueName } from '../../util/queue-address.ts';
import type { CommandDefinition } from '../command-model.ts';
import {
  addOrganizationOption,
  addSelectionOptions,
  collectQueues,
  type OrganizationOptions,
  type SpecOptions,
} from '../options.ts';

interface PermissionsOptions extends SpecOptions, OrganizationOptions {
  planOnly?: true;
  verify?: true;
  whoChanged?: true;
  backfill?: true;
  failures: string[];
  changes: string[];
}

/** Prints the least-privilege IAM policy that replikey itself needs, for each account of the specs. */
export const permissionsCommand: CommandDefinition = {
  name: 'permissions',
  description: 'print the least-privilege IAM policy that replikey needs for these specs',
  examples: [
    ['reconcile permissions specs/', 'allow replikey to apply changes'],
    ['reconcile permissions specs/ --plan-only', 'allow replikey to plan only'],
    ['reconcile permissions specs/ --verify', 'also allow canaries'],
    ['reconcile permissions specs/ --who-changed', 'also allow drift attribution'],
    ['reconcile permissions specs/ --failures URL', 'also allow failure events'],
    ['reconcile permissions specs/ --changes URL', 'also allow change events'],
    ['reconcile permissions specs/ --backfill', 'allow only batch jobs'],
  ],
  configure: (command) =>
    addOrganizationOption(addSelectionOptions(command.argument('<paths...>', 'specs')))
      .option('--plan-only', 'allow only read actions')
      .option('--verify', 'also allow canaries')
      .option('--who-changed', 'also allow CloudTrail reads, which attribute drift to a caller')
      .addOption(
        new Option(
          '--backfill',
          'allow only the batch jobs of these specs, declared or by redrive, for a separate policy',
        )
          .conflicts(['verify', 'whoChanged', 'failures', 'changes', 'organizationAccount'])
          .helpGroup('Guards:'),
      )
      .addOption(
        new Option(
          '--failures <queue>',
          'also allow to receive failure events from this queue (URL or ARN); may be repeated',
        )
          .argParser(collectQueues)
          .default([])
          .helpGroup('Guards:'),
      )
      .addOption(
        new Option(
          '--changes <queue>',
          'also allow to receive change events from this queue (URL or ARN); may be repeated',
        )
          .argParser(collectQueues)
          .default([])
          .helpGroup('Guards:'),
      ),
  async run({ io }, paths: string[], options: PermissionsOptions) {
    const [
      { kinds },
      { checkOrganizationAccount },
      { leastPrivilegePolicies },
      { loadSelectedSpecs },
      { queueAddressOf },
    ] = await Promise.all([
      import('../../kinds/index.ts'),
      import('../../facts/organization.ts'),
      import('../../policy/least-privilege.ts'),
      import('../session.ts'),
      import('../../util/arn.ts'),
    ]);
    const specs = await loadSelectedSpecs(paths, options, io);
    const scope = {
      apply: !options.planOnly,
      verify: options.verify ?? false,
      attributeDrift: options.whoChanged ?? false,
      backfillOnly: options.backfill ?? false,
      organizationAccount: options.organizationAccount,
      failureQueues: options.failures.map((queue) => queueAddressOf(parseQueueName(queue))),
      changeQueues: options.changes.map((queue) => queueAddressOf(parseQueueName(queue))),
    };
    checkOrganizationAccount(specs, options.organizationAccount);
    const accounts = leastPrivilegePolicies(specs.pairs, [...kinds.values()], scope, specs.accounts);
    // For a single account, prints the policy itself, ready to attach. For several accounts, prints an object by
    // account.
    const [first, ...others] = accounts;
    const document =
      others.length === 0
        ? first?.policy
        : Object.fromEntries(
            accounts.map(({ account, policy }) => [account === '' ? 'ambient' : account, policy]),
          );
    io.stdout.write(`${safeJson(document, 2)}\n`);
    return EXIT.ok;
  },
};
