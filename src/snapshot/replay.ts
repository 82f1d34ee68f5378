import { commandInfo, type Service } from '../aws/command.ts';
import type { SdkClients, Transport } from '../aws/sdk-clients.ts';
import type { Location } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { type RecordedError, type Snapshot, type SnapshotResponse, snapshotKey } from './snapshot.ts';

/**
 * Creates SDK clients that replay a snapshot. A request that the snapshot lacks gets a "not found" error if a complete
 * listing shows that the resource did not exist. For any other request, the clients throw an error that it was not
 * observed.
 */
export function createReplayClients({ answers: responses, observedAt }: Snapshot): SdkClients {
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
    endpoint: async () => 'snapshot',
    now: () => Date.parse(observedAt),
    destroy() {},
  };
}

/** Returns the error for a request that the snapshot lacks: about one resource, or about a whole account. */
function notInSnapshotError(service: Service, { account }: Location): Error {
  if (service !== 'sts')
    return new Error('not in the snapshot; run reconcile observe again with these specs');
  const owner = account === undefined ? 'the ambient account' : `the account "${account}"`;
  return new UserError(
    EXIT.failed,
    `the snapshot contains nothing from ${owner}; run reconcile observe again with these specs and its credentials`,
  );
}

type JsonFields = Record<string, unknown>;

/** A list operation, the names in its responses, and the AWS error for a name that it does not contain. */
interface Listing {
  call: string;
  /** Whether the list covers a Region (true) or an account (false). */
  regional: boolean;
  namesIn(output: JsonFields): unknown[];
  /** Returns the token of the next page, or undefined on the last page. */
  nextToken(output: JsonFields): unknown;
  /** Returns the token with which the page was requested. */
  requestToken(input: JsonFields): unknown;
  /** Returns the resource name in the input of a call. */
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
  s3control: undefined,
  sts: undefined,
  cloudtrail: undefined,
  cloudwatch: undefined,
  sqs: undefined,
  sns: undefined,
  organizations: undefined,
};

const pluck = (items: unknown, field: string): unknown[] =>
  Array.isArray(items) ? items.map((item) => (item as JsonFields | null)?.[field]) : [];

type ListedNames = ReadonlyMap<string, ReadonlySet<unknown>>;

/**
 * Returns the listed names by listing and location. Omits a listing with a missing page, because it cannot prove that
 * a name is absent.
 */
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

/** Returns true if the first page is present, and each page that another page refers to. */
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
  // A HEAD response has no body, and therefore no error code.
  return operation.startsWith('Head')
    ? { ...listing.notFoundError, name: 'NotFound' }
    : listing.notFoundError;
}

/** Returns the error in the form of the SDK, with the fields that replikey uses. */
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
