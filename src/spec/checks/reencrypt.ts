import type { Path } from '../document.ts';
import { KEY_ARN_FORMAT } from '../patterns.ts';
import { toLongForm } from '../resolve.ts';
import type { CheckedReplication } from '../validate.ts';
import { isDayOfMonth, MAX_CLOCK_SKEW_MS } from './backfill.ts';
import { type AccountsByName, type CheckFailure, type PairCheck, SIDES } from './pairs.ts';

/** Checks of the re-encryption of one spec. */
export const reencryptChecks: readonly PairCheck[] = [
  checkReplacedKeyExists,
  checkReplacingKeyAccount,
  checkSidesManaged,
];

const REENCRYPT: Path = ['spec', 'reencrypt'];
const COUNTED_AFTER: Path = [...REENCRYPT, 'countedAfter'];

/** Returns the sides whose key replaces others. */
const replacingSides = ({ content: { spec } }: CheckedReplication) =>
  SIDES.filter((side) => (toLongForm(spec[side].key).replaces ?? []).length > 0);

function checkReplacedKeyExists(pair: CheckedReplication): CheckFailure[] {
  if (!pair.content.spec.reencrypt || replacingSides(pair).length > 0) return [];
  const message = 'no key of this spec replaces another, so there is nothing to re-encrypt';
  const hint = 'add replaces to source.key or destination.key, or remove reencrypt';
  return [[REENCRYPT, message, hint, ...SIDES.map((side): Path => ['spec', side, 'key'])]];
}

/** S3 re-encrypts objects only under a key of the account of the bucket (API reference, UpdateObjectEncryption). */
function checkReplacingKeyAccount(pair: CheckedReplication, accounts: AccountsByName): CheckFailure[] {
  const { spec } = pair.content;
  if (!spec.reencrypt) return [];
  return replacingSides(pair).flatMap((side): CheckFailure[] => {
    const accountId = accounts.get(spec[side].account ?? '')?.id;
    const [, , , keyAccount] = KEY_ARN_FORMAT.exec(toLongForm(spec[side].key).arn ?? '') ?? [];
    if (accountId === undefined || keyAccount === undefined || keyAccount === accountId) return [];
    const message = `S3 re-encrypts objects only under a key of account ${accountId} of the bucket, but this one belongs to account ${keyAccount}`;
    const hint = `use a key of account ${accountId}, or remove reencrypt`;
    return [[['spec', side, 'key', 'arn'], message, hint, ['spec', side, 'account']]];
  });
}

function checkSidesManaged(pair: CheckedReplication, accounts: AccountsByName): CheckFailure[] {
  const { spec } = pair.content;
  if (!spec.reencrypt) return [];
  return replacingSides(pair).flatMap((side): CheckFailure[] => {
    const { account } = spec[side];
    if (accounts.get(account ?? '')?.managed ?? true) return [];
    const message = `the jobs for the ${side} run in account ${account}, for which replikey has no credentials`;
    const hint = `remove reencrypt, replaces of ${side}.key, or managed: false from the account`;
    return [[REENCRYPT, message, hint, ['spec', side, 'account'], ['spec', side, 'key']]];
  });
}

/** Reports an instant that no job can be later than. */
export function checkCountedAfter(
  { content: { spec } }: CheckedReplication,
  nowMs = Number.POSITIVE_INFINITY,
): CheckFailure[] {
  const instant = spec.reencrypt?.countedAfter;
  if (instant === undefined) return [];
  if (!isDayOfMonth(instant))
    return [[COUNTED_AFTER, `the month has no day ${instant.slice(8, 10)}`, 'use a day of the calendar']];
  if (Date.parse(instant) <= nowMs + MAX_CLOCK_SKEW_MS) return [];
  return [[COUNTED_AFTER, `${instant} is in the future`, 'use the present or an earlier instant']];
}
