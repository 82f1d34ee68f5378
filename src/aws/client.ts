import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import type { Aws, Command, Location } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import type { Account } from '../spec/types.ts';
import { commandInfo, isReadOperation } from './command.ts';
import { classifyError, formatAwsError, formatNameAndMessage, redactError } from './errors.ts';
import { createRateLimiter } from './rate-limiter.ts';
import { validateResponse } from './response.ts';
import { isRetryable, retry } from './retry.ts';
import { batchRoleReads } from './role-batcher.ts';
import type { SdkClients } from './sdk-clients.ts';

/** The one door to AWS: everything that is sent goes through here, is counted, and is tried again where that helps. */
export interface AwsClient extends Aws {
  /** The same door for some reads that belong together: identical ones are sent once. */
  withCache(): AwsClient;
  /** The same door for one pass: many roles are read in one listing. */
  withRoleBatching(): AwsClient;
  /** A door that cannot write: what a plan is made through. */
  readOnly(): AwsClient;
  /** A door that asks before every attempt of a call that writes; what it throws is not tried again. */
  fenced(assertLeader: () => void): AwsClient;
  /**
   * Resolves when the credentials of each account that was read in are those of the declared account; a door that shares
   * takes documents at their word until then.
   *
   * @throws UserError when they are not, or nobody can tell.
   */
  verifyAccounts(): Promise<void>;
  /** A door that an interruption does not close: for removing what a run made and must not leave behind. */
  uninterruptible(): AwsClient;
  calls: CallCounts;
}

export interface CallCounts {
  reads: number;
  writes: number;
  /** Attempts by operation, `s3:GetBucketVersioning`. */
  byOperation: Map<string, number>;
}

/** An attempt that is repeated. */
export interface RetryEvent {
  operation: string;
  region: string;
  reason: string;
  attempt: number;
  /** Whether AWS asked for it. */
  isThrottle: boolean;
}

export interface AwsClientOptions {
  clients: SdkClients;
  accounts: readonly Account[];
  /** Region of the calls that have none of their own. */
  region: string;
  signal?: AbortSignal;
  /** Told before each wait for another attempt. */
  onRetry?: (event: RetryEvent) => void;
  /** Milliseconds after which a call is not tried again. */
  retryTimeoutMs?: number;
  /** Whether each role is read on its own, as who answers from a recording needs it. */
  disableRoleBatching?: boolean;
}

export function createAwsClient(options: AwsClientOptions): AwsClient {
  const { clients, accounts } = options;
  const calls: CallCounts = { reads: 0, writes: 0, byOperation: new Map() };
  const rateLimiter = createRateLimiter((error) => classifyError(error) === 'throttle', options.signal);
  const accountIds = new Map<string, Promise<string>>();

  async function sendWithRetry<O>(
    location: Location,
    command: Command<O>,
    signal = options.signal,
    assertLeader = () => {},
  ): Promise<O> {
    const { service, operation } = commandInfo(command);
    // Each command comes with a chain of middleware that nobody here uses: most of what one weighs while it waits its turn.
    Object.assign(command, { middlewareStack: undefined });
    const sendOnce = async (): Promise<O> => {
      // Checked before every attempt, so that an interrupted run finishes the call in flight and starts no other.
      signal?.throwIfAborted();
      const assertMayWrite = isReadOperation(operation) ? undefined : assertLeader;
      assertMayWrite?.();
      countCall(calls, `${service}:${operation}`, isReadOperation(operation));
      try {
        const response = (await clients.get(service, location).send(command, assertMayWrite)) as O;
        validateResponse(command, response);
        return response;
      } catch (error) {
        throw redactError(error);
      }
    };
    // Who waits for another attempt is in nobody's way.
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
      if (classifyError(error) === 'credentials') {
        throw new UserError(EXIT.credentials, formatAwsError(error, `${service}:${operation}`, location), {
          cause: error,
        });
      }
      throw error;
    }
  }

  async function fetchAccountId(account: string | undefined, send: Aws['send']): Promise<string> {
    const location = account === undefined ? { region: options.region } : { account, region: options.region };
    const { Account: id = '' } = await send(location, new GetCallerIdentityCommand({}));
    const declared = accounts.find(({ name }) => name === account);
    if (declared && declared.id !== id) {
      throw new UserError(
        EXIT.credentials,
        `the credentials of account "${account}" belong to ${id}, but its document says ${declared.id}: nothing was read or changed there`,
      );
    }
    return id;
  }

  function cachedAccountId(account: string | undefined, send: Aws['send']): Promise<string> {
    const name = account ?? '';
    const cached = accountIds.get(name);
    if (cached) return cached;
    const accountId = fetchAccountId(account, send);
    accountIds.set(name, accountId);
    // What could not be told now may be told later.
    accountId.catch(() => accountIds.delete(name));
    return accountId;
  }

  const toClient = (send: Aws['send'], accountId: Aws['accountId']): AwsClient => ({
    send: send,
    accountId,
    verifyAccounts: async () => {},
    calls,
    withCache: () => cachedClient(send),
    withRoleBatching: () =>
      options.disableRoleBatching ? toClient(send, accountId) : toClient(batchRoleReads(send), accountId),
    readOnly: () => toClient(rejectWrites(send), accountId),
    fenced: (assertLeader) =>
      clientFor((location, command) => sendWithRetry(location, command, options.signal, assertLeader)),
    uninterruptible: () =>
      clientFor((location, command) => sendWithRetry(location, command, new AbortController().signal)),
  });

  function cachedClient(send: Aws['send']): AwsClient {
    const sendCached = cacheReads(send);
    const verifications = new Map<string, Promise<unknown>>();
    // Asked beside the first read in an account, which spares a pass one round trip.
    const startVerification = (account: string | undefined): Account | undefined => {
      const declared = accounts.find(({ name }) => name === account);
      if (!declared?.managed || verifications.has(declared.name)) return declared;
      const verification = cachedAccountId(declared.name, send);
      // Thrown by identified(), whenever that is waited for.
      verification.catch(() => {});
      verifications.set(declared.name, verification);
      return declared;
    };
    const verifyAccounts = async (): Promise<void> => {
      for (const [account, verification] of verifications) {
        await verification.catch((error) => {
          if (error instanceof UserError) throw error;
          const reason = formatAwsError(error, 'sts:GetCallerIdentity', { account, region: options.region });
          throw new UserError(EXIT.failed, `nobody can tell whose credentials these are: ${reason}`, {
            cause: error,
          });
        });
      }
    };
    const client: AwsClient = {
      ...toClient(
        (location, command) => {
          startVerification(location.account);
          return sendCached(location, command);
        },
        async (account) => startVerification(account)?.id ?? cachedAccountId(account, send),
      ),
      verifyAccounts,
      withCache: () => client,
    };
    return client;
  }

  const clientFor = (send: Aws['send']): AwsClient =>
    toClient(send, (account) => cachedAccountId(account, send));
  return clientFor((location, command) => sendWithRetry(location, command));
}

function cacheReads(send: Aws['send']): Aws['send'] {
  const responses = new Map<string, Promise<unknown>>();
  return <O>(location: Location, command: Command<O>): Promise<O> => {
    const { service, operation, input } = commandInfo(command);
    if (!isReadOperation(operation)) return send(location, command);
    const key = JSON.stringify([service, operation, location.account, location.region, input]);
    const response = responses.get(key) ?? send(location, command);
    responses.set(key, response);
    return response as Promise<O>;
  };
}

function rejectWrites(send: Aws['send']): Aws['send'] {
  return async (location, command) => {
    const { service, operation } = commandInfo(command);
    if (!isReadOperation(operation)) throw new Error(`a dry run tried to send ${service}:${operation}`);
    return send(location, command);
  };
}

function countCall(calls: CallCounts, operation: string, isRead: boolean): void {
  if (isRead) calls.reads += 1;
  else calls.writes += 1;
  calls.byOperation.set(operation, (calls.byOperation.get(operation) ?? 0) + 1);
}
