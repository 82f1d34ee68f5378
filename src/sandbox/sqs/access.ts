import { partitionOfRegion } from '../../util/arn.ts';
import { formatAccessDenied, queuePolicyOf } from '../authorize.ts';
import { authorizeCaller, type Call } from '../call.ts';
import type { QueueState } from '../state.ts';
import { noSuchQueueError, sqsAccessDeniedError } from './errors.ts';

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
 * @throws AwsError when the queue of the URL does not exist, or the caller has no permission.
 * fact: moto test_get_queue_url_error_not_exists, verified against AWS, for an invalid URL
 */
export function getAuthorizedQueue(call: Call, queueUrl: string, action: string): QueueState {
  const arn = arnOfQueueUrl(queueUrl, call);
  const queue = arn === undefined ? undefined : call.store.queue(arn);
  if (!queue) throw noSuchQueueError();
  checkQueueAccess(call, queue, action);
  return queue;
}

/**
 * Returns the ARN of the queue of a URL (`…/ACCOUNT/NAME`); undefined for another URL. SQS also accepts the name of a queue
 * of the caller. fact: moto test_send_message_delay_seconds_validation, verified against AWS
 */
function arnOfQueueUrl(queueUrl: string, { region, caller }: Call): string | undefined {
  if (/^[\w-]+(\.fifo)?$/.test(queueUrl)) return queueArnOf(region, caller.account, queueUrl);
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
