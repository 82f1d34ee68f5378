import { AwsError } from '../aws-error.ts';
import {
  coerceText,
  createXmlSerializer,
  escapeXml,
  type NormalizedSchema,
  normalizeSchema,
  TIMESTAMP_DATE_TIME,
  XML_NAMESPACES,
  xmlCodecs,
} from './codec.ts';
import type { RestService, SdkOperation } from './operations.ts';

/** The parts of a REST request. */
export interface RestRequest {
  bucket: string;
  key: string;
  /** Labels of the path by name. S3 has the bucket and the key instead. */
  labels?: Record<string, string>;
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
 * @throws AwsError MalformedXML when the body is not valid XML for the schema, InvalidArgument when a number of the query
 * is not an integer.
 */
export async function decodeRest(
  operation: SdkOperation,
  request: RestRequest,
): Promise<Record<string, unknown>> {
  const input: Record<string, unknown> = {};
  const schema = normalizeSchema(operation.input);
  if (schema.isUnitSchema()) return input;
  /** Members without a binding: the elements of the body. */
  const elements: string[] = [];
  for (const [name, member] of schema.structIterator()) {
    const traits = member.getMergedTraits();
    if (traits.httpLabel) {
      input[name] = request.labels?.[name] ?? (name === 'Bucket' ? request.bucket : request.key);
    } else if (traits.httpQuery && member.isListSchema()) {
      const values = request.query.getAll(traits.httpQuery);
      if (values.length > 0) input[name] = values;
    } else if (traits.httpQuery) {
      const value = request.query.get(traits.httpQuery);
      if (value !== null) input[name] = coerceQueryValue(member, traits.httpQuery, value);
    } else if (traits.httpHeader) {
      const value = request.headers[traits.httpHeader.toLowerCase()];
      // S3 stores the text of Expires, which need not be a date.
      if (value !== undefined) input[name] = name === 'Expires' ? value : coerceText(member, value);
    } else if (traits.httpPrefixHeaders !== undefined) {
      input[name] = prefixedHeadersOf(request.headers, traits.httpPrefixHeaders);
    } else if (traits.httpPayload) {
      if (!member.isStructSchema())
        input[name] = member.isBlobSchema() ? request.body : request.body.toString();
      else if (request.body.length > 0) input[name] = await readXml(member, request.body.toString());
      else if (request.key === '' && requiresBody(operation)) throw missingBodyError();
    } else elements.push(name);
  }
  if (elements.length === 0 || request.body.length === 0) return input;
  const body = (await readXml(schema, request.body.toString())) as Record<string, unknown>;
  for (const name of elements) if (body[name] !== undefined) input[name] = body[name];
  return input;
}

/** Returns whether an operation of a bucket needs a document. An ACL may be in the headers instead. */
const requiresBody = ({ name }: SdkOperation): boolean => name.startsWith('Put') && !name.endsWith('Acl');

/** S3 API Reference, "Error responses": MissingRequestBodyError. */
const missingBodyError = (): AwsError =>
  new AwsError(400, 'MissingRequestBodyError', 'Request Body is empty');

/**
 * Converts a value of the query. S3 takes an empty number for absent.
 * fact: localstack/s3.list_parts/test_list_parts_empty_part_number_marker#list-parts-empty-max-parts
 */
function coerceQueryValue(schema: NormalizedSchema, name: string, text: string): unknown {
  // Like Expires, the text of response-expires need not be a date.
  if (!schema.isNumericSchema()) return name === 'response-expires' ? text : coerceText(schema, text);
  if (text === '') return undefined;
  const value = Number(text);
  if (/^-?\d+$/.test(text) && Math.abs(value) <= MAX_INTEGER) return value;
  throw new AwsError(
    400,
    'InvalidArgument',
    name === 'partNumber'
      ? 'Part number must be an integer between 1 and 10000, inclusive'
      : `Provided ${name} not an integer or within integer range`,
    { ArgumentName: name, ArgumentValue: text },
  );
}

const MAX_INTEGER = 2_147_483_647;

/**
 * Reads the XML of a body.
 *
 * @throws AwsError MalformedXML when it is not well-formed, or has elements or values that the schema does not contain. The
 * codec ignores these, and S3 would not.
 */
async function readXml(schema: NormalizedSchema, text: string): Promise<unknown> {
  try {
    const deserializer = xmlCodecs.s3.createDeserializer();
    // The declarations of the SDK have the method as protected.
    const { parseXml } = deserializer as unknown as { parseXml(text: string): unknown };
    const tree = parseXml.call(deserializer, removeSpaceBetweenTags(text));
    const isValid =
      rootNameOf(text) === (schema.getMergedTraits().xmlName ?? schema.getName()) &&
      matchesSchema(schema, tree);
    if (isValid) return await deserializer.readSchema(schema.getSchema(), tree);
  } catch {
    // The parser and the codec throw different errors.
  }
  throw malformedXmlError();
}

/** Returns the name of the root element, after the declaration and comments. */
const rootNameOf = (xml: string): string | undefined =>
  /^(?:<\?.*?\?>|<!--.*?-->|\s)*<([\w.-]+)/s.exec(xml)?.[1];

/**
 * Removes white space between tags, for which the codec drops the elements around it. White space that is the value of an
 * element stays.
 */
const removeSpaceBetweenTags = (xml: string): string =>
  xml.replace(/(<[^<>]*>)\s+(?=<(\/?))/g, (match, tag: string, slash: string) =>
    slash === '/' && !/^<[/?!]|\/>$/.test(tag) ? match : tag,
  );

/** Returns whether a schema contains all elements of a parsed document, and their texts have the types of the schema. */
function matchesSchema(schema: NormalizedSchema, value: unknown): boolean {
  if (schema.isListSchema() && schema.getMergedTraits().xmlFlattened)
    return [value].flat().every((item) => matchesSchema(schema.getValueSchema(), item));
  if (Array.isArray(value)) return false;
  if (typeof value !== 'object' || value === null) return isTextOf(schema, String(value));
  if (schema.isListSchema()) {
    const itemSchema = schema.getValueSchema();
    const itemName = itemSchema.getMergedTraits().xmlName ?? 'member';
    return elementsOfNode(value).every(
      ([name, items]) => name === itemName && [items].flat().every((item) => matchesSchema(itemSchema, item)),
    );
  }
  if (!schema.isStructSchema()) return elementsOfNode(value).length === 0;
  const members = new Map(
    [...schema.structIterator()].map(([name, member]) => [member.getMemberTraits().xmlName ?? name, member]),
  );
  return elementsOfNode(value).every(([name, child]) => {
    const member = members.get(name);
    return member !== undefined && matchesSchema(member, child);
  });
}

/** Returns whether a text is a value of a schema. Structures and lists have no text. */
function isTextOf(schema: NormalizedSchema, text: string): boolean {
  if (schema.isStructSchema() || schema.isListSchema()) return text.trim() === '';
  if (schema.isBooleanSchema()) return /^(true|false)$/i.test(text.trim());
  if (schema.isNumericSchema()) return /^-?\d+$/.test(text.trim());
  if (schema.isTimestampSchema()) return !Number.isNaN(Date.parse(text));
  return true;
}

/** Returns the child elements of a parsed element. The parser adds its attributes, all of them namespaces and types. */
const elementsOfNode = (node: object): [name: string, value: unknown][] =>
  Object.entries(node).filter(([name]) => name !== '#text' && !/^xmlns$|:/.test(name));

export const malformedXmlError = (): AwsError =>
  new AwsError(
    400,
    'MalformedXML',
    'The XML you provided was not well-formed or did not validate against our published schema',
  );

/** Success status by operation, if AWS responds with another status than the model of the SDK declares. */
const SUCCESS_STATUS: Record<string, number> = { PutBucketPolicy: 204, PutBucketTagging: 204 };

/**
 * Key of the names of the elements of a list, in order, in an output whose list has several kinds of elements. The SDK has
 * a list for each kind.
 */
export const LISTED_ELEMENTS = Symbol('elements of the list in order');

type Output = Record<string | symbol, unknown>;

/** Writes the elements of lists in the order of their names. */
function inListedOrder(xml: string, names: readonly string[] = []): string {
  if (names.length === 0) return xml;
  const pattern = new RegExp(`<(${[...new Set(names)].join('|')})>.*?</\\1>`, 'gs');
  const elements = [...xml.matchAll(pattern)];
  const next = Object.fromEntries(
    names.map((name) => [name, elements.filter(([, other]) => other === name).values()]),
  );
  let index = 0;
  return xml.replace(pattern, () => next[names[index++] ?? '']?.next().value?.[0] ?? '');
}

/** Encodes an operation's output as status, headers and body. */
export function encodeRest(
  operation: SdkOperation,
  output: Output,
  service: RestService = 's3',
): EncodedResponse {
  const headers: Record<string, string> = {};
  const successStatus = SUCCESS_STATUS[operation.name] ?? operation.http[2];
  const schema = normalizeSchema(operation.output);
  if (schema.isUnitSchema()) return { status: successStatus, headers, body: '' };
  let payload: { member: NormalizedSchema; value: unknown } | undefined;
  /** Members without a binding: the elements of the body. */
  const elements: [name: string, value: unknown][] = [];
  for (const [name, member] of schema.structIterator()) {
    const traits = member.getMergedTraits();
    const value = output[name];
    if (traits.httpHeader) {
      if (value !== undefined) headers[traits.httpHeader.toLowerCase()] = formatHeader(member, value);
    } else if (traits.httpPrefixHeaders !== undefined) {
      for (const [key, text] of Object.entries((value ?? {}) as Record<string, string>)) {
        headers[`${traits.httpPrefixHeaders}${key}`.toLowerCase()] = encodeMetadataValue(text);
      }
    } else if (traits.httpPayload) payload = { member, value };
    else elements.push([name, value]);
  }
  // A successful read of a range has the status 206.
  const status = 'content-range' in headers ? 206 : successStatus;
  if (elements.length > 0)
    return {
      status,
      headers: { ...headers, 'content-type': XML_TYPE },
      body: inListedOrder(
        writeElements(service, schema, elements),
        output[LISTED_ELEMENTS] as string[] | undefined,
      ),
    };
  if (payload?.value === undefined) return { status, headers, body: '' };
  if (payload.member.isStructSchema())
    return {
      status,
      headers: { ...headers, 'content-type': XML_TYPE },
      body: writeXml(service, payload.member, payload.value),
    };
  // The only text payload is a bucket policy (S3 API Reference, GetBucketPolicy).
  if (!payload.member.isBlobSchema()) headers['content-type'] = 'application/json';
  return { status, headers, body: payload.value as Buffer | string };
}

const XML_TYPE = 'application/xml';

const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

/**
 * Writes the members of an output that are elements of the body. If the only member has the name of the root element,
 * its value is the content of the root (`s3UnwrappedXmlOutput` in the model of AWS: GetBucketLocation). The schemas of
 * the SDK lack this trait.
 */
function writeElements(
  service: RestService,
  schema: NormalizedSchema,
  elements: [name: string, value: unknown][],
): string {
  const [[name, value] = ['', undefined], ...otherElements] = elements;
  const isUnwrapped = otherElements.length === 0 && name === schema.getMergedTraits().xmlName;
  if (!isUnwrapped || value === undefined) return writeXml(service, schema, Object.fromEntries(elements));
  return `${XML_DECLARATION}<${name} xmlns="${XML_NAMESPACES.s3}">${escapeXml(String(value))}</${name}>`;
}

function writeXml(service: RestService, schema: NormalizedSchema, value: unknown): string {
  const serializer = createXmlSerializer(service);
  serializer.write(schema, value);
  return escapeControlCharacters(`${XML_DECLARATION}${String(serializer.flush())}`);
}

/** Escapes the control characters of keys, which the codec does not escape. */
const escapeControlCharacters = (xml: string): string =>
  xml.replace(/\p{Cc}/gu, (char) => (/[\n\t]/.test(char) ? char : `&#x${char.charCodeAt(0).toString(16)};`));

/**
 * Encodes an error as S3's XML. S3 Control has the error in an `ErrorResponse`, as the clients of its model expect
 * (`noErrorWrapping` is set for S3 only). The server omits the body in a response to HEAD.
 */
export function encodeRestError(
  error: AwsError,
  requestId: string,
  service: RestService = 's3',
): EncodedResponse {
  const elementsOf = (texts: Record<string, string>) =>
    Object.entries(texts)
      .map(([name, text]) => `<${name}>${escapeXml(text)}</${name}>`)
      .join('');
  const details = elementsOf({ Code: error.code, Message: error.message, ...error.fields });
  const ids = elementsOf({ RequestId: requestId, HostId: HOST_ID });
  const body =
    service === 's3'
      ? `<Error>${details}${ids}</Error>`
      : `<ErrorResponse xmlns="${XML_NAMESPACES[service]}"><Error>${details}</Error>${ids}</ErrorResponse>`;
  return {
    status: error.status,
    // A response without a body has no type of its content.
    headers: { ...(error.status === 304 ? {} : { 'content-type': XML_TYPE }), ...error.headers },
    body: escapeControlCharacters(`${XML_DECLARATION}${body}`),
  };
}

export const HOST_ID = 'c2FuZGJveA==';

function prefixedHeadersOf(headers: Record<string, string>, prefix: string): Record<string, string> {
  const matches = Object.entries(headers).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(matches.map(([name, value]) => [name.slice(prefix.length), value]));
}

/** Formats a header. Dates are HTTP dates, except for members whose model requires ISO 8601. */
const formatHeader = (member: NormalizedSchema, value: unknown): string => {
  if (!(value instanceof Date)) return String(value);
  return member.getSchema() === TIMESTAMP_DATE_TIME
    ? value.toISOString().replace(/\.\d+Z$/, 'Z')
    : value.toUTCString();
};

/**
 * Encodes a value of user metadata as S3 does (S3 User Guide, "User-defined object metadata"): a value beyond US-ASCII
 * returns in the form of RFC 2047. S3 takes the bytes of the request for ISO 8859-1, as HTTP does.
 */
const encodeMetadataValue = (text: string): string =>
  /^[ -~\t]*$/.test(text) ? text : `=?UTF-8?B?${Buffer.from(text).toString('base64')}?=`;
