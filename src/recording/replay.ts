import type { Clients, Service, Transport } from '../aws/clients.ts';
import { nameOf } from '../aws/operation.ts';
import type { Place } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { type Answer, keyOf, type Recording, type Refused } from './recording.ts';

/**
 * Clients that answer from a recording. What was not asked then has one answer all the same where a listing tells that
 * the thing was not there; everything else is not known, and says so.
 */
export function replayingClients({ answers }: Recording): Clients {
  const known = new Map(answers.map((one) => [keyOf(one.call, one, one.input), one]));
  const listings = listingsOf(answers);
  return {
    get: (service, at): Transport => ({
      async send(command) {
        const { operation, input } = nameOf(command);
        const call = `${service}:${operation}`;
        const answer = known.get(keyOf(call, at, input));
        if (answer?.error) throw failure(answer.error);
        if (answer) return answer.output;
        const absent = absence(service, operation, at, input as Fields, listings);
        throw absent ? failure(absent) : notObserved(service, at);
      },
      destroy() {},
    }),
    destroy() {},
  };
}

/** What nobody asked when the observation was made: of one thing, or of an account altogether. */
function notObserved(service: Service, { account }: Place): Error {
  if (service !== 'sts') return new Error('it was not observed; observe again, with these specs');
  const whose = account === undefined ? 'the ambient account' : `the account "${account}"`;
  return new UserError(
    EXIT.failed,
    `nothing of ${whose} was observed; observe again, with these specs and credentials for it`,
  );
}

type Fields = Record<string, unknown>;

/** What a listing is called, whose names it holds, and how AWS speaks of one that is not there. */
interface Listing {
  call: string;
  /** Whether a list is of a Region, or of an account. */
  regional: boolean;
  names(output: Fields): unknown[];
  /** What the next page is asked for with, if there is one. */
  next(output: Fields): unknown;
  /** What a page was asked for with. */
  token(input: Fields): unknown;
  /** The name that a call is about. */
  named(input: Fields): unknown;
  absent: Refused;
}

const LISTINGS: Record<Service, Listing | undefined> = {
  s3: {
    call: 's3:ListBuckets',
    regional: false,
    names: ({ Buckets }) => pluck(Buckets, 'Name'),
    next: ({ ContinuationToken }) => ContinuationToken,
    token: ({ ContinuationToken }) => ContinuationToken,
    named: ({ Bucket }) => Bucket,
    absent: { name: 'NoSuchBucket', message: 'The specified bucket does not exist', status: 404 },
  },
  iam: {
    call: 'iam:ListRoles',
    regional: false,
    names: ({ Roles }) => pluck(Roles, 'RoleName'),
    next: ({ IsTruncated, Marker }) => (IsTruncated ? Marker : undefined),
    token: ({ Marker }) => Marker,
    named: ({ RoleName }) => RoleName,
    absent: { name: 'NoSuchEntityException', message: 'The role cannot be found.', status: 404 },
  },
  kms: {
    call: 'kms:ListAliases',
    regional: true,
    names: ({ Aliases }) => pluck(Aliases, 'AliasName'),
    next: ({ Truncated, NextMarker }) => (Truncated ? NextMarker : undefined),
    token: ({ Marker }) => Marker,
    named: ({ KeyId }) => (String(KeyId).startsWith('alias/') ? KeyId : undefined),
    absent: { name: 'NotFoundException', message: 'The alias is not found.', status: 400 },
  },
  sts: undefined,
  cloudtrail: undefined,
};

const pluck = (list: unknown, field: string): unknown[] =>
  Array.isArray(list) ? list.map((one) => (one as Fields | null)?.[field]) : [];

type Listings = ReadonlyMap<string, ReadonlySet<unknown>>;

/** The names that were listed, by listing and place; a listing that lacks a page tells nothing of what is not in it. */
function listingsOf(answers: readonly Answer[]): Listings {
  const pages = new Map<string, { listing: Listing; input: Fields; output: Fields }[]>();
  for (const { call, output, input, ...at } of answers) {
    const listing = Object.values(LISTINGS).find((one) => one?.call === call);
    if (!listing || output === undefined) continue;
    const key = placed(listing, at);
    const page = { listing, input: input as Fields, output: output as Fields };
    pages.set(key, [...(pages.get(key) ?? []), page]);
  }
  return new Map(
    [...pages]
      .filter(([, some]) => isWhole(some))
      .map(([key, some]) => [key, new Set(some.flatMap(({ listing, output }) => listing.names(output)))]),
  );
}

/** Whether the first page is there, and each that another one tells of. */
function isWhole(pages: readonly { listing: Listing; input: Fields; output: Fields }[]): boolean {
  const asked = new Set(pages.map(({ listing, input }) => listing.token(input)));
  const told = pages.map(({ listing, output }) => listing.next(output));
  return asked.has(undefined) && told.every((token) => token === undefined || asked.has(token));
}

const placed = ({ call, regional }: Listing, { account = '', region }: Place): string =>
  JSON.stringify([call, account, regional ? region : '']);

function absence(
  service: Service,
  operation: string,
  at: Place,
  input: Fields,
  listings: Listings,
): Refused | undefined {
  const listing = LISTINGS[service];
  const name = listing?.named(input);
  if (!listing || name === undefined) return undefined;
  const names = listings.get(placed(listing, at));
  if (!names || names.has(name)) return undefined;
  // An answer to HEAD has no body, and so no code.
  return operation.startsWith('Head') ? { ...listing.absent, name: 'NotFound' } : listing.absent;
}

/** The error as the SDK would have thrown it, as far as anybody asks. */
function failure({ name, message, status, bucketRegion }: Refused): Error {
  return Object.assign(new Error(message), {
    name,
    $fault: 'client',
    $metadata: { httpStatusCode: status },
    ...(bucketRegion === undefined
      ? {}
      : { $response: { headers: { 'x-amz-bucket-region': bucketRegion } } }),
  });
}
