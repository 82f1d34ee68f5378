import type { Call } from '../client.ts';
import { HEADERS, type RestOperation, S3, S3_CONTROL } from './wire-shapes.ts';
import { encodeXml } from './wire-xml.ts';

/** A request before it is signed. The path is encoded, and the query is not. */
export interface WireRequest {
  method: string;
  path: string;
  query: Record<string, string>;
  headers: Record<string, string>;
  body: Buffer;
}

/** Namespaces of request and response bodies, from the API references. */
export const NAMESPACES = {
  s3: 'http://s3.amazonaws.com/doc/2006-03-01/',
  s3control: 'http://awss3control.amazonaws.com/doc/2018-08-20/',
  iam: 'https://iam.amazonaws.com/doc/2010-05-08/',
  sts: 'https://sts.amazonaws.com/doc/2011-06-15/',
};

const QUERY_VERSIONS = { iam: '2010-05-08', sts: '2011-06-15' };

/** Returns the request of a call in the protocol of its service. */
export function encodeRequest(call: Call): WireRequest {
  const { service } = call;
  if (service === 'kms') return jsonRequest(call);
  return service === 'iam' || service === 'sts' ? queryRequest(call, service) : restRequest(call, service);
}

/** Returns the operation of S3 or S3 Control. */
export function restOperation({ service, operation }: Call): RestOperation {
  const rest = (service === 's3' ? S3 : S3_CONTROL)[operation];
  if (rest === undefined) throw new Error(`the table of operations lacks ${operation} of ${service}`);
  return rest;
}

function restRequest(call: Call, service: 's3' | 's3control'): WireRequest {
  const { method, path, query, queryMembers = {}, request } = restOperation(call);
  const rest = new Map(Object.entries(call.input).filter(([, value]) => value !== undefined));
  const take = (name: string): unknown => {
    const value = rest.get(name);
    rest.delete(name);
    return value;
  };
  const encodedPath = path.replace(/\{(\w+)\}/g, (_, name) => encodePath(service, String(take(name))));
  const encodedQuery: Record<string, string> = query === undefined ? {} : { [query]: '' };
  for (const [member, name] of Object.entries(queryMembers)) {
    const value = take(member);
    if (value !== undefined) encodedQuery[name] = String(value);
  }
  const body = encodeBody(request, take, NAMESPACES[service]);
  const headers: Record<string, string> = body === '' ? {} : { 'content-type': 'application/xml' };
  // The SDKs ask for the checksum of an object by default, and so do the recordings.
  if (call.operation === 'GetObject') headers['x-amz-checksum-mode'] = 'ENABLED';
  for (const [member, value] of rest) {
    const [header] = HEADERS[member] ?? [];
    if (header === undefined) throw new Error(`the table of headers lacks the member ${member}`);
    headers[header] = String(value);
  }
  return { method, path: encodedPath, query: encodedQuery, headers, body: Buffer.from(body) };
}

/** Encodes a member of the path. Slashes separate the segments of a key, and are part of an ARN. */
function encodePath(service: 's3' | 's3control', value: string): string {
  return (service === 's3' ? value.split('/') : [value]).map(encodeStrict).join('/');
}

/** Encodes as the canonical request of Signature Version 4 requires. */
function encodeStrict(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function encodeBody(
  request: RestOperation['request'],
  take: (name: string) => unknown,
  namespace: string,
): string {
  if (request === undefined) return '';
  const { root, member, shape } = request;
  if (member === undefined) {
    const names = typeof shape === 'object' && shape.type === 'structure' ? Object.keys(shape.members) : [];
    return encodeXml(
      root ?? '',
      shape,
      Object.fromEntries(names.map((name) => [name, take(name)])),
      namespace,
    );
  }
  const value = take(member);
  if (value === undefined) return '';
  return root === undefined ? String(value) : encodeXml(root, shape, value, namespace);
}

/** The AWS Query protocol: all parameters in a form, with dots between the levels. */
function queryRequest({ operation, input }: Call, service: 'iam' | 'sts'): WireRequest {
  const form = new URLSearchParams({ Action: operation, Version: QUERY_VERSIONS[service] });
  const add = (name: string, value: unknown): void => {
    if (value === undefined) return;
    if (Array.isArray(value)) {
      if (value.length === 0) form.append(name, '');
      for (const [index, item] of value.entries()) add(`${name}.member.${index + 1}`, item);
    } else if (typeof value === 'object' && value !== null)
      for (const [key, item] of Object.entries(value)) add(`${name}.${key}`, item);
    else form.append(name, String(value));
  };
  for (const [name, value] of Object.entries(input)) add(name, value);
  return post({ 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }, form.toString());
}

function jsonRequest({ operation, input }: Call): WireRequest {
  const encodeBlobs = (_: string, value: unknown) => {
    const buffer = value as { type?: string; data?: number[] } | null;
    return buffer?.type === 'Buffer' ? Buffer.from(buffer.data ?? []).toString('base64') : value;
  };
  return post(
    { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `TrentService.${operation}` },
    JSON.stringify(input, encodeBlobs),
  );
}

function post(headers: Record<string, string>, body: string): WireRequest {
  return { method: 'POST', path: '/', query: {}, headers, body: Buffer.from(body) };
}
