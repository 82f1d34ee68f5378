import { AwsError } from '../aws-error.ts';
import {
  formatMissingMembers,
  jsonCodec,
  type NormalizedSchema,
  normalizeSchema,
  validateInput,
} from './codec.ts';
import type { SdkOperation } from './operations.ts';
import type { EncodedResponse } from './rest-xml.ts';

const JSON_CONTENT_TYPE = 'application/x-amz-json-1.1';

/** JSON 1.1, as KMS speaks it. */
export async function decodeJson(operation: SdkOperation, body: Buffer): Promise<Record<string, unknown>> {
  const schema = normalizeSchema(operation.input);
  const input = await deserializeJson(schema, body.toString() || '{}');
  const { mistyped, missing } = validateInput(schema, input);
  if (mistyped.length > 0)
    throw serializationError(`${mistyped.join(', ')} has another type in this operation`);
  if (missing.length > 0) throw new AwsError(400, 'ValidationException', formatMissingMembers(missing));
  return input as Record<string, unknown>;
}

async function deserializeJson(schema: NormalizedSchema, text: string): Promise<unknown> {
  try {
    return await jsonCodec.createDeserializer().read(schema, text);
  } catch (error) {
    throw serializationError(error instanceof Error ? error.message : String(error));
  }
}

const serializationError = (reason: string): AwsError => new AwsError(400, 'SerializationException', reason);

export function encodeJson(operation: SdkOperation, output: Record<string, unknown>): EncodedResponse {
  const schema = normalizeSchema(operation.output);
  if (schema.isUnitSchema())
    return { status: 200, headers: { 'content-type': JSON_CONTENT_TYPE }, body: '{}' };
  const serializer = jsonCodec.createSerializer();
  serializer.write(schema, output);
  return { status: 200, headers: { 'content-type': JSON_CONTENT_TYPE }, body: String(serializer.flush()) };
}

export function encodeJsonError(error: AwsError): EncodedResponse {
  return {
    status: error.status,
    headers: { 'content-type': JSON_CONTENT_TYPE },
    body: JSON.stringify({ __type: error.code, message: error.message, ...error.fields }),
  };
}
