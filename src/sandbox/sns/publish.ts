import type { PublishInput } from '@aws-sdk/client-sns';
import { AwsError, missingFeatureError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { isManagedKey, serviceHostOf } from '../service-keys.ts';
import { toStoredAttributes } from '../sqs/message-attributes.ts';
import type { TopicState } from '../state.ts';
import { getAuthorizedTopic, snsParameterError } from './access.ts';
import { isFifoTopic } from './topic-attributes.ts';
import { topicEncryptionContextOf } from './topic-service.ts';

export const publishHandlers: Handlers = {
  Publish(call, input: PublishInput) {
    const { TopicArn, TargetArn, PhoneNumber, Subject, MessageGroupId, MessageDeduplicationId } = input;
    if (PhoneNumber !== undefined) throw missingFeatureError('Publish to a phone number');
    const arn = TopicArn ?? TargetArn;
    if (arn === undefined)
      throw snsParameterError('TopicArn or TargetArn Reason: no value for required parameter');
    const topic = getAuthorizedTopic(
      call,
      arn,
      'sns:Publish',
      TopicArn === undefined ? 'TargetArn' : 'TopicArn',
    );
    if (isFifoTopic(topic)) throw missingFeatureError('Publish to a FIFO topic');
    if (MessageDeduplicationId !== undefined)
      throw snsParameterError(
        'MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type',
      );
    if (MessageGroupId !== undefined) throw missingFeatureError('MessageGroupId of sns:Publish');
    checkTopicKey(call, topic);
    const body = messageTextOf(input);
    // fact: localstack TestSNSPublishCrud::test_publish_with_empty_subject (recorded from AWS)
    if (Subject !== undefined && !/^[\x21-\x7e][\x20-\x7e]{0,99}$/.test(Subject))
      throw snsParameterError('Subject');
    const attributes = toStoredAttributes(input.MessageAttributes ?? {});
    const messageId = call.topics.publish(topic, {
      body,
      ...(Subject === undefined ? {} : { subject: Subject }),
      ...(attributes ? { attributes } : {}),
    });
    return { MessageId: messageId };
  },
};

/** SNS API Reference, Publish: 256 KB. */
const MAX_MESSAGE_BYTES = 262_144;

/**
 * Returns the message for queues. With MessageStructure `json`, the message has a text for each protocol.
 * fact: localstack TestSNSPublishCrud::test_message_structure_json_exc, test_empty_sns_message, test_publish_too_long_message
 */
function messageTextOf({ Message = '', MessageStructure }: PublishInput): string {
  if (Message === '') throw snsParameterError('Empty message');
  if (Buffer.byteLength(Message) > MAX_MESSAGE_BYTES) throw snsParameterError('Message too long');
  if (MessageStructure === undefined) return Message;
  if (MessageStructure !== 'json') throw snsParameterError('MessageStructure');
  let texts: { default?: unknown; sqs?: unknown };
  try {
    texts = JSON.parse(Message) as typeof texts;
  } catch {
    throw snsParameterError('Message Structure - JSON message body failed to parse');
  }
  if (typeof texts?.default !== 'string')
    throw snsParameterError('Message Structure - No default entry in JSON message body');
  return typeof texts.sqs === 'string' ? texts.sqs : texts.default;
}

/** A topic under a customer key needs the key of the publisher (SNS Developer Guide, "Key management"). */
function checkTopicKey(call: Call, topic: TopicState): void {
  const keyId = topic.attributes.get('KmsMasterKeyId');
  if (keyId === undefined || (isManagedKey(keyId) && call.caller.account === topic.account)) return;
  try {
    const request = {
      keyArn: call.keyService.resolve(keyId, topic),
      principal: call.caller.arn,
      viaService: serviceHostOf('sns', topic.region),
      context: topicEncryptionContextOf(topic),
    };
    for (const action of ['kms:GenerateDataKey', 'kms:Decrypt'] as const)
      call.keyService.check(request, action);
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    throw new AwsError(400, TOPIC_KEY_ERRORS[error.code] ?? 'KMSInvalidState', error.message);
  }
}

/** Errors of SNS by the error of KMS. */
const TOPIC_KEY_ERRORS: Record<string, string> = {
  AccessDeniedException: 'KMSAccessDenied',
  DisabledException: 'KMSDisabled',
  NotFoundException: 'KMSNotFound',
};
