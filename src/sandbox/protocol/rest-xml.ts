import { AwsError } from '../aws-error.ts';
import { coerceText, escapeXml, type NormalizedSchema, normalizeSchema, xmlCodecs } from './codec.ts';
import type { SdkOperation } from './operations.ts';

/** The parts of a REST request. */
export interface RestRequest {
  bucket: string;
  key: string;
  query: URLSearchParams;
  headers: Record<string, string>;
  body: Buffer;
}

export interface EncodedResponse {
  status: number;
  headers: Record<string, string>;
  body: Buffer | string;
}

/**
 * Decodes a request into the operation's input. The schema binds each member to a label, the query, a header or the
 * body.
 *
 * @throws AwsError MalformedXML when the body is not valid XML for the schema.
 */
export async function decodeRest(
  operation: SdkOperation,
  request: RestRequest,
): Promise<Record<string, unknown>> {
  const input: Record<string, unknown> = {};
  const schema = normalizeSchema(operation.input);
  if (schema.isUnitSchema()) return input;
  for (const [name, member] of schema.structIterator()) {
    const traits = member.getMergedTraits();
    if (traits.httpLabel) {
      input[name] = name === 'Bucket' ? request.bucket : request.key;
    } else if (traits.httpQuery) {
      const value = request.query.get(traits.httpQuery);
      if (value !== null) input[name] = coerceText(member, value);
    } else if (traits.httpHeader) {
      const value = request.headers[traits.httpHeader.toLowerCase()];
      if (value !== undefined) input[name] = coerceText(member, value);
    } else if (traits.httpPrefixHeaders !== undefined) {
      input[name] = prefixedHeadersOf(request.headers, traits.httpPrefixHeaders);
    } else if (traits.httpPayload) {
      if (!member.isStructSchema())
        input[name] = member.isBlobSchema() ? request.body : request.body.toString();
      else if (request.body.length > 0) input[name] = await readXml(member, request.body.toString());
    }
  }
  return input;
}

async function readXml(schema: NormalizedSchema, text: string): Promise<unknown> {
  try {
    return await xmlCodecs.s3.createDeserializer().read(schema, text);
  } catch {
    throw malformedXmlError();
  }
}

export const malformedXmlError = (): AwsError =>
  new AwsError(
    400,
    'MalformedXML',
    'The XML you provided was not well-formed or did not validate against our published schema',
  );

/** Success status by operation, if AWS responds with another status than the model of the SDK declares. */
const SUCCESS_STATUS: Record<string, number> = { PutBucketPolicy: 204, PutBucketTagging: 204 };

/** Encodes an operation's output as status, headers and body. */
export function encodeRest(operation: SdkOperation, output: Record<string, unknown>): EncodedResponse {
  const headers: Record<string, string> = {};
  let body: Buffer | string = '';
  let hasBodyMembers = false;
  const successStatus = SUCCESS_STATUS[operation.name] ?? operation.http[2];
  const schema = normalizeSchema(operation.output);
  if (schema.isUnitSchema()) return { status: successStatus, headers, body };
  for (const [name, member] of schema.structIterator()) {
    const traits = member.getMergedTraits();
    const value = output[name];
    if (traits.httpHeader) {
      if (value !== undefined) headers[traits.httpHeader.toLowerCase()] = formatHeader(value);
    } else if (traits.httpPrefixHeaders !== undefined) {
      for (const [key, text] of Object.entries((value ?? {}) as Record<string, string>)) {
        headers[`${traits.httpPrefixHeaders}${key}`.toLowerCase()] = text;
      }
    } else if (traits.httpPayload) {
      if (value === undefined) continue;
      if (member.isStructSchema()) {
        body = writeXml(member, value);
        headers['content-type'] = 'application/xml';
      } else body = value as Buffer | string;
    } else hasBodyMembers = true;
  }
  if (hasBodyMembers) {
    body = writeXml(schema, output);
    headers['content-type'] = 'application/xml';
  }
  // A successful read of a range has the status 206.
  const status = 'content-range' in headers ? 206 : successStatus;
  return { status, headers, body };
}

function writeXml(schema: NormalizedSchema, value: unknown): string {
  const serializer = xmlCodecs.s3.createSerializer();
  serializer.write(schema, value);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${String(serializer.flush())}`;
}

/** Encodes an error as S3's XML. The server omits the body in a response to HEAD. */
export function encodeRestError(error: AwsError, requestId: string, resource: string): EncodedResponse {
  const fields = {
    ...error.fields,
    Resource: error.fields.Resource ?? resource,
    RequestId: requestId,
    HostId: HOST_ID,
  };
  const elements = Object.entries({ Code: error.code, Message: error.message, ...fields })
    .map(([name, text]) => `<${name}>${escapeXml(text)}</${name}>`)
    .join('');
  return {
    status: error.status,
    headers: { 'content-type': 'application/xml', ...error.headers },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${elements}</Error>`,
  };
}

export const HOST_ID = 'c2FuZGJveA==';

function prefixedHeadersOf(headers: Record<string, string>, prefix: string): Record<string, string> {
  const matches = Object.entries(headers).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(matches.map(([name, value]) => [name.slice(prefix.length), value]));
}

const formatHeader = (value: unknown): string =>
  value instanceof Date ? value.toUTCString() : String(value);
