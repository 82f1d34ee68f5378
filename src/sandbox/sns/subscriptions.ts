import { randomUUID } from 'node:crypto';
import type { SubscribeInput } from '@aws-sdk/client-sns';
import { accountOfArn } from '../../iam/context.ts';
import { missingFeatureError } from '../aws-error.ts';
import { type Call, type Handlers, pageOf } from '../call.ts';
import type { SubscriptionState, TopicState } from '../state.ts';
import {
  checkOwnTopicAccess,
  getAuthorizedTopic,
  markTopicChanged,
  noSuchTopicError,
  snsParameterError,
} from './access.ts';
import { isFifoTopic } from './topic-attributes.ts';
import { findTopic } from './topic-service.ts';

/** Protocols of SNS. The sandbox delivers to queues. */
const PROTOCOLS = new Set([
  'http',
  'https',
  'email',
  'email-json',
  'sms',
  'sqs',
  'application',
  'lambda',
  'firehose',
]);

export const subscriptionHandlers: Handlers = {
  Subscribe(call, input: SubscribeInput) {
    const { Protocol = '', Endpoint = '', Attributes = {} } = input;
    const topic = getAuthorizedTopic(call, input.TopicArn ?? '', 'sns:Subscribe');
    if (!PROTOCOLS.has(Protocol))
      throw snsParameterError(`Amazon SNS does not support this protocol string: ${Protocol}`);
    if (Protocol !== 'sqs') throw missingFeatureError(`subscriptions with the protocol ${Protocol}`);
    checkQueueEndpoint(topic, Endpoint);
    // Without the consent of the owner of the queue, SNS waits for a confirmation.
    if (accountOfArn(Endpoint) !== call.caller.account)
      throw missingFeatureError('subscriptions of a queue of another account than that of the caller');
    for (const name of Object.keys(Attributes))
      checkSubscriptionAttribute(name, Attributes[name] ?? '', 'Attributes Reason: ');
    const raw = Attributes.RawMessageDelivery?.toLowerCase() === 'true';
    const existing = [...topic.subscriptions.values()].find(({ endpoint }) => endpoint === Endpoint);
    if (existing) {
      if ('RawMessageDelivery' in Attributes && existing.raw !== raw)
        throw snsParameterError('Attributes Reason: Subscription already exists with different attributes');
      return { SubscriptionArn: existing.arn };
    }
    const arn = `${topic.arn}:${randomUUID()}`;
    const { account: owner, arn: principal } = call.caller;
    topic.subscriptions.set(arn, { arn, endpoint: Endpoint, owner, principal, raw });
    markTopicChanged(call, topic);
    // ReturnSubscriptionArn concerns subscriptions that wait for a confirmation.
    void input.ReturnSubscriptionArn;
    return { SubscriptionArn: arn };
  },

  Unsubscribe(call, { SubscriptionArn }) {
    const topic = findTopicOfSubscription(call, SubscriptionArn);
    const subscription = topic?.subscriptions.get(SubscriptionArn);
    // fact: localstack TestSNSSubscriptionCrud::test_unsubscribe_from_non_existing_subscription (recorded from AWS)
    if (!topic || !subscription) return {};
    checkSubscriptionAccess(call, topic, subscription, 'sns:Unsubscribe');
    topic.subscriptions.delete(SubscriptionArn);
    topic.deletedSubscriptions += 1;
    return markTopicChanged(call, topic);
  },

  GetSubscriptionAttributes(call, { SubscriptionArn }) {
    const { topic, subscription } = getSubscription(call, SubscriptionArn, 'sns:GetSubscriptionAttributes');
    const { arn, endpoint, owner, principal, raw } = subscription;
    // fact: localstack TestSNSSubscriptionCrud::test_create_subscriptions_with_attributes (recorded from AWS)
    return {
      Attributes: {
        ConfirmationWasAuthenticated: 'true',
        Endpoint: endpoint,
        Owner: owner,
        PendingConfirmation: 'false',
        Protocol: 'sqs',
        RawMessageDelivery: String(raw),
        SubscriptionArn: arn,
        SubscriptionPrincipal: principal,
        TopicArn: topic.arn,
      },
    };
  },

  SetSubscriptionAttributes(call, { SubscriptionArn, AttributeName, AttributeValue = '' }) {
    const { topic, subscription } = getSubscription(call, SubscriptionArn, 'sns:SetSubscriptionAttributes');
    checkSubscriptionAttribute(AttributeName, AttributeValue, '');
    subscription.raw = AttributeValue.toLowerCase() === 'true';
    return markTopicChanged(call, topic);
  },

  ListSubscriptionsByTopic(call, { TopicArn, NextToken }) {
    const topic = getAuthorizedTopic(call, TopicArn, 'sns:ListSubscriptionsByTopic');
    const { items, next } = pageOf([...topic.subscriptions.values()], 100, NextToken);
    return {
      Subscriptions: items.map(({ arn, endpoint, owner }) => ({
        SubscriptionArn: arn,
        Owner: owner,
        Protocol: 'sqs',
        Endpoint: endpoint,
        TopicArn: topic.arn,
      })),
      NextToken: next,
    };
  },
};

function checkQueueEndpoint(topic: TopicState, endpoint: string): void {
  if (!/^arn:[^:]+:sqs:[a-z0-9-]+:\d{12}:[\w-]+(\.fifo)?$/.test(endpoint))
    throw snsParameterError('SQS endpoint ARN');
  if (endpoint.endsWith('.fifo') && !isFifoTopic(topic))
    throw snsParameterError(
      'Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics',
    );
}

/** Attributes of AWS that the sandbox does not implement. */
const UNSUPPORTED_SUBSCRIPTION_ATTRIBUTES = new Set([
  'FilterPolicy',
  'FilterPolicyScope',
  'RedrivePolicy',
  'DeliveryPolicy',
  'ReplayPolicy',
]);

function checkSubscriptionAttribute(name: string, value: string, prefix: string): void {
  if (UNSUPPORTED_SUBSCRIPTION_ATTRIBUTES.has(name))
    throw missingFeatureError(`the subscription attribute ${name}`);
  if (name !== 'RawMessageDelivery') throw snsParameterError(prefix === '' ? 'AttributeName' : 'Attributes');
  // fact: localstack TestSNSSubscriptionCrud::test_validate_set_sub_attributes (recorded from AWS)
  if (!/^(true|false)$/i.test(value))
    throw snsParameterError(`${prefix}RawMessageDelivery: Invalid value [${value}]. Must be true or false.`);
}

const findTopicOfSubscription = ({ store }: Call, arn: string): TopicState | undefined =>
  findTopic(store, arn.slice(0, arn.lastIndexOf(':')));

function getSubscription(
  call: Call,
  arn: string,
  action: string,
): { topic: TopicState; subscription: SubscriptionState } {
  const topic = findTopicOfSubscription(call, arn);
  const subscription = topic?.subscriptions.get(arn);
  if (!topic || !subscription) throw noSuchTopicError('Subscription does not exist');
  checkSubscriptionAccess(call, topic, subscription, action);
  return { topic, subscription };
}

/** The owner of a subscription may change it; other callers need permission of the topic. */
function checkSubscriptionAccess(
  call: Call,
  topic: TopicState,
  { owner, arn }: SubscriptionState,
  action: string,
): void {
  if (owner === call.caller.account) checkOwnTopicAccess(call, action, arn);
  else getAuthorizedTopic(call, topic.arn, action);
}
