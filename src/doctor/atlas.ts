import { place } from '../core/names.ts';
import type { Specs } from '../spec/types.ts';
import type { Atlas } from './read.ts';

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
