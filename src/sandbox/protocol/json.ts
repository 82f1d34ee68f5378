import { AwsError } from '../aws-error.ts';
import { json, normal } from './codec.ts';
import type { Operation } from './operations.ts';
import type { Answer } from './rest-xml.ts';
import { faultsOf, missingMessage } from './validate.ts';

const CONTENT_TYPE = 'application/x-amz-json-1.1';

/** JSON 1.1, as KMS speaks it. */
export async function decodeJson(operation: Operation, body: Buffer): Promise<Record<string, unknown>> {
  const schema = normal(operation.input);
  const input = await read(schema, body.toString() || '{}');
  const { mistyped, missing } = faultsOf(schema, input);
  if (mistyped.length > 0) throw unreadable(`${mistyped.join(', ')} has another type in this operation`);
  if (missing.length > 0) throw new AwsError(400, 'ValidationException', missingMessage(missing));
  return input as Record<string, unknown>;
}

async function read(schema: ReturnType<typeof normal>, text: string): Promise<unknown> {
  try {
    return await json.createDeserializer().read(schema, text);
  } catch (error) {
    throw unreadable(error instanceof Error ? error.message : String(error));
  }
}

const unreadable = (why: string): AwsError => new AwsError(400, 'SerializationException', why);

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
