import { locationOfSide } from '../core/ids.ts';
import type { Location } from '../core/resource.ts';
import { accountOfArn } from '../iam/context.ts';
import type { Specs } from '../spec/types.ts';

/** Where things are that nobody could tell from their names alone. */
export interface Locations {
  /** A place for each bucket that specs speak of, by name. */
  buckets: ReadonlyMap<string, Location>;
  /** Names of Account documents by their number. */
  accountNames: ReadonlyMap<string, string>;
  /** Buckets of accounts for which there are no credentials. */
  unmanagedBuckets: ReadonlySet<string>;
  /** Where to ask first. */
  region: string;
}

/** Where specs say that their buckets and accounts are. */
export function locationsOf(
  { pairs, accounts }: Pick<Specs, 'pairs' | 'accounts'>,
  region: string,
): Locations {
  const sides = pairs.flatMap(({ source, destination }) => [source, destination]);
  return {
    buckets: new Map(sides.map((side) => [side.bucket, locationOfSide(side)])),
    accountNames: new Map(accounts.filter(({ managed }) => managed).map(({ name, id }) => [id, name])),
    unmanagedBuckets: new Set(sides.filter(({ managed }) => !managed).map(({ bucket }) => bucket)),
    region,
  };
}

/** The credentials for what an ARN names: those of its account, where a document names it. */
export function locationOfArn(arn: string, { accountNames }: Locations, region: string): Location {
  const account = accountNames.get(accountOfArn(arn));
  return account === undefined ? { region } : { account, region };
}
