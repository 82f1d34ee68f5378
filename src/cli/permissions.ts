import { EXIT } from '../errors.ts';
import { kinds } from '../kinds/index.ts';
import { permissionsFor } from '../permissions/permissions.ts';
import { jsonText } from '../report/json-text.ts';
import type { Io } from './io.ts';
import type { PermissionsOptions } from './options.ts';
import { specsFrom } from './specs.ts';

/** `reconcile permissions`: the least IAM policy that replikey itself needs, for each account of the specs. */
export async function permissions(
  paths: readonly string[],
  options: PermissionsOptions,
  io: Io,
): Promise<number> {
  const specs = await specsFrom(paths, options, io);
  const purpose = {
    apply: !options.planOnly,
    verify: options.verify ?? false,
    whoChanged: options.whoChanged ?? false,
  };
  const accounts = permissionsFor(specs.pairs, [...kinds.values()], purpose);
  // One account alone is one document, to be attached as it is; of several each has its name.
  const [only, ...more] = accounts;
  const printed =
    more.length === 0
      ? only?.policy
      : Object.fromEntries(
          accounts.map(({ account, policy }) => [account === '' ? 'ambient' : account, policy]),
        );
  io.stdout.write(`${jsonText(printed, 2)}\n`);
  return EXIT.ok;
}
