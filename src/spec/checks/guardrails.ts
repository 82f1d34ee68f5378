import { type Path, positionOf, problemAtPath } from '../document.ts';
import { toLongForm } from '../resolve.ts';
import { formatPosition } from '../source-file.ts';
import type { Problem } from '../types.ts';
import { type CheckedGuardrails, type CheckedReplication, isValidAt } from '../validate.ts';
import { declaredKeysOf } from './keys.ts';
import { type AccountsByName, SIDES } from './pairs.ts';

/** What a spec names that some guardrails do not allow: both places are told. */
export function checkGuardrails(
  pairs: readonly CheckedReplication[],
  guardrails: readonly CheckedGuardrails[],
  accounts: AccountsByName,
): Problem[] {
  return guardrails.flatMap((document) =>
    pairs.flatMap((pair) =>
      guardedValuesOf(pair, accounts).flatMap(({ field, value, path }) => {
        const allowed: readonly string[] | undefined = document.content.spec[field];
        const isComparable = isValidAt(pair, path) && isValidAt(document, ['spec', field]);
        if (!isComparable || allowed === undefined || allowed.includes(value)) return [];
        const allowedAt = formatPosition(positionOf(document.parsed, ['spec', field]));
        const message = `${value} is none of the ${field} that the guardrails at ${allowedAt} allow`;
        return [problemAtPath(pair.parsed, path, message, `allowed: ${allowed.join(', ') || 'none'}`)];
      }),
    ),
  );
}

interface GuardedValue {
  field: 'accounts' | 'regions' | 'keys';
  value: string;
  path: Path;
}

function guardedValuesOf(pair: CheckedReplication, accounts: AccountsByName): GuardedValue[] {
  const { spec } = pair.content;
  return [
    ...SIDES.flatMap((side): GuardedValue[] => {
      const { region, account } = spec[side];
      const accountId =
        account === undefined ? 'the account of the ambient credentials' : accounts.get(account)?.id;
      return [
        { field: 'regions', value: region, path: ['spec', side, 'region'] },
        ...(accountId === undefined
          ? []
          : [{ field: 'accounts' as const, value: accountId, path: ['spec', side, 'account'] as Path }]),
      ];
    }),
    ...declaredKeysOf(pair).map(({ key, path }): GuardedValue => {
      const { alias, arn } = toLongForm(key);
      return { field: 'keys', value: alias ?? arn ?? '', path };
    }),
  ];
}
