import { EXIT } from '../../errors.ts';
import { kinds } from '../../kinds/index.ts';
import { leastPrivilegePolicies } from '../../policy/least-privilege.ts';
import { safeJson } from '../../util/escape.ts';
import type { Io } from '../io.ts';
import { loadSelectedSpecs } from '../load-specs.ts';
import type { PermissionsOptions } from '../options.ts';

/** `reconcile permissions`: the least IAM policy that replikey itself needs, for each account of the specs. */
export async function runPermissions(
  paths: readonly string[],
  options: PermissionsOptions,
  io: Io,
): Promise<number> {
  const specs = await loadSelectedSpecs(paths, options, io);
  const purpose = {
    apply: !options.planOnly,
    verify: options.verify ?? false,
    whoChanged: options.whoChanged ?? false,
  };
  const accounts = leastPrivilegePolicies(specs.pairs, [...kinds.values()], purpose);
  // One account alone is one document, to be attached as it is; of several each has its name.
  const [first, ...others] = accounts;
  const document =
    others.length === 0
      ? first?.policy
      : Object.fromEntries(
          accounts.map(({ account, policy }) => [account === '' ? 'ambient' : account, policy]),
        );
  io.stdout.write(`${safeJson(document, 2)}\n`);
  return EXIT.ok;
}
