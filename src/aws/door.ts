import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import type { Aws, Command, Place } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import type { Account } from '../spec/types.ts';
import { checkAnswer } from './answer-form.ts';
import { classify } from './classify.ts';
import type { Clients } from './clients.ts';
import { describeError, nameAndMessage } from './describe-error.ts';
import { isRead, nameOf } from './operation.ts';
import { createPace } from './pace.ts';
import { patiently } from './patiently.ts';
import { rolesInBulk } from './roles-in-bulk.ts';
import { withoutEcho } from './without-echo.ts';

/** The one door to AWS: everything that is sent goes through here, is counted, and is tried again where that helps. */
export interface Door extends Aws {
  /** The same door for some reads that belong together: identical ones are sent once. */
  sharing(): Door;
  /** The same door for one pass: many roles are read in one listing. */
  listing(): Door;
  /** A door that cannot write: what a plan is made through. */
  readOnly(): Door;
  /** A door that asks before every attempt of a call that writes; what it throws is not tried again. */
  guarded(beforeWrite: () => void): Door;
  /**
   * Resolves when the credentials of each account that was read in are those of the declared account; a door that shares
   * takes documents at their word until then.
   *
   * @throws UserError when they are not, or nobody can tell.
   */
  identified(): Promise<void>;
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
  /** Whether each role is read on its own, as who answers from a recording needs it. */
  roleByRole?: boolean;
}

export function createDoor(options: DoorOptions): Door {
  const { clients, accounts } = options;
  const calls: Calls = { reads: 0, writes: 0, byOperation: new Map() };
  const pace = createPace((error) => classify(error) === 'throttle', options.signal);
  const owners = new Map<string, Promise<string>>();

  async function send<O>(
    at: Place,
    command: Command<O>,
    signal = options.signal,
    beforeWrite = () => {},
  ): Promise<O> {
    const { service, operation } = nameOf(command);
    // Each command comes with a chain of middleware that nobody here uses: most of what one weighs while it waits its turn.
    Object.assign(command, { middlewareStack: undefined });
    const call = async (): Promise<O> => {
      // Checked before every attempt, so that an interrupted run finishes the call in flight and starts no other.
      signal?.throwIfAborted();
      const ask = isRead(operation) ? undefined : beforeWrite;
      ask?.();
      count(calls, `${service}:${operation}`, isRead(operation));
      try {
        const answer = (await clients.get(service, at).send(command, ask)) as O;
        checkAnswer(command, answer);
        return answer;
      } catch (error) {
        throw withoutEcho(error);
      }
    };
    // Who waits for another attempt is in nobody's way.
    const attempt = () => pace.turn(service, at, operation, call);
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
    try {
      return await patiently(attempt, { forMs, longestMs: 5_000, retries: 8, signal, again, onAgain });
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

  function asked(account: string | undefined, sender: Aws['send']): Promise<string> {
    const name = account ?? '';
    const known = owners.get(name);
    if (known) return known;
    const identified = identify(account, sender);
    owners.set(name, identified);
    // What could not be told now may be told later.
    identified.catch(() => owners.delete(name));
    return identified;
  }

  const door = (sender: Aws['send'], accountId: Aws['accountId']): Door => ({
    send: sender,
    accountId,
    identified: async () => {},
    calls,
    sharing: () => sharingDoor(sender),
    listing: () => (options.roleByRole ? door(sender, accountId) : door(rolesInBulk(sender), accountId)),
    readOnly: () => door(readOnly(sender), accountId),
    guarded: (beforeWrite) => through((at, command) => send(at, command, options.signal, beforeWrite)),
    finishing: () => through((at, command) => send(at, command, new AbortController().signal)),
  });

  function sharingDoor(sender: Aws['send']): Door {
    const shared = sharing(sender);
    const identities = new Map<string, Promise<unknown>>();
    // Asked beside the first read in an account, which spares a pass one round trip.
    const identifying = (account: string | undefined): Account | undefined => {
      const declared = accounts.find(({ name }) => name === account);
      if (!declared?.managed || identities.has(declared.name)) return declared;
      const identity = asked(declared.name, sender);
      // Thrown by identified(), whenever that is waited for.
      identity.catch(() => {});
      identities.set(declared.name, identity);
      return declared;
    };
    const identified = async (): Promise<void> => {
      for (const [account, identity] of identities) {
        await identity.catch((error) => {
          if (error instanceof UserError) throw error;
          const why = describeError(error, 'sts:GetCallerIdentity', { account, region: options.region });
          throw new UserError(EXIT.failed, `nobody can tell whose credentials these are: ${why}`, {
            cause: error,
          });
        });
      }
    };
    const itself: Door = {
      ...door(
        (at, command) => {
          identifying(at.account);
          return shared(at, command);
        },
        async (account) => identifying(account)?.id ?? asked(account, sender),
      ),
      identified,
      sharing: () => itself,
    };
    return itself;
  }

  const through = (sender: Aws['send']): Door => door(sender, (account) => asked(account, sender));
  return through((at, command) => send(at, command));
}

function sharing(send: Aws['send']): Aws['send'] {
  const answers = new Map<string, Promise<unknown>>();
  return <O>(at: Place, command: Command<O>): Promise<O> => {
    const { service, operation, input } = nameOf(command);
    if (!isRead(operation)) return send(at, command);
    const key = JSON.stringify([service, operation, at.account, at.region, input]);
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
