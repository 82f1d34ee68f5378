import { locationOfSide } from '../core/ids.ts';
import type { Location } from '../core/resource.ts';
import { accountOfArn } from '../iam/context.ts';
import type { Specs } from '../spec/types.ts';

/** Locations that names alone do not reveal. */
export interface Locations {
  /** Location of each bucket in the specs, by bucket name. */
  buckets: ReadonlyMap<string, Location>;
  /** Names of Account documents by account id. */
  accountNames: ReadonlyMap<string, string>;
  /** Name of the account whose credentials read the resources of all other accounts; default: the ambient credentials. */
  otherAccounts?: string;
  /** Buckets in accounts without credentials. */
  unmanagedBuckets: ReadonlySet<string>;
  /** Accounts of buckets that no spec declares, by bucket name: the account of a role that names them. */
  sharedWith?: ReadonlyMap<string, Location>;
  /** Region for the first request if the location is unknown. */
  region: string;
}

/** Returns the locations that specs declare for their buckets and accounts. */
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

/** Returns the location of an ARN, with the credentials of its account, if there are any. */
export function locationOfArn(
  arn: string,
  { accountNames, otherAccounts }: Locations,
  region: string,
): Location {
  const account = accountNames.get(accountOfArn(arn)) ?? otherAccounts;
  return account === undefined ? { region } : { account, region };
}
