import { toList } from '../../iam/context.ts';
import { type AwsError, missingFeatureError } from '../aws-error.ts';
import type { Call } from '../call.ts';
import type { QueueState } from '../state.ts';
import {
  findUnknownPrincipal,
  parsePolicyInput,
  replaceIdsWithRoleArns,
  replaceRoleArnsWithIds,
  supersedePolicy,
} from '../stored-policies.ts';
import { sqsError } from './errors.ts';
import {
  isFifo,
  isNumericAttribute,
  NUMERIC_ATTRIBUTES,
  type NumericAttribute,
  numericAttributeOf,
} from './numeric-attributes.ts';
import { countMessages } from './queue-contents.ts';

/** Other attributes that a client can set, with their values; an empty list for any value. */
const TEXT_ATTRIBUTES: Record<string, string[]> = {
  KmsMasterKeyId: [],
  SqsManagedSseEnabled: ['true', 'false'],
  ContentBasedDeduplication: ['true', 'false'],
  DeduplicationScope: ['queue', 'messageGroup'],
  FifoThroughputLimit: ['perQueue', 'perMessageGroupId'],
};

/** Attributes that only a FIFO queue has. */
const FIFO_ATTRIBUTES = new Set(['ContentBasedDeduplication', 'DeduplicationScope', 'FifoThroughputLimit']);

/** Attributes of AWS that the sandbox does not implement. */
const UNSUPPORTED_QUEUE_ATTRIBUTES = new Set(['RedrivePolicy', 'RedriveAllowPolicy']);

const invalidAttributeError = (name: string): AwsError =>
  sqsError('InvalidAttributeValue', `Invalid value for the parameter ${name}.`);

const unknownAttributeError = (name: string): AwsError =>
  sqsError('InvalidAttributeName', `Unknown Attribute ${name}.`);

/**
 * Sets attributes of a queue. An empty value removes an attribute.
 *
 * @throws AwsError when an attribute is unknown or its value invalid. The queue is unchanged then.
 */
export function setQueueAttributes(call: Call, queue: QueueState, input: Record<string, string>): void {
  for (const [name, value] of Object.entries(input)) checkAttribute(queue, name, value);
  if (input.KmsMasterKeyId && input.SqsManagedSseEnabled === 'true')
    throw sqsError(
      'InvalidAttributeName',
      'You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.',
    );
  const { Policy: policyText, ...settings } = input;
  const policy = policyText ? toStoredQueuePolicy(call, policyText) : undefined;
  if (policyText !== undefined) {
    supersedePolicy(queue, queue.policy, call.now, call.faultSettings.policyPropagationMs);
    if (policy === undefined) delete queue.policy;
    else queue.policy = policy;
  }
  for (const [name, value] of Object.entries(settings)) {
    if (name === 'FifoQueue') continue;
    if (value === '') queue.attributes.delete(name);
    else queue.attributes.set(name, value);
  }
  if (input.KmsMasterKeyId) queue.attributes.set('SqsManagedSseEnabled', 'false');
  if (input.SqsManagedSseEnabled === 'true') queue.attributes.delete('KmsMasterKeyId');
  queue.modified = call.now;
}

function checkAttribute(queue: QueueState, name: string, value: string): void {
  if (name === 'Policy') return;
  if (UNSUPPORTED_QUEUE_ATTRIBUTES.has(name) && value !== '')
    throw missingFeatureError(`the queue attribute ${name}`);
  if (name === 'FifoQueue') {
    if (value !== 'true' || !isFifo(queue)) throw unknownAttributeError(name);
    return;
  }
  const values = TEXT_ATTRIBUTES[name];
  const isSupported =
    isNumericAttribute(name) || values !== undefined || UNSUPPORTED_QUEUE_ATTRIBUTES.has(name);
  if (!isSupported || (FIFO_ATTRIBUTES.has(name) && !isFifo(queue))) throw unknownAttributeError(name);
  if (value === '') return;
  if (values && values.length > 0 && !values.includes(value)) throw invalidAttributeError(name);
  if (!isNumericAttribute(name)) return;
  const [min, max] = NUMERIC_ATTRIBUTES[name];
  if (!/^\d{1,9}$/.test(value) || Number(value) < min || Number(value) > max)
    throw invalidAttributeError(name);
}

/** SQS Developer Guide, "Amazon SQS policy quotas". */
const POLICY_LIMITS = { bytes: 8192, statements: 20, actions: 7, principals: 50 };

/**
 * Returns a queue policy for storage. SQS reports each fault of a policy with the same message, also a principal that does
 * not exist.
 */
function toStoredQueuePolicy(call: Call, text: string): string {
  const policy = parsePolicyInput(text, () => invalidAttributeError('Policy'));
  const statements = toList(policy.Statement);
  const isValid = statements.every(
    ({ Principal, NotPrincipal, Action, NotAction }) =>
      (Principal ?? NotPrincipal) !== undefined &&
      toList(Action ?? NotAction).every((action) => /^(\*|sqs:.+)$/i.test(action)) &&
      toList(Action).length <= POLICY_LIMITS.actions &&
      Object.values(Principal === '*' ? {} : (Principal ?? {})).flat().length <= POLICY_LIMITS.principals,
  );
  if (
    !isValid ||
    Buffer.byteLength(text) > POLICY_LIMITS.bytes ||
    statements.length > POLICY_LIMITS.statements ||
    findUnknownPrincipal(call.store, policy, call.now) !== undefined
  )
    throw invalidAttributeError('Policy');
  return replaceRoleArnsWithIds(call.store, text, call.now);
}

/**
 * Returns attributes of a queue by the names of a request, of which `All` selects all.
 *
 * @throws AwsError InvalidAttributeName for an unknown name.
 */
export function queueAttributesOf(
  call: Call,
  queue: QueueState,
  names: readonly string[] = [],
): Record<string, string> | undefined {
  const all = allAttributesOf(call, queue);
  const unknownName = names.find((name) => name !== 'All' && !(name in all) && !isKnownAttribute(name));
  if (unknownName !== undefined) throw unknownAttributeError(unknownName);
  const selected = Object.entries(all).filter(
    ([name, value]) => value !== undefined && (names.includes('All') || names.includes(name)),
  );
  return selected.length === 0 ? undefined : (Object.fromEntries(selected) as Record<string, string>);
}

const isKnownAttribute = (name: string): boolean =>
  name in TEXT_ATTRIBUTES || name === 'FifoQueue' || UNSUPPORTED_QUEUE_ATTRIBUTES.has(name);

function allAttributesOf(call: Call, queue: QueueState): Record<string, string | undefined> {
  const { attributes, policy } = queue;
  const counts = countMessages(queue, call.now);
  const toSeconds = (ms: number) => String(Math.floor(ms / 1000));
  const numeric = (Object.keys(NUMERIC_ATTRIBUTES) as NumericAttribute[])
    .filter((name) => name !== 'KmsDataKeyReusePeriodSeconds' || attributes.has('KmsMasterKeyId'))
    .map((name) => [name, String(numericAttributeOf(queue, name))]);
  return {
    QueueArn: queue.arn,
    ApproximateNumberOfMessages: String(counts.visible),
    ApproximateNumberOfMessagesNotVisible: String(counts.inFlight),
    ApproximateNumberOfMessagesDelayed: String(counts.delayed),
    CreatedTimestamp: toSeconds(queue.created),
    LastModifiedTimestamp: toSeconds(queue.modified),
    ...Object.fromEntries(numeric),
    Policy: policy === undefined ? undefined : replaceIdsWithRoleArns(call.store, policy),
    KmsMasterKeyId: attributes.get('KmsMasterKeyId'),
    SqsManagedSseEnabled: attributes.get('SqsManagedSseEnabled') ?? 'true',
    ...(isFifo(queue)
      ? {
          FifoQueue: 'true',
          ContentBasedDeduplication: attributes.get('ContentBasedDeduplication') ?? 'false',
          DeduplicationScope: attributes.get('DeduplicationScope') ?? 'queue',
          FifoThroughputLimit: attributes.get('FifoThroughputLimit') ?? 'perQueue',
        }
      : {}),
  };
}
