import { ListBucketsCommand, type ReplicationRule } from '@aws-sdk/client-s3';
import pLimit from 'p-limit';
import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import { paginate } from '../aws/paginate.ts';
import { detectManager } from '../core/adoption.ts';
import { emptyFacts, type Facts, factValue, isUnread, mergeFacts } from '../core/facts.ts';
import { MANAGED_BY_TAG } from '../core/ids.ts';
import type { Aws, Location } from '../core/resource.ts';
import { findRulesWithoutAlarm } from '../doctor/alarms.ts';
import { type Diagnosis, diagnose, diagnoseMetrics } from '../doctor/diagnose.ts';
import type { RuleMetricsReport } from '../doctor/rule-metrics.ts';
import { EXIT, UserError } from '../errors.ts';
import type { Locations } from '../facts/locations.ts';
import type { OrganizationReader } from '../facts/organization.ts';
import { readFact } from '../facts/read.ts';
import { bucketRegionIn, fetchBucketRegion, fetchBucketTags } from '../kinds/s3-bucket.ts';
import { s3Replication } from '../kinds/s3-replication.ts';
import { destinationBucketOf } from '../proof/rule-context.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import {
  type Manager,
  type NewBucket,
  reportBucket,
  undeclaredRulesOf,
  unknownBucket,
} from './bucket-report.ts';
import { type DestinationOwner, findDestinationOwner, type KnownAccounts } from './destinations.ts';
import type { BucketTotals, FleetAccount } from './types.ts';

/** An account to survey. */
export interface SurveyAccount {
  /** Name in the AWS client. */
  client: string;
  /** 12 digits. */
  id: string;
  /** Name for people. */
  name?: string;
  access: string;
  /** Why the account cannot be read, if that is already known. */
  error?: string;
}

/** The result for one bucket. */
export type BucketResult =
  | { status: 'without replication'; account: string; name: string }
  | { status: 'unknown' | 'replicating'; account: string; name: string; report: NewBucket };

export interface SurveyOptions {
  accounts: readonly SurveyAccount[];
  /** Ids of further accounts of the user, which replikey does not read. */
  otherAccounts: ReadonlySet<string>;
  /** The only Regions to survey; absent: all. */
  regions?: readonly string[];
  /** Region of the first request for a bucket with an unknown Region. */
  region: string;
  /** Number of objects to sample in each bucket. */
  sampleSize: number;
  samplePages: number;
  failedSinceMs: number;
  /** Reads the control policies of accounts; absent: they are not read. */
  organization?: OrganizationReader | undefined;
  /** Names of specs by source bucket. */
  specsByBucket: ReadonlyMap<string, readonly string[]>;
  /** Results of an interrupted run, by account id and bucket name. They are not read again. */
  done: ReadonlyMap<string, ReadonlyMap<string, BucketResult>>;
  signal: AbortSignal;
  onEvent(event: SurveyEvent): void;
}

export type SurveyEvent =
  | { type: 'account listed'; account: string; buckets: number; done: number }
  | { type: 'account failed'; account: string; reason: string }
  | { type: 'bucket'; result: BucketResult };

/** The surveyed accounts. */
export interface Survey {
  accounts: FleetAccount[];
  buckets: NewBucket[];
  /** Why credentials stopped working before all buckets were read, by account id. */
  lostCredentials: ReadonlyMap<string, string>;
}

/** Accounts surveyed at a time, and buckets of one account. They bound the memory: an account may have 5,000 alarms. */
const MAX_ACCOUNTS = 4;
const MAX_BUCKETS = 8;

/** Buckets whose metrics are read together: GetMetricData reads up to 100 rules in a call. */
const MAX_BATCH_BUCKETS = 100;

/** Responses that are kept for other buckets: roles, keys, alarms and destinations that many rules share. */
const MAX_RESPONSES = 2_000;

/**
 * Surveys all buckets of some accounts. It proves the rules of each bucket with a replication configuration, and keeps
 * only the report of a bucket. A bucket or an account that cannot be read is unknown; the others continue.
 *
 * @throws the reason of the signal
 */
export async function survey(aws: AwsClient, options: SurveyOptions): Promise<Survey> {
  const readOnly = aws.readOnly();
  const limit = pLimit(MAX_ACCOUNTS);
  const listings = await Promise.all(
    options.accounts.map((account) => limit(() => listAccount(readOnly, account, options))),
  );
  options.signal.throwIfAborted();
  const locations = new Map<string, Location>();
  const owners = new Map<string, string>();
  for (const { account, buckets } of listings)
    for (const { name, region } of buckets) {
      owners.set(name, account.id);
      locations.set(name, { account: account.client, region: region ?? options.region });
    }
  const isListed = ({ error }: AccountListing) => error === undefined;
  const context: SurveyContext = {
    // The cache drops what was not used for a while.
    aws: readOnly.withCache(MAX_RESPONSES),
    options,
    owners,
    accounts: {
      listed: new Set(listings.filter(isListed).map(({ account }) => account.id)),
      unlisted: new Set([
        ...listings.filter((listing) => !isListed(listing)).map(({ account }) => account.id),
        ...options.otherAccounts,
      ]),
    },
    locations: {
      buckets: locations,
      // Credentials that may be of another account are not used.
      accountNames: new Map(listings.filter(isListed).map(({ account }) => [account.id, account.client])),
      unmanagedBuckets: new Set(),
      region: options.region,
    },
  };
  const results = await Promise.all(listings.map((listing) => limit(() => surveyAccount(listing, context))));
  options.signal.throwIfAborted();
  return {
    accounts: results.map(({ account }) => account),
    buckets: results.flatMap(({ buckets }) => buckets),
    lostCredentials: new Map([
      ...listings.filter((listing) => hasLostCredentials(listing, listings, options)).map(errorEntry),
      ...results.flatMap(({ account, lostCredentials }) =>
        lostCredentials === undefined ? [] : [[account.id, lostCredentials] as const],
      ),
    ]),
  };
}

/**
 * Whether an account could be read before: an interrupted run has results of it, or no account at all can be read. Its
 * credentials are to be renewed, and the survey continues afterwards.
 */
const hasLostCredentials = (
  { account, hasInvalidCredentials = false }: AccountListing,
  listings: readonly AccountListing[],
  { done }: SurveyOptions,
): boolean =>
  hasInvalidCredentials &&
  ((done.get(account.id)?.size ?? 0) > 0 || listings.every(({ error }) => error !== undefined));

const errorEntry = ({ account, error = '' }: AccountListing): readonly [string, string] => [
  account.id,
  error,
];

interface SurveyContext {
  aws: AwsClient;
  options: SurveyOptions;
  /** Account ids by bucket name. */
  owners: ReadonlyMap<string, string>;
  accounts: KnownAccounts;
  locations: Locations;
}

/** A bucket in the list of an account. */
interface ListedBucket {
  name: string;
  /** Absent: it cannot be read. */
  region?: string;
  /** Why the Region cannot be read. */
  error?: string;
}

/** The buckets of an account. An account with an error has none. */
interface AccountListing {
  account: SurveyAccount;
  buckets: ListedBucket[];
  error?: string;
  /** Whether AWS refused the credentials, or they could not be loaded. */
  hasInvalidCredentials?: boolean;
}

async function listAccount(
  aws: AwsClient,
  account: SurveyAccount,
  options: SurveyOptions,
): Promise<AccountListing> {
  const fail = (reason: string, hasInvalidCredentials = false): AccountListing => {
    options.onEvent({ type: 'account failed', account: account.id, reason });
    return { account, buckets: [], error: reason, hasInvalidCredentials };
  };
  if (account.error !== undefined) return fail(account.error);
  try {
    // Rejects the credentials of another account before anything is read with them.
    await aws.accountId(account.client);
    const buckets = await listBuckets(aws, { account: account.client, region: options.region });
    const listed = buckets.filter(({ region }) => isSurveyed(region, options));
    const done = options.done.get(account.id);
    options.onEvent({
      type: 'account listed',
      account: account.id,
      buckets: listed.length,
      done: listed.filter(({ name }) => done?.has(name)).length,
    });
    return { account, buckets };
  } catch (error) {
    options.signal.throwIfAborted();
    return fail(formatAwsError(error), error instanceof UserError && error.exitCode === EXIT.credentials);
  }
}

/** A bucket whose Region is not known may be in any of them. */
const isSurveyed = (region: string | undefined, { regions }: SurveyOptions): boolean =>
  regions === undefined || region === undefined || regions.includes(region);

/** Lists the buckets of an account with their Regions. If the list has no Regions, reads that of each bucket. */
async function listBuckets(aws: Aws, location: Location): Promise<ListedBucket[]> {
  const pages = paginate(
    (ContinuationToken) =>
      aws.send(location, new ListBucketsCommand(omitUndefined({ MaxBuckets: 1_000, ContinuationToken }))),
    ({ ContinuationToken: marker }) => ({ hasMore: marker !== undefined, marker }),
  );
  const buckets: ListedBucket[] = [];
  for await (const { Buckets = [] } of pages)
    for (const { Name: name, BucketRegion } of Buckets) {
      if (name === undefined) continue;
      // S3 reports it only since 2024, and other endpoints do not.
      buckets.push(
        BucketRegion === undefined ? await locateBucket(aws, name, location) : { name, region: BucketRegion },
      );
    }
  return buckets;
}

/** Reads the Region of a bucket. S3 names it also to callers that may not read the bucket. */
async function locateBucket(aws: Aws, name: string, location: Location): Promise<ListedBucket> {
  try {
    return { name, region: await fetchBucketRegion(aws, name, location.region, location.account) };
  } catch (error) {
    if (error instanceof UserError) throw error;
    const region = bucketRegionIn(error);
    return region === undefined
      ? { name, error: `its Region cannot be read: ${formatAwsError(error)}` }
      : { name, region };
  }
}

const unreadBucket = ({ id }: SurveyAccount, { name, region }: ListedBucket, reason: string): NewBucket =>
  unknownBucket(omitUndefined({ name, account: id, region }), reason);

interface AccountSurvey {
  account: FleetAccount;
  buckets: NewBucket[];
  lostCredentials?: string;
}

async function surveyAccount(
  { account, buckets, error }: AccountListing,
  context: SurveyContext,
): Promise<AccountSurvey> {
  const { options } = context;
  const totals: BucketTotals = { total: 0, replicating: 0, withoutReplication: 0, unknown: 0 };
  const reports: NewBucket[] = [];
  const add = (result: BucketResult): void => {
    totals.total += 1;
    if (result.status === 'without replication') totals.withoutReplication += 1;
    else {
      totals[result.status] += 1;
      reports.push(result.report);
    }
  };
  const done = options.done.get(account.id);
  const unread = new Map<string, ListedBucket>();
  for (const bucket of buckets.filter(({ region }) => isSurveyed(region, options))) {
    const result = done?.get(bucket.name);
    if (result) add(result);
    else unread.set(bucket.name, bucket);
  }
  const emit = (result: BucketResult): void => {
    unread.delete(result.name);
    add(result);
    options.onEvent({ type: 'bucket', result });
  };
  const pending = [...unread.values()];
  let lostCredentials: string | undefined;
  for (let start = 0; start < pending.length && lostCredentials === undefined; start += MAX_BATCH_BUCKETS) {
    const batch = pending.slice(start, start + MAX_BATCH_BUCKETS);
    lostCredentials = await surveyBatch(account, batch, context, emit);
    options.signal.throwIfAborted();
  }
  const reason = lostCredentials ?? 'its diagnosis ended early';
  for (const bucket of unread.values()) {
    const { name } = bucket;
    const report = unreadBucket(account, bucket, reason);
    emit({ status: 'unknown', account: account.id, name, report });
  }
  const { id, name, access } = account;
  return omitUndefined({
    account: omitUndefined({ id, name, access, error: error ?? lostCredentials, totals }),
    buckets: reports,
    lostCredentials,
  });
}

/** A bucket with its diagnosis, without its metrics. */
interface DiagnosedBucket {
  name: string;
  region: string;
  rules: readonly ReplicationRule[];
  diagnosis: Diagnosis;
  destinations: Map<string, DestinationOwner>;
  rulesWithoutAlarm: string[];
  manager: Manager;
}

/**
 * Surveys some buckets of one account, and emits each result when it is known. Buckets with rules wait for the metrics of
 * the batch.
 *
 * @returns why the credentials were lost; the remaining buckets were not read
 */
async function surveyBatch(
  account: SurveyAccount,
  batch: readonly ListedBucket[],
  context: SurveyContext,
  emit: (result: BucketResult) => void,
): Promise<string | undefined> {
  const { signal } = context.options;
  const diagnosed: DiagnosedBucket[] = [];
  let lostCredentials: string | undefined;
  const limit = pLimit(MAX_BUCKETS);
  const surveyOne = async (bucket: ListedBucket): Promise<void> => {
    if (lostCredentials !== undefined || signal.aborted) return;
    const about = { account: account.id, name: bucket.name };
    const { name, region } = bucket;
    if (region === undefined) {
      const report = unreadBucket(account, bucket, bucket.error ?? 'its Region is not known');
      return emit({ status: 'unknown', ...about, report });
    }
    try {
      const result = await surveyBucket(account, { name, region }, context);
      // An interrupted call looks like a document that cannot be read.
      if (signal.aborted) return;
      if (result) diagnosed.push(result);
      else emit({ status: 'without replication', ...about });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof UserError && error.exitCode === EXIT.credentials) {
        lostCredentials ??= error.message;
        return;
      }
      const report = unreadBucket(account, bucket, formatAwsError(error));
      emit({ status: 'unknown', ...about, report });
    }
  };
  await Promise.all(batch.map((bucket) => limit(() => surveyOne(bucket))));
  if (signal.aborted) return undefined;
  const metrics = await readMetrics(diagnosed, context);
  if (signal.aborted) return undefined;
  for (const bucket of diagnosed) emit(bucketResultOf(bucket, account, metrics, context.options));
  return lostCredentials;
}

function bucketResultOf(
  { name, region, diagnosis, ...readings }: DiagnosedBucket,
  { id }: SurveyAccount,
  metrics: readonly RuleMetricsReport[],
  options: SurveyOptions,
): BucketResult {
  const report = reportBucket({
    ...readings,
    name,
    region,
    account: id,
    proofs: diagnosis.proofs,
    objects: diagnosis.objects,
    metrics: metrics.filter(({ bucket }) => bucket === name),
    declaredBy: options.specsByBucket.get(name) ?? [],
  });
  return { status: report.rules.length === 0 ? 'unknown' : 'replicating', account: id, name, report };
}

/** Diagnoses a bucket, if it has a replication configuration. */
async function surveyBucket(
  account: SurveyAccount,
  { name, region }: { name: string; region: string },
  context: SurveyContext,
): Promise<DiagnosedBucket | undefined> {
  const { aws, options, locations } = context;
  const location: Location = { account: account.client, region };
  const configuration = await s3Replication.fetch(aws, location, name);
  if (!configuration || configuration.Rules.length === 0) return undefined;
  const { Rules: rules } = configuration;
  const names = [...new Set(rules.map((rule) => destinationBucketOf(rule)))];
  const unlisted = names.filter((destination) => !locations.buckets.has(destination));
  const bucketLocations: Locations = {
    ...locations,
    // What belongs to no surveyed account is read with the credentials of the source.
    otherAccounts: account.client,
    sharedWith: new Map(unlisted.map((destination) => [destination, location])),
  };
  const declaredBy = options.specsByBucket.get(name) ?? [];
  const [diagnosis, manager] = await Promise.all([
    diagnose(aws, [name], {
      locations: bucketLocations,
      organization: options.organization,
      sampleSize: options.sampleSize,
      samplePages: options.samplePages,
      failedSinceMs: options.failedSinceMs,
      now: () => aws.now(),
    }),
    undeclaredRulesOf(rules, declaredBy).length > 0
      ? readManager(aws, location, name)
      : ('not read' as const),
  ]);
  const destinationContext = (destination: string) => ({
    owner: context.owners.get(destination),
    source: { account: account.id, accountName: account.client },
    locations,
    accounts: context.accounts,
  });
  const destinations = await Promise.all(
    names.map(
      async (destination) =>
        [
          destination,
          await findDestinationOwner(
            aws,
            destination,
            diagnosis.facts.buckets[destination],
            destinationContext(destination),
          ),
        ] as const,
    ),
  );
  return {
    name,
    region,
    rules,
    // The metrics need the facts of buckets only.
    diagnosis: { ...diagnosis, facts: { ...emptyFacts(), buckets: diagnosis.facts.buckets } },
    destinations: new Map(destinations),
    rulesWithoutAlarm: await findRulesWithoutAlarm(aws, diagnosis.facts, name, bucketLocations),
    manager,
  };
}

/** Reads which tool manages a bucket, from its tags. */
async function readManager(aws: Aws, location: Location, name: string): Promise<Manager> {
  const fact = await readFact(fetchBucketTags(aws, location, name));
  if (isUnread(fact)) return fact;
  const tags = fact ?? {};
  if (MANAGED_BY_TAG in tags) return { name: 'replikey' };
  const manager = detectManager(tags);
  return manager === undefined ? 'none' : { name: manager };
}

/** Reads the metrics of the rules of some buckets of one account together. */
async function readMetrics(
  buckets: readonly DiagnosedBucket[],
  { aws, options, locations }: SurveyContext,
): Promise<RuleMetricsReport[]> {
  if (buckets.length === 0) return [];
  const facts: Facts = emptyFacts();
  for (const { diagnosis } of buckets) mergeFacts(facts, diagnosis.facts);
  const readable = buckets.filter(({ name }) => factValue(facts.buckets[name])).map(({ name }) => name);
  return diagnoseMetrics(aws, readable, facts, {
    locations,
    sampleSize: 0,
    failedSinceMs: options.failedSinceMs,
    now: () => aws.now(),
  });
}
