import type { CreateQueueRequest } from '@aws-sdk/client-sqs';
import { type Call, type Handlers, pageOf } from '../call.ts';
import type { QueueState } from '../state.ts';
import { checkOwnQueueAccess, getAuthorizedQueue, queueArnOf, queueUrlOf } from './access.ts';
import {
  invalidValueError,
  missingParameterError,
  noSuchQueueError,
  parameterError,
  sqsError,
} from './errors.ts';
import { queueAttributesOf, setQueueAttributes } from './queue-attributes.ts';
import { removeExpiredMessages, removeMessage } from './queue-contents.ts';

/** Time between two purges of a queue. */
const PURGE_INTERVAL_MS = 60_000;

export const queueHandlers: Handlers = {
  CreateQueue(call, { QueueName, Attributes = {}, tags = {} }: CreateQueueRequest) {
    const name = QueueName ?? '';
    checkQueueName(name, Attributes.FifoQueue === 'true');
    checkOwnQueueAccess(call, 'sqs:CreateQueue', name);
    const queue = createQueueState(call, name);
    setQueueAttributes(call, queue, Attributes as Record<string, string>);
    for (const [key, value] of Object.entries(tags)) queue.tags.set(key, value);
    const existing = call.store.queue(queue.arn);
    if (existing) {
      checkSameAttributes(call, existing, queue, Object.keys(Attributes));
      return { QueueUrl: queueUrlOf(call, existing) };
    }
    call.store.addQueue(queue);
    return { QueueUrl: queueUrlOf(call, queue) };
  },

  GetQueueUrl(call, { QueueName, QueueOwnerAWSAccountId = call.caller.account }) {
    const arn = queueArnOf(call.region, QueueOwnerAWSAccountId, QueueName);
    const queue = call.store.queue(arn);
    if (QueueOwnerAWSAccountId === call.caller.account) {
      if (!queue) throw noSuchQueueError();
      getAuthorizedQueue(call, queueUrlOf(call, queue), 'sqs:GetQueueUrl');
      return { QueueUrl: queueUrlOf(call, queue) };
    }
    // SQS does not reveal whether a queue of another account exists.
    const hiddenError = noSuchQueueError(
      'The specified queue does not exist or you do not have access to it.',
    );
    if (!queue) throw hiddenError;
    try {
      getAuthorizedQueue(call, queueUrlOf(call, queue), 'sqs:GetQueueUrl');
    } catch {
      throw hiddenError;
    }
    return { QueueUrl: queueUrlOf(call, queue) };
  },

  ListQueues(call, { QueueNamePrefix = '', MaxResults, NextToken }) {
    checkOwnQueueAccess(call, 'sqs:ListQueues', '*');
    if (MaxResults !== undefined && (MaxResults < 1 || MaxResults > 1000))
      throw invalidValueError(MaxResults, 'MaxResults', 'Must be an integer from 1 to 1000.');
    const urls = [...call.store.queues()]
      .filter(
        ({ account, region, name }) =>
          account === call.caller.account && region === call.region && name.startsWith(QueueNamePrefix),
      )
      .map((queue) => queueUrlOf(call, queue))
      .sort();
    const { items, next } = pageOf(urls, MaxResults ?? 1000, NextToken);
    // Without MaxResults, the response has no token.
    return {
      ...(items.length > 0 ? { QueueUrls: items } : {}),
      ...(MaxResults !== undefined && next !== undefined ? { NextToken: next } : {}),
    };
  },

  GetQueueAttributes(call, { QueueUrl, AttributeNames }) {
    const queue = getAuthorizedQueue(call, QueueUrl, 'sqs:GetQueueAttributes');
    removeExpiredMessages(call.store, queue, call.now);
    const attributes = queueAttributesOf(call, queue, AttributeNames);
    return attributes === undefined ? {} : { Attributes: attributes };
  },

  SetQueueAttributes(call, { QueueUrl, Attributes }) {
    const queue = getAuthorizedQueue(call, QueueUrl, 'sqs:SetQueueAttributes');
    setQueueAttributes(call, queue, Attributes);
    return markQueueChanged(call, queue);
  },

  PurgeQueue(call, { QueueUrl }) {
    const queue = getAuthorizedQueue(call, QueueUrl, 'sqs:PurgeQueue');
    if (queue.purged !== undefined && call.now - queue.purged < PURGE_INTERVAL_MS) {
      throw sqsError(
        'PurgeQueueInProgress',
        `Only one PurgeQueue operation on ${queue.name} is allowed every 60 seconds.`,
        { queryCode: 'AWS.SimpleQueueService.PurgeQueueInProgress', status: 403 },
      );
    }
    queue.purged = call.now;
    for (const message of [...queue.messages.values()]) removeMessage(call.store, queue, message);
    return markQueueChanged(call, queue);
  },

  DeleteQueue(call, { QueueUrl }) {
    const queue = getAuthorizedQueue(call, QueueUrl, 'sqs:DeleteQueue');
    call.store.removeQueue(queue.arn);
    call.queues.wake(queue);
    return {};
  },

  ListQueueTags(call, { QueueUrl }) {
    const { tags } = getAuthorizedQueue(call, QueueUrl, 'sqs:ListQueueTags');
    return tags.size === 0 ? {} : { Tags: Object.fromEntries(tags) };
  },

  TagQueue(call, { QueueUrl, Tags }) {
    const queue = getAuthorizedQueue(call, QueueUrl, 'sqs:TagQueue');
    if (Object.keys(Tags).length === 0) throw missingParameterError('Tags');
    const tags = new Map([...queue.tags, ...Object.entries(Tags as Record<string, string>)]);
    if (tags.size > MAX_QUEUE_TAGS) throw parameterError(`Too many tags added for queue ${queue.name}.`);
    queue.tags = tags;
    return markQueueChanged(call, queue);
  },

  UntagQueue(call, { QueueUrl, TagKeys }) {
    const queue = getAuthorizedQueue(call, QueueUrl, 'sqs:UntagQueue');
    if ((TagKeys as string[]).length === 0)
      throw parameterError('Tag keys must be between 1 and 128 characters in length.');
    for (const key of TagKeys as string[]) queue.tags.delete(key);
    return markQueueChanged(call, queue);
  },
};

const MAX_QUEUE_TAGS = 50;

function markQueueChanged(call: Call, queue: QueueState): object {
  call.store.markChanged(queue);
  return {};
}

const createQueueState = ({ caller, region, now }: Call, name: string): QueueState => ({
  arn: queueArnOf(region, caller.account, name),
  name,
  account: caller.account,
  region,
  created: now,
  modified: now,
  attributes: new Map(),
  tags: new Map(),
  messages: new Map(),
});

function checkQueueName(name: string, isFifoQueue: boolean): void {
  const isValid = (isFifoQueue ? /^[\w-]+\.fifo$/ : /^[\w-]+$/).test(name) && name.length <= 80;
  if (isValid) return;
  throw parameterError(
    isFifoQueue
      ? 'The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length'
      : 'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length',
  );
}

/** CreateQueue returns an existing queue if all attributes of the request have its values. */
function checkSameAttributes(call: Call, existing: QueueState, queue: QueueState, names: string[]): void {
  const current = queueAttributesOf(call, existing, ['All']) ?? {};
  const requested = queueAttributesOf(call, queue, ['All']) ?? {};
  const name = names.find((attribute) => current[attribute] !== requested[attribute]);
  if (name === undefined) return;
  throw sqsError(
    'QueueNameExists',
    `A queue already exists with the same name and a different value for attribute ${name}`,
    { queryCode: 'QueueAlreadyExists' },
  );
}
