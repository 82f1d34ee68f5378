import { positionOf, problem } from '../document.ts';
import type { Path } from '../path.ts';
import { longForm } from '../resolve.ts';
import { at } from '../source.ts';
import type { Problem } from '../types.ts';
import { type CheckedGuardrails, type CheckedReplication, isSound } from '../validate.ts';
import { type Accounts, SIDES } from './finding.ts';

/** What a spec names that some guardrails do not allow: both places are told. */
export function withinGuardrails(
  pairs: readonly CheckedReplication[],
  guardrails: readonly CheckedGuardrails[],
  accounts: Accounts,
): Problem[] {
  return guardrails.flatMap((rails) =>
    pairs.flatMap((pair) =>
      named(pair, accounts).flatMap(({ what, value, path }) => {
        const allowed: readonly string[] | undefined = rails.written.spec[what];
        const known = isSound(pair, path) && isSound(rails, ['spec', what]);
        if (!known || allowed === undefined || allowed.includes(value)) return [];
        const place = at(positionOf(rails.parsed, ['spec', what]));
        const message = `${value} is none of the ${what} that the guardrails at ${place} allow`;
        return [problem(pair.parsed, path, message, `allowed: ${allowed.join(', ') || 'none'}`)];
      }),
    ),
  );
}

interface Named {
  what: 'accounts' | 'regions' | 'keys';
  value: string;
  path: Path;
}

function named({ written: { spec } }: CheckedReplication, accounts: Accounts): Named[] {
  const keys = [
    ...SIDES.map((side) => ({ key: spec[side].key, path: ['spec', side, 'key'] as Path })),
    ...spec.sourceKeys.map((key, index) => ({ key, path: ['spec', 'sourceKeys', index] as Path })),
  ];
  return [
    ...SIDES.flatMap((side): Named[] => {
      const { region, account } = spec[side];
      const owner =
        account === undefined ? 'the account of the ambient credentials' : accounts.get(account)?.id;
      return [
        { what: 'regions', value: region, path: ['spec', side, 'region'] },
        ...(owner === undefined
          ? []
          : [{ what: 'accounts' as const, value: owner, path: ['spec', side, 'account'] as Path }]),
      ];
    }),
    ...keys.map(({ key, path }): Named => {
      const { alias, arn } = longForm(key);
      return { what: 'keys', value: alias ?? arn ?? '', path };
    }),
  ];
}
