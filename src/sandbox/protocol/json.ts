import { AwsError } from '../aws-error.ts';
import { json, normal } from './codec.ts';
import type { Operation } from './operations.ts';
import type { Answer } from './rest-xml.ts';

const CONTENT_TYPE = 'application/x-amz-json-1.1';

/** JSON 1.1, as KMS speaks it. */
export async function decodeJson(operation: Operation, body: Buffer): Promise<Record<string, unknown>> {
  try {
    const input = await json.createDeserializer().read(normal(operation.input), body.toString() || '{}');
    return input as Record<string, unknown>;
  } catch {
    throw new AwsError(400, 'SerializationException', 'The request body is not valid JSON of this operation');
  }
}

export function encodeJson(operation: Operation, output: Record<string, unknown>): Answer {
  const schema = normal(operation.output);
  if (schema.isUnitSchema()) return { status: 200, headers: { 'content-type': CONTENT_TYPE }, body: '{}' };
  const serializer = json.createSerializer();
  serializer.write(schema, output);
  return { status: 200, headers: { 'content-type': CONTENT_TYPE }, body: String(serializer.flush()) };
}

export function encodeJsonError(error: AwsError): Answer {
  return {
    status: error.status,
    headers: { 'content-type': CONTENT_TYPE },
    body: JSON.stringify({ __type: error.code, message: error.message, ...error.fields }),
  };
}
