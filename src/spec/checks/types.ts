import type { Path } from '../path.ts';
import type { CheckedReplication } from '../validate.ts';

/** Where in a spec, what is wrong, what to do, and the other fields from which that follows. */
export type CheckFailure = [path: Path, message: string, hint: string, ...from: Path[]];

/** What Account documents say, by name. */
export type AccountsByName = ReadonlyMap<string, { id: string; managed: boolean }>;

/** What the form of a single field cannot say, of one spec. */
export type PairCheck = (pair: CheckedReplication, accounts: AccountsByName) => CheckFailure[];

export const SIDES = ['source', 'destination'] as const;
