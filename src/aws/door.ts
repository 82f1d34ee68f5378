import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import pLimit from 'p-limit';
import { stableJson } from '../core/canonical.ts';
import type { Aws, Command, Place } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import type { Account } from '../spec/types.ts';
import { classify } from './classify.ts';
import type { Clients, Service } from './clients.ts';
import { describeError, nameAndMessage } from './describe-error.ts';
import { patiently } from './patiently.ts';

/** The one door to AWS: everything that is sent goes through here, is counted, and is tried again where that helps. */
export interface Door extends Aws {
  /** The same door for one pass of reads: identical reads are sent once. */
  sharing(): Door;
  /** A door that cannot write: what a plan is made through. */
  readOnly(): Door;
  /** A door that asks before every attempt of a call that writes; what it throws is not tried again. */
  guarded(beforeWrite: () => void): Door;
  /** A door that an interruption does not close: for removing what a run made and must not leave behind. */
  finishing(): Door;
  calls: Calls;
}

export interface Calls {
  reads: number;
  writes: number;
  /** Attempts by operation, `s3:GetBucketVersioning`. */
  byOperation: Map<string, number>;
}

/** An attempt that is repeated. */
export interface Retried {
  operation: string;
  region: string;
  reason: string;
  attempt: number;
  /** Whether AWS asked for it. */
  isThrottle: boolean;
}

export interface DoorOptions {
  clients: Clients;
  accounts: readonly Account[];
  /** Region of the calls that have none of their own. */
  region: string;
  signal?: AbortSignal;
  /** Told before each wait for another attempt. */
  onRetry?: (what: Retried) => void;
  /** Milliseconds after which a call is not tried again. */
  retryForMs?: number;
}

/** Operations that only read; a dry run may send nothing else. */
export const isRead = (operation: string): boolean => /^(Get|List|Head|Describe)/.test(operation);

const CONCURRENT = 50;

export function createDoor(options: DoorOptions): Door {
  const { clients, accounts } = options;
  const calls: Calls = { reads: 0, writes: 0, byOperation: new Map() };
  const limit = pLimit(CONCURRENT);
  const owners = new Map<string, Promise<string>>();

  async function send<O>(
    at: Place,
    command: Command<O>,
    signal = options.signal,
    beforeWrite = () => {},
  ): Promise<O> {
    const { service, operation } = nameOf(command);
    const attempt = async (): Promise<O> => {
      // Checked before every attempt, so that an interrupted run finishes the call in flight and starts no other.
      signal?.throwIfAborted();
      if (!isRead(operation)) beforeWrite();
      count(calls, `${service}:${operation}`, isRead(operation));
      return (await clients.get(service, at).send(command)) as O;
    };
    const again = (error: Error) => retryable(error) && !(ambiguous(error) && ONCE.has(operation));
    const onAgain = (error: Error, attempt: number) =>
      options.onRetry?.({
        operation: `${service}:${operation}`,
        region: at.region,
        reason: nameAndMessage(error),
        attempt,
        isThrottle: classify(error) === 'throttle',
      });
    const forMs = options.retryForMs ?? 60_000;
    const retrying = () =>
      patiently(attempt, { forMs, longestMs: 5_000, retries: 8, signal, again, onAgain });
    try {
      return await limit(retrying);
    } catch (error) {
      if (classify(error) === 'credentials') {
        throw new UserError(EXIT.credentials, describeError(error, `${service}:${operation}`, at), {
          cause: error,
        });
      }
      throw error;
    }
  }

  async function identify(account: string | undefined, sender: Aws['send']): Promise<string> {
    const at = account === undefined ? { region: options.region } : { account, region: options.region };
    const { Account: id = '' } = await sender(at, new GetCallerIdentityCommand({}));
    const declared = accounts.find(({ name }) => name === account);
    if (declared && declared.id !== id) {
      throw new UserError(
        EXIT.credentials,
        `the credentials of account "${account}" belong to ${id}, but its document says ${declared.id}: nothing was read or changed there`,
      );
    }
    return id;
  }

  function accountId(account: string | undefined, sender: Aws['send']): Promise<string> {
    const name = account ?? '';
    const known = owners.get(name);
    if (known) return known;
    const asked = identify(account, sender);
    owners.set(name, asked);
    // What could not be told now may be told later.
    asked.catch(() => owners.delete(name));
    return asked;
  }

  const door = (sender: Aws['send']): Door => ({
    send: sender,
    accountId: (account) => accountId(account, sender),
    calls,
    sharing: () => door(sharing(sender)),
    readOnly: () => door(readOnly(sender)),
    guarded: (beforeWrite) => door((at, command) => send(at, command, options.signal, beforeWrite)),
    finishing: () => door((at, command) => send(at, command, new AbortController().signal)),
  });
  return door((at, command) => send(at, command));
}

function sharing(send: Aws['send']): Aws['send'] {
  const answers = new Map<string, Promise<unknown>>();
  return <O>(at: Place, command: Command<O>): Promise<O> => {
    const { service, operation, input } = nameOf(command);
    if (!isRead(operation)) return send(at, command);
    const key = stableJson([service, operation, at, input]);
    const answer = answers.get(key) ?? send(at, command);
    answers.set(key, answer);
    return answer as Promise<O>;
  };
}

function readOnly(send: Aws['send']): Aws['send'] {
  return async (at, command) => {
    const { service, operation } = nameOf(command);
    if (!isRead(operation)) throw new Error(`a dry run tried to send ${service}:${operation}`);
    return send(at, command);
  };
}

/** Service and operation of an SDK command: its schema says both. */
export function nameOf(command: object): { service: Service; operation: string; input: unknown } {
  const { schema, input } = command as { schema?: [unknown, string, string]; input?: unknown };
  const [, namespace = '', operation = ''] = schema ?? [];
  return { service: namespace.slice('com.amazonaws.'.length) as Service, operation, input };
}

function count(calls: Calls, operation: string, read: boolean): void {
  if (read) calls.reads += 1;
  else calls.writes += 1;
  calls.byOperation.set(operation, (calls.byOperation.get(operation) ?? 0) + 1);
}

const retryable = (error: unknown): boolean =>
  ['throttle', 'transient', 'conflict'].includes(classify(error));

/** Operations that do something more each time they are sent: whoever sends one looks first whether it was done. */
const ONCE: ReadonlySet<string> = new Set(['CreateKey']);

/** A failure that leaves open whether the call was carried out: its answer was lost. */
const ambiguous = (error: unknown): boolean => classify(error) === 'transient';
