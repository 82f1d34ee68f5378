import { place } from '../core/names.ts';
import type { Place } from '../core/resource.ts';
import { accountOf } from '../iam/context.ts';
import type { Specs } from '../spec/types.ts';

/** Where things are that nobody could tell from their names alone. */
export interface Atlas {
  /** A place for each bucket that specs speak of, by name. */
  buckets: ReadonlyMap<string, Place>;
  /** Names of Account documents by their number. */
  accounts: ReadonlyMap<string, string>;
  /** Buckets of accounts for which there are no credentials. */
  unmanaged: ReadonlySet<string>;
  /** Where to ask first. */
  region: string;
}

/** Where specs say that their buckets and accounts are. */
export function atlasOf({ pairs, accounts }: Pick<Specs, 'pairs' | 'accounts'>, region: string): Atlas {
  const sides = pairs.flatMap(({ source, destination }) => [source, destination]);
  return {
    buckets: new Map(sides.map((side) => [side.bucket, place(side)])),
    accounts: new Map(accounts.filter(({ managed }) => managed).map(({ name, id }) => [id, name])),
    unmanaged: new Set(sides.filter(({ managed }) => !managed).map(({ bucket }) => bucket)),
    region,
  };
}

/** The credentials for what an ARN names: those of its account, where a document names it. */
export function placeOf(arn: string, { accounts }: Atlas, region: string): Place {
  const account = accounts.get(accountOf(arn));
  return account === undefined ? { region } : { account, region };
}
