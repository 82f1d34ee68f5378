import { EXIT } from '../../errors.ts';
import { safeJson } from '../../util/escape.ts';
import type { CommandDefinition } from '../command-model.ts';
import { addSelectionOptions, type SpecOptions } from '../options.ts';

interface PermissionsOptions extends SpecOptions {
  planOnly?: true;
  verify?: true;
  whoChanged?: true;
}

/** Prints the least-privilege IAM policy that replikey itself needs, for each account of the specs. */
export const permissionsCommand: CommandDefinition = {
  name: 'permissions',
  description: 'print the least IAM policy that replikey itself needs for these specs',
  examples: [
    ['reconcile permissions specs/', 'to apply'],
    ['reconcile permissions specs/ --plan-only', 'for plans on pull requests'],
    ['reconcile permissions specs/ --verify', 'to write canaries as well'],
    ['reconcile permissions specs/ --who-changed', 'to name who changed what drifted'],
  ],
  configure: (command) =>
    addSelectionOptions(command.argument('<paths...>', 'specs'))
      .option('--plan-only', 'to look, and change nothing')
      .option('--verify', 'to write canaries, too')
      .option('--who-changed', 'to say who changed what drifted, too, from CloudTrail'),
  async run({ io }, paths: string[], options: PermissionsOptions) {
    const [{ kinds }, { leastPrivilegePolicies }, { loadSelectedSpecs }] = await Promise.all([
      import('../../kinds/index.ts'),
      import('../../policy/least-privilege.ts'),
      import('../session.ts'),
    ]);
    const specs = await loadSelectedSpecs(paths, options, io);
    const purpose = {
      apply: !options.planOnly,
      verify: options.verify ?? false,
      whoChanged: options.whoChanged ?? false,
    };
    const accounts = leastPrivilegePolicies(specs.pairs, [...kinds.values()], purpose);
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
