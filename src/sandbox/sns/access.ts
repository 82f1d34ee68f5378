import { partitionOfRegion } from '../../util/arn.ts';
import { formatAccessDenied, topicPolicyOf } from '../authorize.ts';
import { AwsError } from '../aws-error.ts';
import { authorizeCaller, type Call } from '../call.ts';
import type { TopicState } from '../state.ts';
import { findTopic } from './topic-service.ts';

export const topicArnOf = (region: string, account: string, name: string): string =>
  `arn:${partitionOfRegion(region)}:sns:${region}:${account}:${name}`;

export const snsParameterError = (message: string): AwsError =>
  new AwsError(400, 'InvalidParameter', `Invalid parameter: ${message}`);

export const noSuchTopicError = (message = 'Topic does not exist'): AwsError =>
  new AwsError(404, 'NotFound', message);

/**
 * Returns the topic of a request. It is in the Region of the signature, and the caller has permission for the action.
 *
 * @throws AwsError InvalidParameter for text that is not the ARN of a topic, NotFound, or AuthorizationError.
 */
export function getAuthorizedTopic(
  call: Call,
  arn: string,
  action: string,
  parameter = 'TopicArn',
): TopicState {
  const parts = arn.split(':');
  if (parts.length < 6)
    throw snsParameterError(`${parameter} Reason: An ARN must have at least 6 elements, not ${parts.length}`);
  const [, , service, region] = parts;
  if (service !== 'sns' || parts.length !== 6) throw snsParameterError(parameter);
  if (region !== call.region) throw snsParameterError(parameter);
  const topic = findTopic(call.store, arn);
  if (!topic) {
    checkOwnTopicAccess(call, action, arn);
    throw noSuchTopicError();
  }
  const { allowed, reason } = authorizeCaller(call, {
    action,
    resource: arn,
    resourceAccount: topic.account,
    resourcePolicy: topicPolicyOf(call.store, topic, call.now),
  });
  if (!allowed) throw authorizationError(call, action, arn, reason);
  return topic;
}

/** Checks an action by the identity policies of the caller alone: on a topic that does not exist yet, or on all topics. */
export function checkOwnTopicAccess(call: Call, action: string, resource: string): void {
  const { allowed, reason } = authorizeCaller(call, { action, resource });
  if (!allowed) throw authorizationError(call, action, resource, reason);
}

const authorizationError = (call: Call, action: string, resource: string, reason: string): AwsError =>
  new AwsError(
    403,
    'AuthorizationError',
    formatAccessDenied(call.caller.arn, action.replace(/^sns/, 'SNS'), resource, reason),
  );

export function markTopicChanged(call: Call, topic: TopicState): object {
  call.store.markChanged(call.store.account(topic.account));
  return {};
}
