import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  type Message,
  ReceiveMessageCommand,
} from '@aws-sdk/client-sqs';
import type { Aws, Location } from '../core/resource.ts';

/** The module that calls SQS. Only the consumers of events need it, and load it on demand. */
export interface SqsModule {
  receiveMessages: typeof receiveMessages;
  deleteMessages: typeof deleteMessages;
  returnMessages: typeof returnMessages;
}

/** A queue and its location. */
export interface Queue {
  url: string;
  location: Location;
}

/** A received message. Its receipt handle identifies this receipt of it. */
export interface ReceivedMessage {
  id: string;
  receiptHandle: string;
  body: string;
}

/** The most messages of a call (SQS API Reference, ReceiveMessage). */
const MAX_MESSAGES = 10;

/** Waits for messages, up to a number of seconds, and returns at most 10. Other receivers do not see them for some time. */
export async function receiveMessages(
  aws: Aws,
  { url, location }: Queue,
  waitSeconds: number,
): Promise<ReceivedMessage[]> {
  const { Messages = [] } = await aws.send(
    location,
    new ReceiveMessageCommand({
      QueueUrl: url,
      MaxNumberOfMessages: MAX_MESSAGES,
      WaitTimeSeconds: waitSeconds,
    }),
  );
  return Messages.flatMap(({ MessageId: id = '', ReceiptHandle: receiptHandle, Body: body = '' }: Message) =>
    receiptHandle === undefined ? [] : [{ id, receiptHandle, body }],
  );
}

/** Deletes messages. Returns the reasons of those that SQS did not delete, which it delivers again. */
export async function deleteMessages(
  aws: Aws,
  { url, location }: Queue,
  messages: readonly ReceivedMessage[],
): Promise<string[]> {
  const { Failed = [] } = await aws.send(
    location,
    new DeleteMessageBatchCommand({
      QueueUrl: url,
      Entries: messages.map(({ receiptHandle }, index) => ({
        Id: String(index),
        ReceiptHandle: receiptHandle,
      })),
    }),
  );
  return Failed.map(({ Code = 'unknown', Message = '' }) => `${Code}: ${Message}`);
}

/** Makes messages visible to other receivers after some seconds. */
export async function returnMessages(
  aws: Aws,
  { url, location }: Queue,
  messages: readonly ReceivedMessage[],
  seconds: number,
): Promise<void> {
  await aws.send(
    location,
    new ChangeMessageVisibilityBatchCommand({
      QueueUrl: url,
      Entries: messages.map(({ receiptHandle }, index) => ({
        Id: String(index),
        ReceiptHandle: receiptHandle,
        VisibilityTimeout: seconds,
      })),
    }),
  );
}
