import { commandInfo, type Service } from '../aws/command.ts';
import type { SdkClients, Transport } from '../aws/sdk-clients.ts';
import type { Location } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { type RecordedError, type Snapshot, type SnapshotResponse, snapshotKey } from './snapshot.ts';

/**
 * Clients that answer from a recording. What was not asked then has one answer all the same where a listing tells that
 * the thing was not there; everything else is not known, and says so.
 */
export function createReplayClients({ answers: responses }: Snapshot): SdkClients {
  const responsesByKey = new Map(
    responses.map((response) => [snapshotKey(response.call, response, response.input), response]),
  );
  const listings = completeListingsOf(responses);
  return {
    get: (service, location): Transport => ({
      async send(command) {
        const { operation, input } = commandInfo(command);
        const call = `${service}:${operation}`;
        const response = responsesByKey.get(snapshotKey(call, location, input));
        if (response?.error) throw toSdkError(response.error);
        if (response) return response.output;
        const notFoundError = notFoundErrorOf(service, operation, location, input as JsonFields, listings);
        throw notFoundError ? toSdkError(notFoundError) : notInSnapshotError(service, location);
      },
      destroy() {},
    }),
    destroy() {},
  };
}

/** What nobody asked when the observation was made: of one thing, or of an account altogether. */
function notInSnapshotError(service: Service, { account }: Location): Error {
  if (service !== 'sts') return new Error('it was not observed; observe again, with these specs');
  const owner = account === undefined ? 'the ambient account' : `the account "${account}"`;
  return new UserError(
    EXIT.failed,
    `nothing of ${owner} was observed; observe again, with these specs and credentials for it`,
  );
}

type JsonFields = Record<string, unknown>;

/** What a listing is called, whose names it holds, and how AWS speaks of one that is not there. */
interface Listing {
  call: string;
  /** Whether a list is of a Region, or of an account. */
  regional: boolean;
  namesIn(output: JsonFields): unknown[];
  /** What the next page is asked for with, if there is one. */
  nextToken(output: JsonFields): unknown;
  /** What a page was asked for with. */
  requestToken(input: JsonFields): unknown;
  /** The name that a call is about. */
  requestedName(input: JsonFields): unknown;
  notFoundError: RecordedError;
}

const LISTINGS_BY_SERVICE: Record<Service, Listing | undefined> = {
  s3: {
    call: 's3:ListBuckets',
    regional: false,
    namesIn: ({ Buckets }) => pluck(Buckets, 'Name'),
    nextToken: ({ ContinuationToken }) => ContinuationToken,
    requestToken: ({ ContinuationToken }) => ContinuationToken,
    requestedName: ({ Bucket }) => Bucket,
    notFoundError: { name: 'NoSuchBucket', message: 'The specified bucket does not exist', status: 404 },
  },
  iam: {
    call: 'iam:ListRoles',
    regional: false,
    namesIn: ({ Roles }) => pluck(Roles, 'RoleName'),
    nextToken: ({ IsTruncated, Marker }) => (IsTruncated ? Marker : undefined),
    requestToken: ({ Marker }) => Marker,
    requestedName: ({ RoleName }) => RoleName,
    notFoundError: { name: 'NoSuchEntityException', message: 'The role cannot be found.', status: 404 },
  },
  kms: {
    call: 'kms:ListAliases',
    regional: true,
    namesIn: ({ Aliases }) => pluck(Aliases, 'AliasName'),
    nextToken: ({ Truncated, NextMarker }) => (Truncated ? NextMarker : undefined),
    requestToken: ({ Marker }) => Marker,
    requestedName: ({ KeyId }) => (String(KeyId).startsWith('alias/') ? KeyId : undefined),
    notFoundError: { name: 'NotFoundException', message: 'The alias is not found.', status: 400 },
  },
  sts: undefined,
  cloudtrail: undefined,
};

const pluck = (items: unknown, field: string): unknown[] =>
  Array.isArray(items) ? items.map((item) => (item as JsonFields | null)?.[field]) : [];

type ListedNames = ReadonlyMap<string, ReadonlySet<unknown>>;

/** The names that were listed, by listing and place; a listing that lacks a page tells nothing of what is not in it. */
function completeListingsOf(responses: readonly SnapshotResponse[]): ListedNames {
  const pages = new Map<string, { listing: Listing; input: JsonFields; output: JsonFields }[]>();
  for (const { call, output, input, ...location } of responses) {
    const listing = Object.values(LISTINGS_BY_SERVICE).find((candidate) => candidate?.call === call);
    if (!listing || output === undefined) continue;
    const key = listingKey(listing, location);
    const page = { listing, input: input as JsonFields, output: output as JsonFields };
    pages.set(key, [...(pages.get(key) ?? []), page]);
  }
  return new Map(
    [...pages]
      .filter(([, pagesOfListing]) => hasAllPages(pagesOfListing))
      .map(([key, pagesOfListing]) => [
        key,
        new Set(pagesOfListing.flatMap(({ listing, output }) => listing.namesIn(output))),
      ]),
  );
}

/** Whether the first page is there, and each that another one tells of. */
function hasAllPages(pages: readonly { listing: Listing; input: JsonFields; output: JsonFields }[]): boolean {
  const requestedTokens = new Set(pages.map(({ listing, input }) => listing.requestToken(input)));
  const nextTokens = pages.map(({ listing, output }) => listing.nextToken(output));
  return (
    requestedTokens.has(undefined) &&
    nextTokens.every((token) => token === undefined || requestedTokens.has(token))
  );
}

const listingKey = ({ call, regional }: Listing, { account = '', region }: Location): string =>
  JSON.stringify([call, account, regional ? region : '']);

function notFoundErrorOf(
  service: Service,
  operation: string,
  location: Location,
  input: JsonFields,
  listings: ListedNames,
): RecordedError | undefined {
  const listing = LISTINGS_BY_SERVICE[service];
  const name = listing?.requestedName(input);
  if (!listing || name === undefined) return undefined;
  const names = listings.get(listingKey(listing, location));
  if (!names || names.has(name)) return undefined;
  // An answer to HEAD has no body, and so no code.
  return operation.startsWith('Head')
    ? { ...listing.notFoundError, name: 'NotFound' }
    : listing.notFoundError;
}

/** The error as the SDK would have thrown it, as far as anybody asks. */
function toSdkError({ name, message, status, bucketRegion }: RecordedError): Error {
  return Object.assign(new Error(message), {
    name,
    $fault: 'client',
    $metadata: { httpStatusCode: status },
    ...(bucketRegion === undefined
      ? {}
      : { $response: { headers: { 'x-amz-bucket-region': bucketRegion } } }),
  });
}
