import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import type { Queue, ReceivedMessage, SqsModule } from '../aws/sqs.ts';
import type { Location } from '../core/resource.ts';
import { locationOfArn, locationsOf } from '../facts/locations.ts';
import type { Specs } from '../spec/types.ts';
import type { QueueAddress } from '../util/arn.ts';
import { backoffMs, type Clock, sleep } from '../util/clock.ts';
import type { WorkItem } from './work-items.ts';

/** What happens to a message: it is deleted, is left for another process, or stays for the dead-letter queue. */
export type Disposition = 'handled' | 'elsewhere' | 'unknown';

/** Queues of events, and how they are read. */
export interface QueueSource {
  queues: readonly QueueAddress[];
  /** How long a call waits for messages, in seconds: at most 20. */
  waitSeconds: number;
  /** Loads the SQS client when the controller starts to receive. */
  loadSqs(): Promise<SqsModule>;
}

export interface QueueConsumerOptions {
  /** What the queue contains, for messages: `failure events`. */
  contents: string;
  queue(): Queue;
  /** How long a call waits for messages, in seconds: at most 20. */
  waitSeconds: number;
  loadSqs(): Promise<SqsModule>;
  client(): AwsClient;
  clock: Clock;
  /** Returns a number from 0 up to, but not including, 1. */
  random: () => number;
  /** Whether this process may receive messages now. */
  isActive(): boolean;
  /** Counts a message, before it is deleted. Must not throw. */
  handle(message: ReceivedMessage): Disposition;
  /** Called after the messages of a call are counted. */
  onBatch(): void;
  /** Called after each call for messages, with the reason if it failed. */
  onReceive?(failure?: string): void;
  warn(message: string): void;
  /** Ends the consumer. */
  signal: AbortSignal;
}

/** How often a standby checks whether it may receive messages, and the pause after a call that returned immediately. */
const STANDBY_MS = 1_000;
const MIN_POLL_MS = 1_000;

const MAX_PAUSE_MS = 60_000;

/** The most messages of a call. More of them wait if a call returns as many. */
const FULL_BATCH = 10;

/** Calls that receive a backlog concurrently. */
const BACKLOG_WORKERS = 8;

/** Seconds until another process can receive a message that this one returns. */
const RETURN_SECONDS = 5;

/**
 * Receives the messages of a queue until the signal aborts. Deletes a message only after it was counted, so that a
 * message may be counted twice but is not lost. A message that is received but not handled becomes visible again: a stop
 * need not wait for the call in flight.
 */
export async function consumeQueue(options: QueueConsumerOptions): Promise<void> {
  const { clock, random, signal, warn } = options;
  let failures = 0;
  while (!signal.aborted) {
    if (!options.isActive()) {
      await sleep(clock, STANDBY_MS, signal);
      continue;
    }
    const startedAt = clock.monotonicNow();
    try {
      const batch = await receiveBatch(options, options.waitSeconds);
      options.onReceive?.();
      if (batch.isFull) await receiveBacklog(options);
      failures = 0;
      const isFast = clock.monotonicNow() - startedAt < MIN_POLL_MS;
      // An endpoint without long polling would otherwise be called without a pause.
      if (batch.handled === 0 && isFast) await sleep(clock, MIN_POLL_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      const reason = formatAwsError(error).replace(/, request [\w/+=-]+/g, '');
      warn(`cannot receive ${options.contents}: ${reason}`);
      options.onReceive?.(reason);
      await sleep(clock, Math.min(backoffMs(failures, random()), MAX_PAUSE_MS), signal);
    }
  }
}

/** Receives concurrently while each call returns as many messages as it may. Does not wait for messages. */
async function receiveBacklog(options: QueueConsumerOptions): Promise<void> {
  const work = async () => {
    while (!options.signal.aborted && options.isActive()) {
      const { isFull, handled } = await receiveBatch(options, 0);
      if (!isFull || handled === 0) return;
    }
  };
  await Promise.all(Array.from({ length: BACKLOG_WORKERS }, work));
}

/** Receives and handles the messages of one call. Returns the number of those that it handled. */
async function receiveBatch(
  options: QueueConsumerOptions,
  waitSeconds: number,
): Promise<{ handled: number; isFull: boolean }> {
  const { client, signal, warn } = options;
  const queue = options.queue();
  const sqs = await options.loadSqs();
  const messages = await unlessAborted(sqs.receiveMessages(client(), queue, waitSeconds), signal);
  const byDisposition: Record<Disposition, ReceivedMessage[]> = { handled: [], elsewhere: [], unknown: [] };
  for (const message of messages) byDisposition[options.handle(message)].push(message);
  const { handled, elsewhere } = byDisposition;
  if (handled.length > 0) {
    options.onBatch();
    // A stop must not leave messages that are counted: the next process would count them again.
    const failed = await sqs.deleteMessages(client().uninterruptible(), queue, handled);
    if (failed.length > 0) warn(`cannot delete ${failed.length} ${options.contents}: ${failed[0]}`);
  }
  if (elsewhere.length > 0)
    await sqs.returnMessages(client().uninterruptible(), queue, elsewhere, RETURN_SECONDS);
  return { handled: handled.length, isFull: messages.length === FULL_BATCH };
}

/** Returns the messages of a call; none when the signal aborts first. */
function unlessAborted(
  receiving: Promise<ReceivedMessage[]>,
  signal: AbortSignal,
): Promise<ReceivedMessage[]> {
  return new Promise((resolve, reject) => {
    const stop = () => resolve([]);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    receiving.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/** Whether this process may receive: it leads at least one of the pairs that it handles. */
export const isLeaderForAny = ({
  items,
  isLeaderFor,
}: {
  items(): { assigned: ReadonlyMap<string, WorkItem> };
  isLeaderFor(item: WorkItem): boolean;
}): boolean => [...items().assigned.values()].some(isLeaderFor);

/** Returns the location of a queue, whose account is that of a managed Account document, or of the ambient credentials. */
export function locationOfQueue({ arn, region }: QueueAddress, specs: Specs | undefined): Location {
  return specs ? locationOfArn(arn, locationsOf(specs, region), region) : { region };
}
