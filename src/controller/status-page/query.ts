import { parseLabelSelector, SelectionError } from '../../spec/select.ts';
import { escapeUnprintable } from '../../util/escape.ts';
import { explainPairState, PAIR_STATES, type PairState, pairStateOf } from '../pair-state.ts';
import type { PairStatus } from '../status.ts';

/** What the status page shows: one pair, or a part of all pairs. */
export interface PageQuery {
  /** Name of the only pair to show. */
  pair?: string;
  state?: PairState;
  /** Words, each of which occurs in the text of a pair. */
  q?: string;
  /** Regions of the source and of the destination. */
  from?: string;
  to?: string;
  /** Account of the source: the name of its Account document, or `-` for the default credentials. */
  account?: string;
  /** A selector: `team=finance,!paused` */
  label?: string;
  /** `account`, `region`, or a label key as `label:KEY`. */
  group?: string;
  /** From 1. */
  page?: number;
}

/** The query parameters, in the order in which links contain them. */
export const PAGE_PARAMETERS = [
  'pair',
  'state',
  'q',
  'from',
  'to',
  'account',
  'label',
  'group',
  'page',
] as const satisfies readonly (keyof PageQuery)[];

/** The account of a bucket that the default credentials reach. A name of an Account document is never a hyphen. */
export const AMBIENT_ACCOUNT = '-';

const LABEL_GROUP = 'label:';

/** Maximum length of a parameter. Every link of a page repeats the parameters. */
const MAX_PARAMETER_LENGTH = 400;

/** An invalid parameter of a request. */
export class InvalidQueryError extends Error {
  override name = 'InvalidQueryError';
}

/** @throws InvalidQueryError for an invalid value. */
export function parsePageQuery(parameters: URLSearchParams): PageQuery {
  const query: Record<string, string | number> = {};
  for (const name of PAGE_PARAMETERS) {
    const value = parameters.get(name)?.trim() ?? '';
    if (value.length > MAX_PARAMETER_LENGTH)
      throw new InvalidQueryError(`invalid ${name}: use at most ${MAX_PARAMETER_LENGTH} characters`);
    // A form sends its empty fields.
    if (value !== '') query[name] = value;
  }
  const { state, group, page } = query;
  const invalid = (name: string, use: string) =>
    new InvalidQueryError(`invalid ${name} "${escapeUnprintable(String(query[name]))}": use ${use}`);
  if (state !== undefined && !(PAIR_STATES as readonly unknown[]).includes(state))
    throw invalid('state', PAIR_STATES.join(', '));
  if (group !== undefined && !/^(?:account|region|label:.+)$/su.test(String(group)))
    throw invalid('group', 'account, region or label:KEY');
  if (page === undefined) return query as PageQuery;
  if (!/^[1-9]\d{0,5}$/.test(String(page))) throw invalid('page', 'a number from 1');
  return { ...query, page: Number(page) } as PageQuery;
}

/** Returns the address of a page, relative to the server. */
export function hrefOf(query: PageQuery): string {
  const parameters = new URLSearchParams();
  for (const name of PAGE_PARAMETERS) {
    const value = query[name];
    if (value !== undefined && !(name === 'page' && value === 1)) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === '' ? '/' : `/?${text}`;
}

/** Returns a query without some of its parameters. A changed selection starts on its first page. */
export function withoutFields(query: PageQuery, ...names: (keyof PageQuery)[]): PageQuery {
  const rest = { ...query };
  for (const name of [...names, 'page' as const]) delete rest[name];
  return rest;
}

/** Whether a query selects a part of the pairs, other than by their state. */
export const hasFilter = ({ q, from, to, account, label }: PageQuery): boolean =>
  [q, from, to, account, label].some((value) => value !== undefined);

/** A direction of replication of a pair. */
type PairSide = PairStatus['sides'][number];

export const accountOfSource = ({ source: { account } }: PairSide): string => account ?? AMBIENT_ACCOUNT;

/** The predicates of a query, each over one pair. */
export interface PairFilter {
  matchesState(pair: PairStatus): boolean;
  /** Whether a side of the pair replicates between the Regions. */
  matchesRoute(pair: PairStatus): boolean;
  /** Whether the pair matches everything else. */
  matchesRest(pair: PairStatus): boolean;
  /** Why the filter matches nothing. */
  problem?: string;
}

export function createPairFilter({ state, q = '', from, to, account, label }: PageQuery): PairFilter {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const { matchesLabels, problem } = labelFilter(label);
  return {
    matchesState: (pair) => state === undefined || pairStateOf(pair) === state,
    matchesRoute: ({ sides }) =>
      (from === undefined && to === undefined) ||
      sides.some(
        ({ source, destination }) =>
          source.region === (from ?? source.region) && destination.region === (to ?? destination.region),
      ),
    matchesRest(pair) {
      if (account !== undefined && !pair.sides.some((side) => accountOfSource(side) === account))
        return false;
      if (!matchesLabels(pair.labels)) return false;
      if (words.length === 0) return true;
      const text = searchText(pair);
      return words.every((word) => text.includes(word));
    },
    ...(problem !== undefined && { problem }),
  };
}

function labelFilter(selector: string | undefined): {
  matchesLabels: (labels: Record<string, string>) => boolean;
  problem?: string;
} {
  if (selector === undefined) return { matchesLabels: () => true };
  try {
    return { matchesLabels: parseLabelSelector(selector) };
  } catch (error) {
    if (!(error instanceof SelectionError)) throw error;
    return { matchesLabels: () => false, problem: error.message };
  }
}

/** Returns the text of a pair that a search covers, in lower case. */
function searchText(pair: PairStatus): string {
  const { name, sides, labels } = pair;
  const { condition } = explainPairState(pair);
  return [
    name,
    ...sides
      .flatMap(({ source, destination }) => [source, destination])
      .flatMap(({ bucket, region, account = '' }) => [bucket, region, account]),
    ...Object.entries(labels).map(([key, value]) => `${key}=${value}`),
    condition?.reason ?? '',
    condition?.message ?? '',
  ]
    .join('\n')
    .toLowerCase();
}

/** A group of pairs, with the query that selects exactly its pairs. */
export interface GroupKey {
  /** Undefined: the pairs without the label. */
  value?: string;
  query: PageQuery;
}

/** Returns the groups to which a pair belongs: one for each account or Region of a source, or one label. */
export function groupKeysOf(pair: PairStatus, group: string, query: PageQuery): GroupKey[] {
  const base = withoutFields(query, 'group');
  if (group.startsWith(LABEL_GROUP)) {
    const key = group.slice(LABEL_GROUP.length);
    const value = Object.hasOwn(pair.labels, key) ? pair.labels[key] : undefined;
    const requirement = value === undefined ? `!${key}` : `${key}=${value}`;
    const label = query.label === undefined ? requirement : `${query.label},${requirement}`;
    return [{ ...(value !== undefined && { value }), query: { ...base, label } }];
  }
  const values =
    group === 'account'
      ? pair.sides.map(accountOfSource).filter((value) => value === (query.account ?? value))
      : pair.sides.map(({ source }) => source.region).filter((value) => value === (query.from ?? value));
  return [...new Set(values)].map((value) => ({
    value,
    query: { ...base, [group === 'account' ? 'account' : 'from']: value },
  }));
}
