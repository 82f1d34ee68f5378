import { createHash } from 'node:crypto';
import type { MessageAttributeValue } from '@aws-sdk/client-sqs';
import type { AwsError } from '../aws-error.ts';
import type { MessageAttribute } from '../state.ts';
import { parameterError } from './errors.ts';

/**
 * Returns the attributes of a message for storage.
 *
 * @throws AwsError for more than ten attributes, an unknown type or an empty value.
 */
export function toStoredAttributes(
  attributes: Record<string, MessageAttributeValue>,
  toError: (message: string) => AwsError = parameterError,
): Record<string, MessageAttribute> | undefined {
  const entries = Object.entries(attributes);
  if (entries.length > 10)
    throw toError(`Number of message attributes [${entries.length}] exceeds the allowed maximum [10].`);
  const stored = entries.map(([name, { DataType = '', StringValue, BinaryValue }]) => {
    if (!/^(String|Number|Binary)(\..+)?$/.test(DataType))
      throw toError(
        `The type of message (user) attribute '${name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String.`,
      );
    const isBinary = DataType.startsWith('Binary');
    const isEmpty = isBinary ? !BinaryValue?.length : !StringValue;
    if (isEmpty)
      throw toError(
        `The message (user) attribute '${name}' must contain a non-empty value of type '${DataType}'.`,
      );
    const value: MessageAttribute = isBinary
      ? { DataType, BinaryValue: Buffer.from(BinaryValue ?? []).toString('base64') }
      : { DataType, StringValue: StringValue ?? '' };
    return [name, value] as const;
  });
  return stored.length === 0 ? undefined : Object.fromEntries(stored);
}

/** Digest of attributes, sorted by name (SQS Developer Guide, "Calculating the MD5 message digest for message attributes"). */
export function md5OfAttributes(attributes: Record<string, MessageAttribute>): string {
  const hash = createHash('md5');
  const update = (bytes: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  };
  for (const name of Object.keys(attributes).sort()) {
    const { DataType = '', StringValue = '', BinaryValue } = attributes[name] ?? {};
    update(Buffer.from(name));
    update(Buffer.from(DataType));
    hash.update(Buffer.from([BinaryValue === undefined ? 1 : 2]));
    update(BinaryValue === undefined ? Buffer.from(StringValue) : Buffer.from(BinaryValue, 'base64'));
  }
  return hash.digest('hex');
}
