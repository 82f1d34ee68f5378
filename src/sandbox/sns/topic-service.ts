import { randomUUID } from 'node:crypto';
import { authorize, type ServiceSender, serviceConditionKeysOf, topicPolicyOf } from '../authorize.ts';
import type { KeyService } from '../kms/keys.ts';
import { findKeyRefusal } from '../service-keys.ts';
import type { QueueService, SendRefusal, ServiceMessage } from '../sqs/queue-service.ts';
import type { MessageAttribute, SubscriptionState, TopicState } from '../state.ts';
import type { Store } from '../store.ts';

/** Topics as other services and the handlers of SNS use them. */
export interface TopicService {
  /** Delivers a message to the subscribed queues, and returns its id. */
  publish(topic: TopicState, message: ServiceMessage): string;
  /** Returns the reason why a service may not publish to a topic; undefined if it may. */
  findRefusal(topicArn: string, sender: ServiceSender): SendRefusal | undefined;
  /** Publishes as a service. Returns the reason if the service may not publish. */
  sendAs(sender: ServiceSender, topicArn: string, message: ServiceMessage): SendRefusal | undefined;
}

/** Returns the topic of an ARN; undefined if it does not exist. */
export const findTopic = (store: Store, arn: string): TopicState | undefined => {
  const [, , service, , account] = arn.split(':');
  return service === 'sns' && account ? store.account(account).topics?.get(arn) : undefined;
};

/** SNS Developer Guide, "Encryption context": SNS sends the ARN of the topic to KMS. */
export const topicEncryptionContextOf = ({ arn }: TopicState): Record<string, string> => ({
  'aws:sns:topicArn': arn,
});

/**
 * Services that send `aws:SourceOwner`, which the default policy of a topic allows (SNS Developer Guide,
 * "aws:SourceAccount versus aws:SourceOwner").
 */
const SOURCE_OWNER_SERVICES = new Set(['cloudwatch.amazonaws.com']);

export function createTopicService(options: {
  store: Store;
  keyService: KeyService;
  queues: QueueService;
  clock: () => number;
  /** Callback for a message that a queue rejects. SNS does not report it without a delivery status log. */
  onError: (message: string) => void;
}): TopicService {
  const { store, keyService, queues, clock, onError } = options;
  const service: TopicService = {
    publish(topic, message) {
      const messageId = randomUUID();
      const sender = { service: 'sns.amazonaws.com', sourceArn: topic.arn, sourceAccount: topic.account };
      for (const subscription of topic.subscriptions.values()) {
        const { body, attributes } = message;
        const refusal = queues.sendAs(
          sender,
          subscription.endpoint,
          subscription.raw
            ? { body, ...(attributes ? { attributes } : {}) }
            : { body: envelopeOf(topic, subscription, message, messageId, clock()) },
        );
        if (refusal)
          onError(`cannot deliver a message of ${topic.arn} to ${subscription.endpoint}: ${refusal.detail}`);
      }
      return messageId;
    },

    findRefusal(topicArn, sender) {
      const topic = findTopic(store, topicArn);
      if (!topic) return { cause: 'absent', detail: `the topic ${topicArn} does not exist` };
      const decision = authorize(
        store,
        {
          principal: sender.service,
          action: 'sns:Publish',
          resource: topic.arn,
          resourceAccount: topic.account,
          context: {
            ...serviceConditionKeysOf(sender),
            'aws:RequestedRegion': topic.region,
            ...(SOURCE_OWNER_SERVICES.has(sender.service) ? { 'aws:SourceOwner': sender.sourceAccount } : {}),
          },
          resourcePolicy: topicPolicyOf(store, topic, clock()),
        },
        clock(),
      );
      if (!decision.allowed) return { cause: 'denied', detail: decision.reason };
      const keyId = topic.attributes.get('KmsMasterKeyId');
      if (keyId === undefined) return undefined;
      const context = topicEncryptionContextOf(topic);
      const detail = findKeyRefusal(keyService, { ...topic, keyId, service: 'sns', context }, sender);
      return detail === undefined ? undefined : { cause: 'denied', detail };
    },

    sendAs(sender, topicArn, message) {
      const refusal = service.findRefusal(topicArn, sender);
      const topic = findTopic(store, topicArn);
      if (refusal || !topic) return refusal;
      service.publish(topic, message);
      return undefined;
    },
  };
  return service;
}

/** SNS Developer Guide, "Amazon SNS message and JSON formats". The sandbox has no certificate, so no signature is valid. */
function envelopeOf(
  { arn, region, attributes: topicAttributes }: TopicState,
  subscription: SubscriptionState,
  { body, subject, attributes = {} }: ServiceMessage,
  messageId: string,
  now: number,
): string {
  const host = `https://sns.${region}.amazonaws.com`;
  const attributeEntries = Object.entries(attributes).map(([name, attribute]) => [
    name,
    toEnvelopeAttribute(attribute),
  ]);
  return JSON.stringify(
    {
      Type: 'Notification',
      MessageId: messageId,
      TopicArn: arn,
      ...(subject === undefined ? {} : { Subject: subject }),
      Message: body,
      Timestamp: new Date(now).toISOString(),
      SignatureVersion: topicAttributes.get('SignatureVersion') ?? '1',
      Signature: 'c2FuZGJveA==',
      SigningCertURL: `${host}/SimpleNotificationService-sandbox.pem`,
      UnsubscribeURL: `${host}/?Action=Unsubscribe&SubscriptionArn=${subscription.arn}`,
      ...(attributeEntries.length > 0 ? { MessageAttributes: Object.fromEntries(attributeEntries) } : {}),
    },
    null,
    2,
  );
}

const toEnvelopeAttribute = ({ DataType, StringValue, BinaryValue }: MessageAttribute) => ({
  Type: DataType,
  Value: BinaryValue ?? StringValue,
});
