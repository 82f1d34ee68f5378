import type { Element } from '@xmldom/xmldom';
import { type Call, type Response, statusLine, success } from '../client.ts';
import { NAMESPACES, restOperation } from './wire-requests.ts';
import { type Body, HEADERS, KMS, QUERY, type Shape, type Structure } from './wire-shapes.ts';
import { childElements, convertText, decodeXml, parseXml } from './wire-xml.ts';

/** What arrived over HTTP. */
export interface WireResponse {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** Returns what a response contains, with each departure from the documented form as a fault. */
export function decodeResponse(call: Call, wire: WireResponse): Response {
  const { service } = call;
  if (service === 'kms') return decodeJson(call, wire);
  return service === 'iam' || service === 'sts' ? decodeQuery(call, wire, service) : decodeRest(call, wire);
}

/** Headers of every response, from "Common response headers" of the S3 API reference and from HTTP. */
const COMMON_HEADERS = new Set([
  'connection',
  'content-length',
  'content-type',
  'date',
  'keep-alive',
  'server',
  'transfer-encoding',
  'x-amz-id-2',
  'x-amz-request-id',
]);

function decodeRest(call: Call, wire: WireResponse): Response {
  const { method, headers = [], response } = restOperation(call);
  const { status, body } = wire;
  const faults: string[] = [];
  for (const name of ['x-amz-request-id', 'x-amz-id-2'])
    if (!wire.headers[name]) faults.push(`no header ${name}`);
  if (status >= 300) return restError(call, wire, faults);
  const output: Record<string, unknown> = decodeHeaders(headers, wire, faults);
  if (response === undefined || method === 'HEAD') {
    if (body.length > 0) faults.push('a body, which this response does not have');
    if (status !== 204 && method !== 'HEAD' && wire.headers['content-length'] !== '0')
      faults.push('an empty body without content-length: 0');
  } else Object.assign(output, decodeRestBody(response, call, wire, faults));
  return { ...success(status, wire.headers, output), faults };
}

/** Headers that only errors have, of HeadBucket and of a delete marker. */
const ERROR_HEADERS = [
  'allow',
  'x-amz-bucket-region',
  'x-amz-delete-marker',
  'x-amz-version-id',
  'last-modified',
];

/** Returns the members that are headers. Adds a fault for each header that this operation does not have. */
function decodeHeaders(
  members: string[],
  { status, headers }: WireResponse,
  faults: string[],
): Record<string, unknown> {
  const output: Record<string, unknown> = {};
  const documented = new Set(COMMON_HEADERS);
  for (const member of members) {
    const [header, type] = HEADERS[member] ?? ['', 'text'];
    documented.add(header);
    const text = headers[header];
    if (text === undefined) continue;
    if (type === 'http-date' && !HTTP_DATE.test(text))
      faults.push(`the header ${header} is no HTTP date: ${text}`);
    output[member] = type === 'http-date' ? new Date(text) : convertText(type, text);
  }
  const metadata = Object.entries(headers).filter(([name]) => name.startsWith(METADATA));
  // Only objects have metadata.
  if (members.includes('AcceptRanges')) {
    output.Metadata = Object.fromEntries(metadata.map(([name, text]) => [name.slice(METADATA.length), text]));
    for (const [name] of metadata) documented.add(name);
  }
  for (const name of Object.keys(headers))
    if (!documented.has(name)) faults.push(`the header ${name}: ${headers[name]} in a response ${status}`);
  return output;
}

const METADATA = 'x-amz-meta-';
const HTTP_DATE = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/;
const XML_DECLARATION = /^<\?xml version="1\.0" encoding="UTF-8"\?>\s*</i;

function decodeRestBody(
  { root, member, shape }: Body,
  { service }: Call,
  { headers, body }: WireResponse,
  faults: string[],
): Record<string, unknown> {
  const text = body.toString();
  if (root === undefined) return { [member ?? '']: text };
  checkXml(text, headers, 'application/xml', faults);
  const element = parseXml(text, faults);
  if (element === undefined) return {};
  checkRoot(element, root, NAMESPACES[service as 's3' | 's3control'], faults);
  const value = decodeXml(shape, element, faults);
  if (member !== undefined) return { [member]: value };
  return value as Record<string, unknown>;
}

function checkXml(text: string, headers: WireResponse['headers'], type: string, faults: string[]): void {
  if (headers['content-type'] !== type)
    faults.push(`content-type: AWS ${type}, actual ${headers['content-type'] ?? 'nothing'}`);
  if (type === 'application/xml' && !XML_DECLARATION.test(text)) faults.push('no XML declaration');
}

function checkRoot(element: Element, root: string, namespace: string | null, faults: string[]): void {
  if (element.localName !== root) faults.push(`root element: AWS ${root}, actual ${element.localName}`);
  if (element.namespaceURI !== namespace)
    faults.push(`namespace of ${root}: AWS ${namespace}, actual ${element.namespaceURI}`);
}

/** Decodes an error of S3: the elements of Error. The response to HEAD has no body. */
function restError(call: Call, { status, headers, body }: WireResponse, faults: string[]): Response {
  const response = { ...success(status, headers, {}), faults };
  for (const name of Object.keys(headers))
    if (!COMMON_HEADERS.has(name) && !ERROR_HEADERS.includes(name))
      faults.push(`the header ${name} of an error`);
  if (restOperation(call).method === 'HEAD') {
    if (body.length > 0) faults.push('a body in the response to HEAD');
    return { ...response, ...statusLine(status) };
  }
  const text = body.toString();
  checkXml(text, headers, 'application/xml', faults);
  const element = parseXml(text, faults);
  if (element === undefined) return { ...response, code: String(status), message: text };
  checkRoot(element, 'Error', null, faults);
  const { Code, Message, RequestId, HostId, ...fields } = texts(element, faults);
  if (RequestId !== headers['x-amz-request-id']) faults.push('RequestId differs from x-amz-request-id');
  if (HostId !== headers['x-amz-id-2']) faults.push('HostId differs from x-amz-id-2');
  return { ...response, code: Code ?? '', message: Message ?? '', output: fields };
}

function texts(element: Element, faults: string[]): Record<string, string> {
  return Object.fromEntries(
    childElements(element, faults).map((child) => [child.localName ?? '', child.textContent ?? '']),
  );
}

/** Decodes a response of the Query protocol: `XResponse`, with `XResult` and `ResponseMetadata`. */
function decodeQuery(
  { operation }: Call,
  { status, headers, body }: WireResponse,
  service: 'iam' | 'sts',
): Response {
  const faults: string[] = [];
  if (!headers['x-amzn-requestid']) faults.push('no header x-amzn-requestid');
  const text = body.toString();
  checkXml(text, headers, 'text/xml', faults);
  const response = { ...success(status, headers, {}), faults };
  const root = parseXml(text, faults);
  if (root === undefined) return response;
  if (status >= 300) {
    checkRoot(root, 'ErrorResponse', NAMESPACES[service], faults);
    const element = childElements(root, faults).find(({ localName }) => localName === 'Error');
    if (element === undefined) faults.push('no element Error');
    const { Type, Code = '', Message = '', ...fields } = element === undefined ? {} : texts(element, faults);
    const sender = status >= 500 ? 'Receiver' : 'Sender';
    if (Type !== sender) faults.push(`Type: AWS ${sender}, actual ${Type}`);
    return { ...response, code: Code, message: Message, output: fields };
  }
  const output = QUERY[service][operation];
  if (output === undefined) throw new Error(`the table of outputs lacks ${operation} of ${service}`);
  checkRoot(root, `${operation}Response`, NAMESPACES[service], faults);
  const isEmpty = Object.keys(output.members).length === 0;
  const names = [...(isEmpty ? [] : [`${operation}Result`]), 'ResponseMetadata'];
  const children = childElements(root, faults);
  if (children.map(({ localName }) => localName).join() !== names.join())
    faults.push(`elements: AWS ${names.join()}, actual ${children.map(({ localName }) => localName).join()}`);
  const [result] = children;
  if (isEmpty || result === undefined) return response;
  return { ...response, output: decodeXml(output, result, faults) as Record<string, unknown> };
}

function decodeJson({ operation }: Call, { status, headers, body }: WireResponse): Response {
  const faults: string[] = [];
  if (!headers['x-amzn-requestid']) faults.push('no header x-amzn-requestid');
  if (headers['content-type'] !== 'application/x-amz-json-1.1')
    faults.push(`content-type: AWS application/x-amz-json-1.1, actual ${headers['content-type']}`);
  const response = { ...success(status, headers, {}), faults };
  const text = body.toString();
  if (status >= 300) {
    const { __type, message, Message, ...fields } = JSON.parse(text) as Record<string, string>;
    return { ...response, code: __type ?? '', message: message ?? Message ?? '', output: fields };
  }
  const shape = KMS[operation];
  if (shape === undefined) throw new Error(`the table of outputs lacks ${operation} of kms`);
  // Operations without an output have an empty body.
  const output = text === '' ? {} : decodeJsonValue(shape, JSON.parse(text), operation, faults);
  return { ...response, output: output as Record<string, unknown> };
}

/** JSON types by the type of a value: times are seconds since 1970, and binary values are base64. */
const JSON_TYPES = { text: 'string', boolean: 'boolean', number: 'number', time: 'number', blob: 'string' };

function decodeJsonValue(shape: Shape, value: unknown, at: string, faults: string[]): unknown {
  if (typeof shape === 'string') {
    if (typeof value !== JSON_TYPES[shape]) faults.push(`${at} is no ${shape}: ${JSON.stringify(value)}`);
    if (shape === 'time') return new Date(Number(value) * 1000);
    return shape === 'blob' ? Buffer.from(String(value), 'base64') : value;
  }
  if (shape.type === 'list')
    return (value as unknown[]).map((item, index) =>
      decodeJsonValue(shape.item, item, `${at}[${index}]`, faults),
    );
  return decodeJsonStructure(shape, value as object, at, faults);
}

function decodeJsonStructure({ members }: Structure, value: object, at: string, faults: string[]): unknown {
  const entries = Object.entries(value).flatMap(([name, item]) => {
    const member = members[name];
    if (member === undefined) faults.push(`unknown member ${at}.${name}`);
    return member === undefined ? [] : [[name, decodeJsonValue(member, item, `${at}.${name}`, faults)]];
  });
  return Object.fromEntries(entries);
}
