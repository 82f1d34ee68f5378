import { randomUUID } from 'node:crypto';
import type { MessageAttribute, MessageState, QueueState } from '../state.ts';
import type { Store } from '../store.ts';
import { sqsError } from './errors.ts';
import { isFifo, numericAttributeOf } from './numeric-attributes.ts';

/** Messages of a queue: added, received, removed and expired. All changes are synchronous. */

export interface NewMessage extends Pick<MessageState, 'body' | 'sender'> {
  attributes?: Record<string, MessageAttribute>;
  delayMs?: number;
  groupId?: string;
  deduplicationId?: string;
  sequenceNumber?: string;
}

/** Limits of a queue, which bound the memory of the sandbox. A queue of AWS has no limit. */
const MAX_QUEUE = { messages: 200_000, characters: 256 * 1024 * 1024 };

/** @throws AwsError OverLimit when the queue is full. */
export function addMessage(
  store: Store,
  queue: QueueState,
  { delayMs = 0, ...message }: NewMessage,
  now: number,
): MessageState {
  removeExpiredMessages(store, queue, now);
  const size = sizeOf(queue);
  if (size.messages >= MAX_QUEUE.messages || size.characters + message.body.length > MAX_QUEUE.characters)
    throw sqsError('OverLimit', `The sandbox keeps no more messages in the queue ${queue.name}.`, {
      status: 403,
    });
  const state: MessageState = {
    id: randomUUID(),
    ...message,
    sent: now,
    visibleFrom: now + delayMs,
    receiveCount: 0,
  };
  queue.messages.set(state.id, state);
  size.messages += 1;
  size.characters += state.body.length;
  store.markMessageChanged(queue, state.id);
  return state;
}

export function removeMessage(store: Store, queue: QueueState, { id, body }: MessageState): void {
  const size = sizeOf(queue);
  size.messages -= 1;
  size.characters -= body.length;
  queue.messages.delete(id);
  store.markMessageChanged(queue, id);
}

/** Removes the messages that are older than the retention period of the queue. */
export function removeExpiredMessages(store: Store, queue: QueueState, now: number): void {
  const oldest = now - numericAttributeOf(queue, 'MessageRetentionPeriod') * 1000;
  for (const message of queue.messages.values()) {
    if (message.sent >= oldest) break;
    removeMessage(store, queue, message);
  }
}

/**
 * Returns up to `limit` visible messages, and hides them from other receivers. A FIFO queue returns no message of a group
 * while an earlier message of this group is hidden.
 */
export function takeMessages(
  store: Store,
  queue: QueueState,
  { limit, visibilityMs }: { limit: number; visibilityMs: number },
  now: number,
): MessageState[] {
  removeExpiredMessages(store, queue, now);
  const received: MessageState[] = [];
  const blockedGroups = new Set<string | undefined>();
  for (const message of inOrder(queue)) {
    if (received.length === limit) break;
    if (message.visibleFrom > now || blockedGroups.has(message.groupId)) {
      if (isFifo(queue)) blockedGroups.add(message.groupId);
      continue;
    }
    message.receiveCount += 1;
    message.firstReceived ??= now;
    message.visibleFrom = now + visibilityMs;
    store.markMessageChanged(queue, message.id);
    received.push(message);
  }
  return received;
}

/** After a failed commit, the store restores removed messages at the end of the map. */
const inOrder = (queue: QueueState): Iterable<MessageState> =>
  isFifo(queue)
    ? [...queue.messages.values()].sort((a, b) =>
        (a.sequenceNumber ?? '').localeCompare(b.sequenceNumber ?? ''),
      )
    : queue.messages.values();

/** Returns the time until the next hidden message becomes visible, in milliseconds; Infinity if none is hidden. */
export function msUntilVisible({ messages }: QueueState, now: number): number {
  let earliest = Number.POSITIVE_INFINITY;
  for (const { visibleFrom } of messages.values())
    if (visibleFrom > now) earliest = Math.min(earliest, visibleFrom);
  return earliest - now;
}

export function countMessages(
  { messages }: QueueState,
  now: number,
): { visible: number; inFlight: number; delayed: number } {
  const counts = { visible: 0, inFlight: 0, delayed: 0 };
  for (const { visibleFrom, receiveCount } of messages.values())
    counts[visibleFrom <= now ? 'visible' : receiveCount > 0 ? 'inFlight' : 'delayed'] += 1;
  return counts;
}

interface QueueSize {
  messages: number;
  characters: number;
}

/** By the map of messages, because the store replaces the state of a queue after a failed commit. */
const sizes = new WeakMap<QueueState['messages'], QueueSize>();

/** Returns the size of a queue. Counts again after the store has undone changes. */
function sizeOf({ messages }: QueueState): QueueSize {
  const counted = sizes.get(messages);
  if (counted?.messages === messages.size) return counted;
  const size = { messages: messages.size, characters: 0 };
  for (const { body } of messages.values()) size.characters += body.length;
  sizes.set(messages, size);
  return size;
}
