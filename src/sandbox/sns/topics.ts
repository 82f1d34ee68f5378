import type { CreateTopicInput, Tag } from '@aws-sdk/client-sns';
import { AwsError } from '../aws-error.ts';
import { type Call, callerAccountOf, type Handlers, pageOf } from '../call.ts';
import type { TopicState } from '../state.ts';
import {
  checkOwnTopicAccess,
  getAuthorizedTopic,
  markTopicChanged,
  snsParameterError,
  topicArnOf,
} from './access.ts';
import { defaultTopicPolicyOf, setTopicAttribute, topicAttributesOf } from './topic-attributes.ts';
import { findTopic } from './topic-service.ts';

export const topicHandlers: Handlers = {
  CreateTopic(call, { Name, Attributes = {}, Tags = [], DataProtectionPolicy }: CreateTopicInput) {
    const name = Name ?? '';
    const isFifo = Attributes.FifoTopic === 'true';
    if (!(isFifo ? /^[\w-]{1,251}\.fifo$/ : /^[\w-]{1,256}$/).test(name))
      throw snsParameterError('Topic Name');
    const topic = createTopicState(call, name);
    checkOwnTopicAccess(call, 'sns:CreateTopic', topic.arn);
    const attributes = { ...Attributes, ...(DataProtectionPolicy ? { DataProtectionPolicy } : {}) };
    for (const [attribute, value] of Object.entries(attributes))
      setTopicAttribute(call, topic, attribute, value);
    setTags(topic, Tags);
    const existing = findTopic(call.store, topic.arn);
    if (existing) {
      checkSameTopic(call, existing, topic, Object.keys(Attributes), Tags);
      return { TopicArn: existing.arn };
    }
    const account = callerAccountOf(call);
    account.topics ??= new Map();
    account.topics.set(topic.arn, topic);
    call.store.markChanged(account);
    return { TopicArn: topic.arn };
  },

  GetTopicAttributes: (call, { TopicArn }) => ({
    Attributes: topicAttributesOf(call, getAuthorizedTopic(call, TopicArn, 'sns:GetTopicAttributes')),
  }),

  SetTopicAttributes(call, { TopicArn, AttributeName, AttributeValue }) {
    const topic = getAuthorizedTopic(call, TopicArn, 'sns:SetTopicAttributes');
    if (AttributeName === 'FifoTopic') throw snsParameterError('AttributeName');
    setTopicAttribute(call, topic, AttributeName, AttributeValue ?? '');
    return markTopicChanged(call, topic);
  },

  ListTopics(call, { NextToken }) {
    checkOwnTopicAccess(call, 'sns:ListTopics', '*');
    const arns = [...(callerAccountOf(call).topics?.values() ?? [])]
      .filter(({ region }) => region === call.region)
      .map(({ arn }) => arn)
      .sort();
    const { items, next } = pageOf(arns, 100, NextToken);
    return { Topics: items.map((TopicArn) => ({ TopicArn })), NextToken: next };
  },

  DeleteTopic(call, { TopicArn }) {
    // SNS API Reference, DeleteTopic: "deleting a topic that does not exist does not result in an error".
    if (!findTopic(call.store, TopicArn)) {
      checkOwnTopicAccess(call, 'sns:DeleteTopic', TopicArn);
      return {};
    }
    const topic = getAuthorizedTopic(call, TopicArn, 'sns:DeleteTopic');
    call.store.account(topic.account).topics?.delete(topic.arn);
    return markTopicChanged(call, topic);
  },

  TagResource(call, { ResourceArn, Tags }) {
    const topic = getTaggedTopic(call, ResourceArn, 'sns:TagResource');
    setTags(topic, Tags);
    return markTopicChanged(call, topic);
  },

  UntagResource(call, { ResourceArn, TagKeys }) {
    const topic = getTaggedTopic(call, ResourceArn, 'sns:UntagResource');
    for (const key of TagKeys as string[]) topic.tags.delete(key);
    return markTopicChanged(call, topic);
  },

  ListTagsForResource(call, { ResourceArn }) {
    const { tags } = getTaggedTopic(call, ResourceArn, 'sns:ListTagsForResource');
    return { Tags: [...tags].map(([Key, Value]) => ({ Key, Value })) };
  },
};

/** Returns a topic for an operation on its tags, which have an error of their own for a topic that does not exist. */
function getTaggedTopic(call: Call, arn: string, action: string): TopicState {
  if (!findTopic(call.store, arn)) throw new AwsError(404, 'ResourceNotFound', 'Resource does not exist');
  return getAuthorizedTopic(call, arn, action);
}

function createTopicState({ caller, region }: Call, name: string): TopicState {
  const arn = topicArnOf(region, caller.account, name);
  return {
    arn,
    name,
    account: caller.account,
    region,
    attributes: new Map(),
    policy: defaultTopicPolicyOf(arn, caller.account),
    tags: new Map(),
    subscriptions: new Map(),
    deletedSubscriptions: 0,
  };
}

function setTags(topic: TopicState, tags: readonly Tag[]): void {
  if (new Set(tags.map(({ Key }) => Key)).size < tags.length)
    throw snsParameterError('Duplicated keys are not allowed.');
  const merged = new Map([...topic.tags, ...tags.map(({ Key = '', Value = '' }) => [Key, Value] as const)]);
  if (merged.size > 50)
    throw snsParameterError('Tags Reason: Number of tags exceeds the allowed maximum [50].');
  topic.tags = merged;
}

/**
 * CreateTopic returns an existing topic if the request does not contradict it.
 * fact: localstack TestSNSTopicCrud::test_create_duplicate_topic_with_more_tags (recorded from AWS)
 */
function checkSameTopic(
  call: Call,
  existing: TopicState,
  topic: TopicState,
  attributes: string[],
  tags: readonly Tag[],
): void {
  const [current, requested] = [topicAttributesOf(call, existing), topicAttributesOf(call, topic)];
  if (attributes.some((name) => current[name] !== requested[name]))
    throw snsParameterError('Attributes Reason: Topic already exists with different attributes');
  if (tags.some(({ Key = '', Value }) => existing.tags.get(Key) !== Value))
    throw snsParameterError('Tags Reason: Topic already exists with different tags');
}
