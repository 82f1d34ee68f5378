import type { QueueState } from '../state.ts';

/**
 * Attributes with a number as their value: smallest, largest and default value (SQS API Reference, SetQueueAttributes). A
 * message may have 1 MiB since August 2025.
 */
export const NUMERIC_ATTRIBUTES = {
  DelaySeconds: [0, 900, 0],
  MaximumMessageSize: [1024, 1_048_576, 1_048_576],
  MessageRetentionPeriod: [60, 1_209_600, 345_600],
  ReceiveMessageWaitTimeSeconds: [0, 20, 0],
  VisibilityTimeout: [0, 43_200, 30],
  KmsDataKeyReusePeriodSeconds: [60, 86_400, 300],
} as const;

export type NumericAttribute = keyof typeof NUMERIC_ATTRIBUTES;

export const isNumericAttribute = (name: string): name is NumericAttribute => name in NUMERIC_ATTRIBUTES;

export const numericAttributeOf = ({ attributes }: QueueState, name: NumericAttribute): number =>
  Number(attributes.get(name) ?? NUMERIC_ATTRIBUTES[name][2]);

export const isFifo = ({ name }: Pick<QueueState, 'name'>): boolean => name.endsWith('.fifo');
