import { createHash } from 'node:crypto';
import type { ReceiveMessageRequest, SendMessageRequest } from '@aws-sdk/client-sqs';
import { AwsError, missingFeatureError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import type { KeyAction } from '../kms/keys.ts';
import { isManagedKey, serviceHostOf } from '../service-keys.ts';
import type { MessageState, QueueState } from '../state.ts';
import { getAuthorizedQueue } from './access.ts';
import {
  invalidValueError,
  missingParameterError,
  noSuchQueueError,
  parameterError,
  sqsError,
} from './errors.ts';
import { md5OfAttributes, toStoredAttributes } from './message-attributes.ts';
import { isFifo, numericAttributeOf } from './numeric-attributes.ts';
import { removeMessage, takeMessages } from './queue-contents.ts';
import { queueEncryptionContextOf } from './queue-service.ts';

export const messageHandlers: Handlers = {
  SendMessage(call, input: SendMessageRequest) {
    const queue = getQueueWithKey(call, input.QueueUrl ?? '', 'sqs:SendMessage', SEND_KEY_ACTIONS);
    return sendMessage(call, queue, input);
  },

  SendMessageBatch(call, { QueueUrl, Entries }) {
    const queue = getQueueWithKey(call, QueueUrl, 'sqs:SendMessage', SEND_KEY_ACTIONS);
    const entries = Entries as (SendMessageRequest & { Id: string })[];
    checkBatch(call, entries);
    const bytes = entries.reduce((total, entry) => total + sizeOfMessage(entry), 0);
    if (bytes > MAX_BATCH_BYTES) {
      throw sqsError(
        'BatchRequestTooLong',
        `Batch requests cannot be longer than ${MAX_BATCH_BYTES} bytes. You have sent ${bytes} bytes.`,
        { queryCode: 'AWS.SimpleQueueService.BatchRequestTooLong' },
      );
    }
    if (isFifo(queue)) for (const entry of entries) checkFifoFields(queue, entry, parameterError);
    return runBatch(entries, (entry) => sendMessage(call, queue, entry));
  },

  async ReceiveMessage(call, input: ReceiveMessageRequest) {
    const { MaxNumberOfMessages = 1, VisibilityTimeout, WaitTimeSeconds } = input;
    const url = input.QueueUrl ?? '';
    const queue = getQueueWithKey(call, url, 'sqs:ReceiveMessage', ['kms:Decrypt']);
    checkParameterRange(MaxNumberOfMessages, 'MaxNumberOfMessages', 1, 10);
    if (WaitTimeSeconds !== undefined) checkParameterRange(WaitTimeSeconds, 'WaitTimeSeconds', 0, 20);
    if (VisibilityTimeout !== undefined)
      checkParameterRange(VisibilityTimeout, 'VisibilityTimeout', 0, 43_200);
    const messages = await pollMessages(call, queue, {
      limit: MaxNumberOfMessages,
      visibilityMs: (VisibilityTimeout ?? numericAttributeOf(queue, 'VisibilityTimeout')) * 1000,
      waitMs: (WaitTimeSeconds ?? numericAttributeOf(queue, 'ReceiveMessageWaitTimeSeconds')) * 1000,
    });
    if (messages.length === 0) return {};
    return { Messages: messages.map((message) => toReceivedMessage(queue, message, input)) };
  },

  DeleteMessage(call, { QueueUrl, ReceiptHandle }) {
    const queue = getAuthorizedQueue(call, QueueUrl, 'sqs:DeleteMessage');
    return deleteMessage(call, queue, ReceiptHandle);
  },

  DeleteMessageBatch(call, { QueueUrl, Entries }) {
    const queue = getAuthorizedQueue(call, QueueUrl, 'sqs:DeleteMessage');
    const entries = Entries as { Id: string; ReceiptHandle: string }[];
    checkBatch(call, entries);
    return runBatch(entries, ({ ReceiptHandle }) => deleteMessage(call, queue, ReceiptHandle));
  },

  ChangeMessageVisibility(call, { QueueUrl, ReceiptHandle, VisibilityTimeout }) {
    const queue = getAuthorizedQueue(call, QueueUrl, 'sqs:ChangeMessageVisibility');
    return changeVisibility(call, queue, ReceiptHandle, VisibilityTimeout);
  },

  ChangeMessageVisibilityBatch(call, { QueueUrl, Entries }) {
    const queue = getAuthorizedQueue(call, QueueUrl, 'sqs:ChangeMessageVisibility');
    const entries = Entries as { Id: string; ReceiptHandle: string; VisibilityTimeout?: number }[];
    checkBatch(call, entries);
    return runBatch(entries, ({ ReceiptHandle, VisibilityTimeout = 0 }) =>
      changeVisibility(call, queue, ReceiptHandle, VisibilityTimeout),
    );
  },
};

const SEND_KEY_ACTIONS: KeyAction[] = ['kms:GenerateDataKey', 'kms:Decrypt'];
const MAX_BATCH_BYTES = 1_048_576;
const DEDUPLICATION_MS = 5 * 60_000;

/**
 * Returns the queue of a request. The caller has permission for the action, and for the actions on the KMS key of the queue
 * that the operation needs (SQS Developer Guide, "Configure AWS KMS permissions").
 */
function getQueueWithKey(call: Call, url: string, action: string, keyActions: KeyAction[]): QueueState {
  const queue = getAuthorizedQueue(call, url, action);
  const keyId = queue.attributes.get('KmsMasterKeyId');
  if (keyId === undefined || (isManagedKey(keyId) && call.caller.account === queue.account)) return queue;
  try {
    const request = {
      keyArn: call.keyService.resolve(keyId, queue),
      principal: call.caller.arn,
      viaService: serviceHostOf('sqs', queue.region),
      context: queueEncryptionContextOf(queue),
    };
    for (const keyAction of keyActions) call.keyService.check(request, keyAction);
  } catch (error) {
    throw error instanceof AwsError ? toKeyError(error) : error;
  }
  return queue;
}

/** Errors of SQS by the error of KMS. */
const KEY_ERRORS: Record<string, string> = {
  AccessDeniedException: 'KmsAccessDenied',
  DisabledException: 'KmsDisabled',
  InvalidKeyUsageException: 'KmsInvalidKeyUsage',
  KMSInvalidStateException: 'KmsInvalidState',
  NotFoundException: 'KmsNotFound',
};

const toKeyError = ({ code, message }: AwsError): AwsError =>
  sqsError(KEY_ERRORS[code] ?? 'KmsInvalidState', message, { queryCode: `KMS.${code}` });

function checkParameterRange(value: number, parameter: string, min: number, max: number): void {
  if (value < min || value > max)
    throw invalidValueError(value, parameter, `Must be between ${min} and ${max}, if provided.`);
}

function sendMessage(call: Call, queue: QueueState, input: SendMessageRequest) {
  const { MessageBody = '', MessageAttributes = {}, DelaySeconds, MessageSystemAttributes } = input;
  if (MessageSystemAttributes) throw missingFeatureError('MessageSystemAttributes of sqs:SendMessage');
  if (MessageBody === '') throw missingParameterError('MessageBody');
  if (DelaySeconds !== undefined) checkParameterRange(DelaySeconds, 'DelaySeconds', 0, 900);
  checkQueueType(queue, input);
  const maxBytes = numericAttributeOf(queue, 'MaximumMessageSize');
  if (sizeOfMessage(input) > maxBytes)
    throw parameterError(
      `One or more parameters are invalid. Reason: Message must be shorter than ${maxBytes} bytes.`,
    );
  checkBodyCharacters(MessageBody);
  const attributes = toStoredAttributes(MessageAttributes);
  const response = {
    MD5OfMessageBody: md5Of(MessageBody),
    ...(attributes ? { MD5OfMessageAttributes: md5OfAttributes(attributes) } : {}),
  };
  const fifo = isFifo(queue) ? fifoFieldsOf(call, queue, input) : undefined;
  if (fifo?.duplicate)
    return {
      ...response,
      MessageId: fifo.duplicate.messageId,
      SequenceNumber: fifo.duplicate.sequenceNumber,
    };
  const message = call.queues.add(queue, {
    body: MessageBody,
    sender: call.caller.userId ?? call.caller.account,
    delayMs: (DelaySeconds ?? numericAttributeOf(queue, 'DelaySeconds')) * 1000,
    ...(attributes ? { attributes } : {}),
    ...fifo?.fields,
    ...(fifo === undefined && input.MessageGroupId ? { groupId: input.MessageGroupId } : {}),
  });
  if (!fifo) return { ...response, MessageId: message.id };
  const { deduplicationId, sequenceNumber } = fifo.fields;
  queue.deduplication ??= new Map();
  queue.deduplication.set(deduplicationId, { messageId: message.id, sequenceNumber, sent: call.now });
  call.store.markChanged(queue);
  return { ...response, MessageId: message.id, SequenceNumber: sequenceNumber };
}

/** Rejects a delay for a FIFO queue, and a deduplication id for a standard queue. */
function checkQueueType(
  queue: QueueState,
  { DelaySeconds, MessageDeduplicationId }: SendMessageRequest,
): void {
  const rejected = isFifo(queue)
    ? (['DelaySeconds', DelaySeconds || undefined] as const)
    : (['MessageDeduplicationId', MessageDeduplicationId] as const);
  if (rejected[1] !== undefined)
    throw invalidValueError(
      rejected[1],
      rejected[0],
      'The request include parameter that is not valid for this queue type.',
    );
}

/**
 * Checks the group and the deduplication id of a message of a FIFO queue.
 * fact: localstack test_send_batch_missing_message_group_id_for_fifo_queue, test_send_batch_missing_deduplication_id_for_fifo_queue
 *
 * @throws AwsError of `missingGroupError` without a group. In a batch, SQS rejects the whole request.
 */
function checkFifoFields(
  queue: QueueState,
  { MessageGroupId, MessageDeduplicationId }: SendMessageRequest,
  missingGroupError: (message: string) => AwsError,
): void {
  if (!MessageGroupId) throw missingGroupError('The request must contain the parameter MessageGroupId.');
  if (MessageDeduplicationId === undefined && queue.attributes.get('ContentBasedDeduplication') !== 'true')
    throw parameterError(
      'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
    );
}

/** Returns the fields of a message of a FIFO queue, and the earlier message of which it is a duplicate. */
function fifoFieldsOf(call: Call, queue: QueueState, input: SendMessageRequest) {
  const { MessageBody = '', MessageGroupId = '', MessageDeduplicationId } = input;
  checkFifoFields(queue, input, () => missingParameterError('MessageGroupId'));
  const deduplicationId = MessageDeduplicationId ?? createHash('sha256').update(MessageBody).digest('hex');
  for (const [id, { sent }] of queue.deduplication ?? [])
    if (call.now - sent >= DEDUPLICATION_MS) queue.deduplication?.delete(id);
  const last = [...(queue.deduplication?.values() ?? [])].at(-1)?.sequenceNumber;
  return {
    duplicate: queue.deduplication?.get(deduplicationId),
    fields: {
      groupId: MessageGroupId,
      deduplicationId,
      sequenceNumber: nextSequenceNumber(call.now, last),
    },
  };
}

/** Returns 20 digits that increase with each message: the time in milliseconds, and a counter within it. */
function nextSequenceNumber(now: number, last = ''): string {
  const first = `${String(now).padStart(14, '0')}000000`;
  return first > last ? first : String(BigInt(last) + 1n).padStart(20, '0');
}

const sizeOfMessage = ({ MessageBody = '', MessageAttributes = {} }: SendMessageRequest): number =>
  Object.entries(MessageAttributes).reduce(
    (total, [name, { DataType = '', StringValue = '', BinaryValue }]) =>
      total + Buffer.byteLength(name + DataType + StringValue) + (BinaryValue?.length ?? 0),
    Buffer.byteLength(MessageBody),
  );

/** SQS API Reference, SendMessage: "A message can include only XML, JSON, and unformatted text." */
function checkBodyCharacters(body: string): void {
  if (/^[\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]*$/u.test(body)) return;
  throw sqsError(
    'InvalidMessageContents',
    'Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF',
  );
}

const md5Of = (text: string): string => createHash('md5').update(text).digest('hex');

/** Receives messages. Waits for the first one until the time is over, the client disconnects or the sandbox closes. */
async function pollMessages(
  call: Call,
  queue: QueueState,
  { limit, visibilityMs, waitMs }: { limit: number; visibilityMs: number; waitMs: number },
): Promise<MessageState[]> {
  // By the system clock: the clock of the sandbox can stand still.
  const deadline = performance.now() + waitMs;
  for (;;) {
    if (call.disconnected.aborted) return [];
    if (call.store.queue(queue.arn) !== queue) throw noSuchQueueError();
    const messages = takeMessages(call.store, queue, { limit, visibilityMs }, call.clock());
    const remainingMs = deadline - performance.now();
    if (messages.length > 0 || remainingMs <= 0) return messages;
    await call.queues.wait(queue, remainingMs, call.disconnected);
  }
}

function toReceivedMessage(queue: QueueState, message: MessageState, input: ReceiveMessageRequest) {
  const systemNames = [
    ...(input.MessageSystemAttributeNames ?? []),
    ...(input.AttributeNames ?? []),
  ] as string[];
  const systemAttributes = Object.entries(systemAttributesOf(message)).filter(
    ([name, value]) => value !== undefined && (systemNames.includes('All') || systemNames.includes(name)),
  );
  const attributes = Object.entries(message.attributes ?? {}).filter(([name]) =>
    (input.MessageAttributeNames ?? []).some((pattern) => matchesAttribute(pattern, name)),
  );
  return {
    MessageId: message.id,
    ReceiptHandle: receiptHandleOf(queue, message),
    MD5OfBody: md5Of(message.body),
    Body: message.body,
    ...(systemAttributes.length > 0 ? { Attributes: Object.fromEntries(systemAttributes) } : {}),
    ...(attributes.length > 0
      ? {
          MD5OfMessageAttributes: md5OfAttributes(Object.fromEntries(attributes)),
          MessageAttributes: Object.fromEntries(
            attributes.map(([name, { BinaryValue, ...attribute }]) => [
              name,
              BinaryValue === undefined
                ? attribute
                : { ...attribute, BinaryValue: Buffer.from(BinaryValue, 'base64') },
            ]),
          ),
        }
      : {}),
  };
}

const systemAttributesOf = (message: MessageState): Record<string, string | undefined> => ({
  SenderId: message.sender,
  SentTimestamp: String(message.sent),
  ApproximateReceiveCount: String(message.receiveCount),
  ApproximateFirstReceiveTimestamp: String(message.firstReceived),
  MessageGroupId: message.groupId,
  MessageDeduplicationId: message.deduplicationId,
  SequenceNumber: message.sequenceNumber,
});

/** `All` and `.*` select all attributes, `prefix.*` those of a prefix. */
const matchesAttribute = (pattern: string, name: string): boolean =>
  pattern === 'All' || (pattern.endsWith('.*') ? name.startsWith(pattern.slice(0, -2)) : pattern === name);

/** Handle of one receipt of a message: queue, message and number of the receipt. */
const receiptHandleOf = ({ arn }: QueueState, { id, receiveCount }: MessageState): string =>
  Buffer.from(JSON.stringify([arn, id, receiveCount])).toString('base64');

/**
 * Returns the message of a receipt handle, and whether the handle is of its last receipt; undefined if the message is
 * deleted.
 *
 * @throws AwsError ReceiptHandleIsInvalid for a handle of another queue, or another text.
 */
function findReceipt(
  queue: QueueState,
  handle: string,
): { message: MessageState; isLast: boolean } | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(Buffer.from(handle, 'base64').toString());
  } catch {
    fields = undefined;
  }
  const [arn, id, receipt] = Array.isArray(fields) ? (fields as unknown[]) : [];
  if (arn !== queue.arn || typeof id !== 'string')
    throw sqsError(
      'ReceiptHandleIsInvalid',
      `The input receipt handle "${handle}" is not a valid receipt handle.`,
      { status: 404 },
    );
  const message = queue.messages.get(id);
  return message && { message, isLast: message.receiveCount === receipt };
}

/**
 * Deletes a message. With another than the last receipt handle, the request succeeds without effect (SQS API Reference,
 * DeleteMessage). A FIFO queue rejects a handle whose visibility timeout is over.
 */
function deleteMessage(call: Call, queue: QueueState, handle: string): object {
  const receipt = findReceipt(queue, handle);
  if (!receipt) return {};
  if (isFifo(queue) && (!receipt.isLast || receipt.message.visibleFrom <= call.now))
    throw invalidValueError(handle, 'ReceiptHandle', 'The receipt handle has expired.');
  if (!receipt.isLast) return {};
  removeMessage(call.store, queue, receipt.message);
  call.queues.wake(queue);
  return {};
}

function changeVisibility(call: Call, queue: QueueState, handle: string, timeout: number): object {
  checkParameterRange(timeout, 'VisibilityTimeout', 0, 43_200);
  const receipt = findReceipt(queue, handle);
  if (!receipt?.isLast || receipt.message.visibleFrom <= call.now)
    throw invalidValueError(
      handle,
      'ReceiptHandle',
      'Message does not exist or is not available for visibility timeout change.',
    );
  receipt.message.visibleFrom = call.now + timeout * 1000;
  call.store.markMessageChanged(queue, receipt.message.id);
  call.queues.wake(queue);
  return {};
}

const BATCH_ERROR = 'AWS.SimpleQueueService.';

function checkBatch({ operation }: Call, entries: readonly { Id: string }[]): void {
  const batchError = (shape: string, message: string) =>
    sqsError(shape, message, { queryCode: `${BATCH_ERROR}${shape}` });
  if (entries.length === 0)
    throw batchError(
      'EmptyBatchRequest',
      `There should be at least one ${operation}RequestEntry in the request.`,
    );
  if (entries.length > 10)
    throw batchError(
      'TooManyEntriesInBatchRequest',
      `Maximum number of entries per request are 10. You have sent ${entries.length}.`,
    );
  if (!entries.every(({ Id }) => /^[\w-]{1,80}$/.test(Id)))
    throw batchError(
      'InvalidBatchEntryId',
      'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
    );
  const duplicate = entries.find(({ Id }, index) => entries.findIndex((other) => other.Id === Id) < index);
  if (duplicate) throw batchError('BatchEntryIdsNotDistinct', `Id ${duplicate.Id} repeated.`);
}

/** Runs each entry of a batch. A failed entry does not affect the others. */
function runBatch<T extends { Id: string }>(entries: readonly T[], run: (entry: T) => object): object {
  const Successful: object[] = [];
  const Failed: object[] = [];
  for (const entry of entries) {
    try {
      Successful.push({ Id: entry.Id, ...run(entry) });
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      Failed.push({ Id: entry.Id, SenderFault: true, Code: error.code, Message: error.message });
    }
  }
  return { ...(Successful.length > 0 ? { Successful } : {}), ...(Failed.length > 0 ? { Failed } : {}) };
}
