import { partitionOfRegion } from '../../util/arn.ts';
import { formatAccessDenied, queuePolicyOf } from '../authorize.ts';
import { authorizeCaller, type Call } from '../call.ts';
import type { QueueState } from '../state.ts';
import { noSuchQueueError, sqsAccessDeniedError, sqsError } from './errors.ts';

export const queueArnOf = (region: string, account: string, name: string): string =>
  `arn:${partitionOfRegion(region)}:sqs:${region}:${account}:${name}`;

/** Returns the URL of a queue at the endpoint to which the client sent the request. */
export const queueUrlOf = ({ headers }: Call, { account, name }: QueueState): string =>
  `http://${headers.host}/${account}/${name}`;

/**
 * Actions that a queue policy cannot grant to another account (SQS Developer Guide, "Limitations of Amazon SQS custom
 * policies", "Cross-account access").
 */
const OWNER_ACTIONS = new Set([
  'sqs:CreateQueue',
  'sqs:DeleteQueue',
  'sqs:ListQueues',
  'sqs:ListQueueTags',
  'sqs:SetQueueAttributes',
  'sqs:TagQueue',
  'sqs:UntagQueue',
]);

/**
 * Returns the queue of a request's QueueUrl. The Region is that of the signature. The caller has permission for the
 * action.
 *
 * @throws AwsError when the URL is invalid, the queue does not exist, or the caller has no permission.
 */
export function getAuthorizedQueue(call: Call, queueUrl: string, action: string): QueueState {
  const arn = arnOfQueueUrl(queueUrl, call.region);
  if (arn === undefined) {
    throw sqsError('InvalidAddress', `The address ${queueUrl} is not valid for this endpoint.`, {
      status: 404,
    });
  }
  const queue = call.store.queue(arn);
  if (!queue) throw noSuchQueueError();
  checkQueueAccess(call, queue, action);
  return queue;
}

/** Returns the ARN of the queue of a URL: `…/ACCOUNT/NAME`; undefined for another URL. */
export function arnOfQueueUrl(queueUrl: string, region: string): string | undefined {
  const [, account, name] = /^https?:\/\/[^/]+(?:\/queue)?\/(\d{12})\/([^/?#]+)$/.exec(queueUrl) ?? [];
  return account === undefined || name === undefined ? undefined : queueArnOf(region, account, name);
}

export function checkQueueAccess(call: Call, queue: QueueState, action: string): void {
  const isOwner = call.caller.account === queue.account;
  const { allowed, reason } = authorizeCaller(call, {
    action,
    resource: queue.arn,
    resourceAccount: queue.account,
    ...(isOwner || !OWNER_ACTIONS.has(action) ? queuePolicyOf(call.store, queue, call.now) : {}),
  });
  if (!allowed) throw queueAccessDeniedError(call, action, queue.arn, reason);
}

/** Checks an action on queues of the caller's account, by identity policies alone. */
export function checkOwnQueueAccess(call: Call, action: string, name: string): void {
  const resource = queueArnOf(call.region, call.caller.account, name);
  const { allowed, reason } = authorizeCaller(call, { action, resource });
  if (!allowed) throw queueAccessDeniedError(call, action, resource, reason);
}

/** SQS writes the action in lower case. */
const queueAccessDeniedError = (call: Call, action: string, resource: string, reason: string) =>
  sqsAccessDeniedError(formatAccessDenied(call.caller.arn, action.toLowerCase(), resource, reason));
