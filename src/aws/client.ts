import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import type { Aws, Command, Endpoint, Location } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import type { Account } from '../spec/types.ts';
import { globalRegionOf, partitionOfRegion } from '../util/arn.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { batchAlarmReads } from './alarms.ts';
import { shareJobLists } from './batch-jobs.ts';
import { commandInfo, isMessageOperation, isReadOperation } from './command.ts';
import {
  classifyError,
  formatAwsError,
  formatNameAndMessage,
  mayBeDisabledRegion,
  RegionNotEnabledError,
  recordFailedCall,
  redactError,
} from './errors.ts';
import { createRateLimiter } from './rate-limiter.ts';
import { validateResponse } from './response.ts';
import { isRetryable, retry } from './retry.ts';
import { batchRoleReads } from './role-batcher.ts';
import { type SdkClients, UnreachableEndpointError } from './sdk-clients.ts';

/** The only client of AWS. It rate-limits, counts and retries every call. */
export interface AwsClient extends Aws {
  /**
   * Returns a client with a read cache: it sends identical reads once.
   *
   * @param maxResponses number of responses to keep, those that were used last; default: all
   */
  withCache(maxResponses?: number): AwsClient;
  /** Returns a client for one pass that answers reads of many roles, alarms and batch jobs from one call. */
  withBatching(): AwsClient;
  /** Returns a client that rejects writes, for planning and dry runs. */
  readOnly(): AwsClient;
  /**
   * Returns a client that calls `assertLeader` before every attempt of a write. It does not retry an error of
   * `assertLeader`.
   */
  fenced(assertLeader: () => void): AwsClient;
  /**
   * Waits until the credentials of each account that was read are verified to belong to the declared account. Until
   * then a client with a cache trusts the declared account ids.
   *
   * @throws UserError when the credentials belong to another account, or when the check fails.
   */
  verifyAccounts(): Promise<void>;
  /**
   * Returns a client that ignores an interruption, for the removal of objects that a run created and must not leave
   * behind. It stays fenced and read-only.
   */
  uninterruptible(): AwsClient;
  /** Returns the ARN of the credentials of an account, as GetCallerIdentity reported it; undefined before the first call. */
  callerArn(account?: string): string | undefined;
  /** Returns the time of AWS, in milliseconds since 1970. */
  now(): number;
  /**
   * Returns what the client calls.
   *
   * @throws UserError when the settings of the SDK name no valid endpoint.
   */
  endpoint(): Promise<Endpoint>;
  calls: CallCounts;
}

export interface CallCounts {
  reads: number;
  writes: number;
  /** Attempts by operation, for example `s3:GetBucketVersioning`. */
  byOperation: Map<string, number>;
}

/** A failed attempt that replikey retries. */
export interface RetryEvent {
  operation: string;
  region: string;
  reason: string;
  attempt: number;
  /** Whether AWS throttled the attempt. */
  isThrottle: boolean;
}

export interface AwsClientOptions {
  clients: SdkClients;
  accounts: readonly Account[];
  /** The account, by its id (12 digits), to which the ambient credentials must belong; absent: any account. */
  expectedAccount?: ExpectedAccount;
  /** Region of the calls that name no account and Region. */
  region: string;
  signal?: AbortSignal;
  /** Called before each wait for another attempt. */
  onRetry?: (event: RetryEvent) => void;
  /** Time limit for the retries of a call, in milliseconds; default: 60,000. */
  retryTimeoutMs?: number;
  /** Whether each role and each alarm is read on its own. Recording and replaying a snapshot need it. */
  disableBatching?: boolean;
}

/** An account id (12 digits), and what requires it: `--account requires`. */
export interface ExpectedAccount {
  id: string;
  requiredBy: string;
}

export function createAwsClient(options: AwsClientOptions): AwsClient {
  const { clients, accounts, expectedAccount } = options;
  const calls: CallCounts = { reads: 0, writes: 0, byOperation: new Map() };
  const rateLimiter = createRateLimiter((error) => classifyError(error) === 'throttle', options.signal);
  const accountIds = new Map<string, Promise<string>>();
  const callerArns = new Map<string, string>();

  async function sendWithRetry<O>(location: Location, command: Command<O>, control: CallControl): Promise<O> {
    const { signal, assertLeader } = control;
    const { service, operation } = commandInfo(command);
    // The SDK adds a middleware stack to each command. replikey does not use it, and it is most of the memory of a
    // queued command.
    Object.assign(command, { middlewareStack: undefined });
    const sendOnce = async (): Promise<O> => {
      // Checked before every attempt, so that an interrupted run finishes the call in flight and starts no other.
      signal?.throwIfAborted();
      const assertMayWrite = isReadOperation(operation) ? undefined : assertLeader;
      assertMayWrite?.();
      countCall(
        calls,
        `${service}:${operation}`,
        isReadOperation(operation) || isMessageOperation(operation),
      );
      try {
        const response = (await clients.get(service, location).send(command, assertMayWrite)) as O;
        validateResponse(command, response);
        return response;
      } catch (error) {
        throw redactError(error);
      }
    };
    // A call that waits for a retry does not occupy a concurrency slot.
    const limitedAttempt = () => rateLimiter.schedule(service, location, operation, sendOnce);
    const shouldRetry = (error: Error) => isRetryable(error, operation);
    const onRetry = (error: Error, attempt: number) =>
      options.onRetry?.({
        operation: `${service}:${operation}`,
        region: location.region,
        reason: formatNameAndMessage(error),
        attempt,
        isThrottle: classifyError(error) === 'throttle',
      });
    const timeoutMs = options.retryTimeoutMs ?? 60_000;
    try {
      return await retry(limitedAttempt, {
        timeoutMs,
        maxDelayMs: 5_000,
        retries: 8,
        signal,
        shouldRetry,
        onRetry,
      });
    } catch (error) {
      if (error instanceof UnreachableEndpointError)
        throw new UserError(EXIT.failed, error.message, { cause: error });
      if (
        !control.isProbe &&
        mayBeDisabledRegion(error) &&
        (await hasValidCredentialsElsewhere(location, control))
      ) {
        const regionError = new RegionNotEnabledError(location.region, error);
        recordFailedCall(regionError, command, location);
        throw regionError;
      }
      recordFailedCall(error, command, location);
      if (classifyError(error) === 'credentials')
        throw new UserError(EXIT.credentials, formatAwsError(error), { cause: error });
      throw error;
    }
  }

  const probes = new Map<string, Promise<boolean>>();

  /** Returns whether the credentials that AWS refused in a Region are valid in another one. Concurrent calls share a probe. */
  function hasValidCredentialsElsewhere(
    { account, region }: Location,
    control: CallControl,
  ): Promise<boolean> {
    // The Region of the global services is enabled in every account.
    const otherRegions = [...new Set([options.region, globalRegionOf(region)])].filter(
      (other) => other !== region && partitionOfRegion(other) === partitionOfRegion(region),
    );
    const isValidIn = async (otherRegion: string): Promise<boolean> => {
      const location = omitUndefined({ account, region: otherRegion });
      const call = sendWithRetry(location, new GetCallerIdentityCommand({}), { ...control, isProbe: true });
      return call.then(
        () => true,
        () => false,
      );
    };
    const probeInOrder = async (): Promise<boolean> => {
      for (const otherRegion of otherRegions) if (await isValidIn(otherRegion)) return true;
      return false;
    };
    const key = JSON.stringify([account, region]);
    const probe = probes.get(key) ?? probeInOrder().finally(() => probes.delete(key));
    probes.set(key, probe);
    return probe;
  }

  async function fetchAccountId(account: string | undefined, send: Aws['send']): Promise<string> {
    const identify = (region: string) =>
      send(omitUndefined({ account, region }), new GetCallerIdentityCommand({}));
    const { Account: id = '', Arn: arn } = await identify(options.region).catch((error) => {
      if (error instanceof RegionNotEnabledError) return identify(globalRegionOf(options.region));
      throw error;
    });
    const declaredId = declaredIdOf(account);
    if (declaredId !== undefined && declaredId !== id) {
      const requirement =
        account === undefined
          ? `the ambient credentials belong to ${id}, but ${expectedAccount?.requiredBy} ${declaredId}`
          : `the credentials of account "${account}" belong to ${id}, but its Account document declares ${declaredId}`;
      throw new UserError(
        EXIT.credentials,
        `wrong account: ${requirement}; nothing was read or changed there`,
      );
    }
    if (arn !== undefined) callerArns.set(account ?? '', arn);
    return id;
  }

  /** Returns the id to which the credentials of an account must belong. */
  const declaredIdOf = (account: string | undefined): string | undefined =>
    account === undefined ? expectedAccount?.id : accounts.find(({ name }) => name === account)?.id;

  const hasCredentials = (account: string | undefined): boolean =>
    account === undefined || accounts.find(({ name }) => name === account)?.managed === true;

  function cachedAccountId(account: string | undefined, send: Aws['send']): Promise<string> {
    const name = account ?? '';
    const cached = accountIds.get(name);
    if (cached) return cached;
    const accountId = fetchAccountId(account, send);
    accountIds.set(name, accountId);
    // A failed lookup is not cached, so a later call can succeed.
    accountId.catch(() => accountIds.delete(name));
    return accountId;
  }

  let endpointPromise: Promise<Endpoint> | undefined;
  const endpoint = (): Promise<Endpoint> => {
    endpointPromise ??= clients.endpoint().catch((error: Error) => {
      throw new UserError(EXIT.failed, `cannot determine the endpoint: ${error.message}`, { cause: error });
    });
    return endpointPromise;
  };

  /** Creates a client. A client derived from it keeps its decorators, its signal and its fence. */
  function clientFor(control: CallControl, decorate = (send: Aws['send']) => send): AwsClient {
    const send = decorate((location, command) => sendWithRetry(location, command, control));
    const decorated = (decorator: typeof decorate) =>
      clientFor(control, (inner) => decorator(decorate(inner)));
    const client: AwsClient = {
      send,
      accountId: (account) => cachedAccountId(account, send),
      verifyAccounts: async () => {},
      callerArn: (account) => callerArns.get(account ?? ''),
      now: clients.now,
      endpoint,
      calls,
      withCache: (maxResponses) => cachedClient(client, maxResponses),
      withBatching: () =>
        options.disableBatching
          ? client
          : decorated((inner) => shareJobLists(batchAlarmReads(batchRoleReads(inner)))),
      readOnly: () => decorated(rejectWrites),
      fenced: (assertLeader) => clientFor({ ...control, assertLeader }, decorate),
      uninterruptible: () => clientFor({ ...control, signal: undefined }, decorate),
    };
    return client;
  }

  function cachedClient(base: AwsClient, maxResponses?: number): AwsClient {
    const { send } = base;
    const sendCached = cacheReads(send, maxResponses);
    const verifications = new Map<string | undefined, Promise<unknown>>();
    // Verifies the account in parallel with the first read, which saves one round trip per pass.
    const startVerification = (account: string | undefined): string | undefined => {
      const declaredId = declaredIdOf(account);
      if (declaredId === undefined || !hasCredentials(account) || verifications.has(account))
        return declaredId;
      const verification = cachedAccountId(account, send);
      // verifyAccounts() throws it.
      verification.catch(() => {});
      verifications.set(account, verification);
      return declaredId;
    };
    const verifyAccounts = async (): Promise<void> => {
      for (const [account, verification] of verifications) {
        await verification.catch((error) => {
          if (error instanceof UserError) throw error;
          const reason = formatAwsError(error);
          const hint =
            account === undefined
              ? ''
              : `. If others manage the account ${account}, set managed: false in its Account document: replikey then applies this side, role included, and prints the steps for theirs`;
          throw new UserError(
            EXIT.failed,
            `cannot determine the account of the credentials: ${reason}${hint}`,
            { cause: error },
          );
        });
      }
    };
    const client: AwsClient = {
      ...base,
      send(location, command) {
        startVerification(location.account);
        return sendCached(location, command);
      },
      accountId: async (account) => startVerification(account) ?? cachedAccountId(account, send),
      verifyAccounts,
      withCache: () => client,
    };
    return client;
  }

  return clientFor({ signal: options.signal, assertLeader: () => {} });
}

/** What decides whether an attempt of a call may start. */
interface CallControl {
  /** Absent: an interruption does not stop the calls. */
  signal: AbortSignal | undefined;
  /** Called before each attempt of a write. Throws if this process may not write. */
  assertLeader: () => void;
  /** Whether the call itself finds out whether credentials are valid in a Region. */
  isProbe?: boolean;
}

/** Caches reads. A cache with a limit outlives a failure of AWS, so it does not keep the errors that a retry may pass. */
function cacheReads(send: Aws['send'], maxResponses = Number.POSITIVE_INFINITY): Aws['send'] {
  const responses = new Map<string, Promise<unknown>>();
  const isBounded = Number.isFinite(maxResponses);
  const forgetFailure = (key: string, response: Promise<unknown>): void => {
    response.catch((error) => {
      // A UserError reports credentials or an endpoint, which may work again.
      const mayPass = error instanceof UserError || classifyError(error) !== 'final';
      if (mayPass && responses.get(key) === response) responses.delete(key);
    });
  };
  return <O>(location: Location, command: Command<O>): Promise<O> => {
    const { service, operation, input } = commandInfo(command);
    // A sample reads many large pages of versions, each once.
    if (!isReadOperation(operation) || operation === 'ListObjectVersions') return send(location, command);
    const key = JSON.stringify([service, operation, location.account, location.region, input]);
    const cached = responses.get(key);
    const response = cached ?? send(location, command);
    if (isBounded) {
      // A Map iterates in the order of insertion, so the first entry is the one that was used the longest time ago.
      responses.delete(key);
      if (!cached) forgetFailure(key, response);
      const [oldest] = responses.keys();
      if (responses.size >= maxResponses && oldest !== undefined) responses.delete(oldest);
    }
    responses.set(key, response);
    return response as Promise<O>;
  };
}

function rejectWrites(send: Aws['send']): Aws['send'] {
  return async (location, command) => {
    const { service, operation } = commandInfo(command);
    if (!isReadOperation(operation))
      throw new Error(`read-only client: refused the write ${service}:${operation}`);
    return send(location, command);
  };
}

function countCall(calls: CallCounts, operation: string, isRead: boolean): void {
  if (isRead) calls.reads += 1;
  else calls.writes += 1;
  calls.byOperation.set(operation, (calls.byOperation.get(operation) ?? 0) + 1);
}
