import { toList } from '../../iam/context.ts';
import { missingFeatureError } from '../aws-error.ts';
import type { Call } from '../call.ts';
import type { TopicState } from '../state.ts';
import {
  findUnknownPrincipal,
  parsePolicyInput,
  replaceIdsWithRoleArns,
  replaceRoleArnsWithIds,
  supersedePolicy,
} from '../stored-policies.ts';
import { snsParameterError } from './access.ts';

/**
 * Actions that a topic policy can contain. SNS rejects others, wildcards included.
 * https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html
 */
const TOPIC_ACTIONS = [
  'SNS:GetTopicAttributes',
  'SNS:SetTopicAttributes',
  'SNS:AddPermission',
  'SNS:RemovePermission',
  'SNS:DeleteTopic',
  'SNS:Subscribe',
  'SNS:ListSubscriptionsByTopic',
  'SNS:Publish',
];
const LOWER_TOPIC_ACTIONS = new Set([...TOPIC_ACTIONS, 'SNS:Receive'].map((action) => action.toLowerCase()));

/**
 * Returns the policy of a new topic. `AWS:SourceOwner` is in requests of some services for resources of the account, such as
 * CloudWatch, but not in those of S3 (SNS Developer Guide, "aws:SourceAccount versus aws:SourceOwner").
 * fact: localstack TestSNSTopicCrud::test_create_topic_test_arn (recorded from AWS)
 */
export const defaultTopicPolicyOf = (arn: string, account: string): string =>
  JSON.stringify({
    Version: '2008-10-17',
    Id: '__default_policy_ID',
    Statement: [
      {
        Sid: '__default_statement_ID',
        Effect: 'Allow',
        Principal: { AWS: '*' },
        Action: TOPIC_ACTIONS,
        Resource: arn,
        Condition: { StringEquals: { 'AWS:SourceOwner': account } },
      },
    ],
  });

/** Values of the other attributes that the sandbox accepts; an empty list for any value. */
const SUPPORTED_ATTRIBUTES: Record<string, string[]> = {
  DisplayName: [],
  KmsMasterKeyId: [],
  ContentBasedDeduplication: ['true', 'false'],
  FifoTopic: ['true', 'false'],
  SignatureVersion: ['1', '2'],
  TracingConfig: ['PassThrough', 'Active'],
};

const UNSUPPORTED_TOPIC_ATTRIBUTES =
  /^(DeliveryPolicy|ArchivePolicy|FifoThroughputScope|DataProtectionPolicy|(HTTP|Firehose|Lambda|Application|SQS)(SuccessFeedback(RoleArn|SampleRate)|FailureFeedbackRoleArn))$/;

export const isFifoTopic = ({ name }: Pick<TopicState, 'name'>): boolean => name.endsWith('.fifo');

/** @throws AwsError when the attribute is unknown, its value invalid, or not one of the sandbox. */
export function setTopicAttribute(call: Call, topic: TopicState, name: string, value: string): void {
  if (name === 'Policy') {
    const policy =
      value === '' ? defaultTopicPolicyOf(topic.arn, topic.account) : toStoredTopicPolicy(call, value);
    supersedePolicy(topic, topic.policy, call.now, call.faultSettings.policyPropagationMs);
    topic.policy = policy;
    return;
  }
  if (UNSUPPORTED_TOPIC_ATTRIBUTES.test(name)) throw missingFeatureError(`the topic attribute ${name}`);
  const values = SUPPORTED_ATTRIBUTES[name];
  if (!values || (name === 'ContentBasedDeduplication' && !isFifoTopic(topic)))
    throw snsParameterError('AttributeName');
  if (values.length > 0 && !values.includes(value)) throw snsParameterError(`Attributes Reason: ${name}`);
  if (name === 'FifoTopic' && !isFifoTopic(topic)) return;
  if (value === '') topic.attributes.delete(name);
  else topic.attributes.set(name, value);
}

function toStoredTopicPolicy(call: Call, text: string): string {
  const policy = parsePolicyInput(text, () => snsParameterError('Policy Error: null'));
  // https://github.com/cloud-custodian/cloud-custodian/issues/1779: the response of SNS to a policy without statements
  if (toList(policy.Statement).length === 0) throw snsParameterError('Policy Error: null');
  for (const { Principal, NotPrincipal, Action, NotAction } of toList(policy.Statement)) {
    if ((Principal ?? NotPrincipal) === undefined) throw snsParameterError('Policy Error: null');
    if (!toList(Action ?? NotAction).every((action) => LOWER_TOPIC_ACTIONS.has(action.toLowerCase())))
      throw snsParameterError('Policy statement action out of service scope!');
  }
  if (findUnknownPrincipal(call.store, policy, call.now) !== undefined)
    throw snsParameterError('Policy Error: PrincipalNotFound');
  return replaceRoleArnsWithIds(call.store, text, call.now);
}

export function topicAttributesOf(call: Call, topic: TopicState): Record<string, string> {
  const { attributes } = topic;
  return {
    TopicArn: topic.arn,
    Owner: topic.account,
    Policy: replaceIdsWithRoleArns(call.store, topic.policy),
    DisplayName: '',
    SubscriptionsPending: '0',
    SubscriptionsConfirmed: String(topic.subscriptions.size),
    SubscriptionsDeleted: String(topic.deletedSubscriptions),
    EffectiveDeliveryPolicy: EFFECTIVE_DELIVERY_POLICY,
    ...(isFifoTopic(topic) ? { FifoTopic: 'true', ContentBasedDeduplication: 'false' } : {}),
    ...Object.fromEntries(attributes),
  };
}

/** Delivery policy for HTTP, which every topic has. fact: localstack test_create_topic_test_arn */
const EFFECTIVE_DELIVERY_POLICY = JSON.stringify({
  http: {
    defaultHealthyRetryPolicy: {
      minDelayTarget: 20,
      maxDelayTarget: 20,
      numRetries: 3,
      numMaxDelayRetries: 0,
      numNoDelayRetries: 0,
      numMinDelayRetries: 0,
      backoffFunction: 'linear',
    },
    disableSubscriptionOverrides: false,
    defaultRequestPolicy: { headerContentType: 'text/plain; charset=UTF-8' },
  },
});
