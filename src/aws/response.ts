import type { Readable } from 'node:stream';
import { NormalizedSchema } from '@smithy/core/schema';
import { type OperationSchema, schemaOf } from './command.ts';

/**
 * The field that a valid response must contain, for operations that read no document of a kind (`requireField` checks
 * those). The SDK accepts an empty body and returns a response without fields. replikey would read that as absent, and
 * would create or overwrite the resource.
 */
const REQUIRED_FIELDS: Record<string, string> = {
  DescribeOrganization: 'Organization',
  GetAccountAuthorizationDetails: 'RoleDetailList',
  GetCallerIdentity: 'Account',
  ListAliases: 'Aliases',
  ListBuckets: 'Buckets',
  ListGrants: 'Grants',
  ListKeys: 'Keys',
  ListPoliciesForTarget: 'Policies',
  ListRoles: 'Roles',
  LookupEvents: 'Events',
};

/** A response that does not match the schema of its operation. */
export class InvalidResponseError extends Error {}

/**
 * Validates a response against the schema of its operation. The SDK does not check the types of JSON values, and a
 * snapshot may contain anything.
 *
 * @throws InvalidResponseError with the path of the wrong value.
 */
export function validateResponse(command: object, response: unknown): void {
  const violation = schemaViolationOf(schemaOf(command), response);
  if (violation !== undefined) throw invalidResponse(violation);
  const requiredField = REQUIRED_FIELDS[schemaOf(command)[2]];
  if (requiredField !== undefined && (response as Record<string, unknown>)[requiredField] === undefined)
    throw invalidResponse(`${requiredField} is missing`);
}

/** Describes the first value of a response that does not match the schema of its operation, if any. */
export function schemaViolationOf(operation: OperationSchema, response: unknown): string | undefined {
  const schema = resolveSchema(operation[5]);
  return schema === undefined
    ? undefined
    : schemaViolationAt(NormalizedSchema.of(schema as never), response, '');
}

const invalidResponse = (reason: string): InvalidResponseError =>
  new InvalidResponseError(`invalid response: ${reason}`);

/**
 * Describes the first value that does not match its schema. Members that the schema does not contain may have any
 * value.
 */
function schemaViolationAt(schema: NormalizedSchema, value: unknown, path: string): string | undefined {
  if (schema.isUnitSchema() || schema.isBlobSchema() || schema.isDocumentSchema()) return undefined;
  const isObject = typeof value === 'object' && value !== null;
  if (schema.isListSchema()) {
    if (!Array.isArray(value)) return `${path} is not a list`;
    const itemSchema = schema.getValueSchema();
    return firstDefined(value.entries(), ([index, item]) =>
      schemaViolationAt(itemSchema, item, `${path}[${index}]`),
    );
  }
  if (schema.isStructSchema() || schema.isMapSchema()) {
    if (!isObject || Array.isArray(value)) return `${path || 'it'} is not a structure`;
    const memberSchemas = schema.isMapSchema() ? undefined : schema.getMemberSchemas();
    return firstDefined(Object.entries(value), ([name, member]) => {
      const memberSchema = memberSchemas ? ownMember(memberSchemas, name) : schema.getValueSchema();
      return memberSchema && member !== undefined
        ? schemaViolationAt(memberSchema, member, path === '' ? name : `${path}.${name}`)
        : undefined;
    });
  }
  if (schema.isBooleanSchema()) return typeof value === 'boolean' ? undefined : `${path} is not a boolean`;
  if (schema.isNumericSchema()) return Number.isFinite(value) ? undefined : `${path} is not a number`;
  if (schema.isTimestampSchema())
    return value instanceof Date || typeof value === 'string' ? undefined : `${path} is not a timestamp`;
  return !schema.isStringSchema() || typeof value === 'string' ? undefined : `${path} is not a string`;
}

function firstDefined<T>(items: Iterable<T>, find: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const result = find(item);
    if (result !== undefined) return result;
  }
  return undefined;
}

const ownMember = <T>(members: Record<string, T>, name: string): T | undefined =>
  Object.hasOwn(members, name) ? members[name] : undefined;

/** Returns a schema of the SDK, which may be wrapped in a function. */
const resolveSchema = (schema: unknown): unknown =>
  typeof schema === 'function' ? (schema as () => unknown)() : schema;

/** A document with elements that replikey would drop in a write. */
export class UnknownElementsError extends Error {
  constructor(elements: string[]) {
    super(
      `the response has elements that this version does not know (${elements.join(', ')}); a write of the whole document would drop them, so replikey writes nothing: use a newer version`,
    );
    this.name = 'UnknownElements';
  }
}

const BODY = Symbol('body of the response');

/** Keeps the body of a response beside the output, in which the SDK drops unknown elements. */
export function attachBody(output: object, body: Uint8Array): void {
  Object.defineProperty(output, BODY, { value: body });
}

/** Returns the body of a response as text. A replayed response has none. */
export function bodyText(response: object): string | undefined {
  const { [BODY]: body } = response as { [BODY]?: Uint8Array };
  return body && Buffer.from(body).toString();
}

/** An element with its text: tags, attributes and content. */
interface XmlElement {
  name: string;
  xml: string;
}

const XML_TOKEN =
  /<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<\?[\s\S]*?\?>|<(\/?)([^\s/>]+)((?:[^>"']|"[^"]*"|'[^']*')*)>/g;

/**
 * Splits a document into the elements below its root, each with its text.
 *
 * @throws InvalidResponseError for text that is not one element
 */
export function splitRoot(xml: string): { attributes: string; children: XmlElement[] } {
  const children: XmlElement[] = [];
  const path: string[] = [];
  let attributes: string | undefined;
  let start = 0;
  for (const { 0: token, 1: closing, 2: name, 3: rest = '', index } of xml.matchAll(XML_TOKEN)) {
    if (name === undefined) continue;
    const isEmpty = rest.endsWith('/');
    if (closing) {
      if (path.pop() !== name) throw invalidResponse('the body is not one XML element');
    } else {
      if (path.length === 0) {
        if (attributes !== undefined) throw invalidResponse('the body is not one XML element');
        attributes = (isEmpty ? rest.slice(0, -1) : rest).trimEnd();
      }
      if (path.length === 1) start = index;
      if (!isEmpty) path.push(name);
    }
    const isChildEnd = path.length === 1 && (closing !== '' || isEmpty);
    if (isChildEnd) children.push({ name, xml: xml.slice(start, index + token.length) });
  }
  if (attributes === undefined || path.length > 0) throw invalidResponse('the body is not one XML element');
  return { attributes, children };
}

/**
 * Rejects a document when the SDK dropped some of its elements. A replayed response has no body and loses no element.
 *
 * @param understood elements of which the absence in the document has a meaning: an empty block, for example
 * @throws UnknownElementsError
 */
export function rejectDroppedElements(doc: unknown, response: object, understood: ReadonlySet<string>): void {
  const xml = bodyText(response);
  if (xml === undefined) return;
  // The root element is the document itself.
  const [, ...elements] = [...xml.matchAll(/<([A-Za-z][\w.-]*)/g)].map(([, name = '']) => name);
  const names = elementNamesIn(doc);
  const dropped = new Set(elements.filter((name) => !names.has(name) && !understood.has(name)));
  if (dropped.size > 0) throw new UnknownElementsError([...dropped]);
}

/** Names of the fields of a document at all depths. XML repeats the singular where the SDK has a list in the plural. */
export const elementNamesIn = (doc: unknown): Set<string> => new Set(countElementsIn(doc).keys());

/** The number of fields of each name, at all depths of a document. */
export function countElementsIn(value: unknown, counts = new Map<string, number>()): Map<string, number> {
  const count = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  if (Array.isArray(value)) for (const item of value) countElementsIn(item, counts);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, field] of Object.entries(value)) {
      if (field === undefined) continue;
      // Only elements of AWS begin with a capital letter.
      if (/^[A-Z]/.test(name)) count(name);
      if (Array.isArray(field)) count(name.replace(/s$/, ''));
      countElementsIn(field, counts);
    }
  }
  return counts;
}

/**
 * The field without which a response is worthless. The SDK reads an empty body as a response without fields, which
 * replikey would take for an absent document, and would create or overwrite it.
 *
 * @throws InvalidResponseError when it is missing
 */
export function requireField<T extends object, K extends keyof T & string>(
  response: T,
  field: K,
): NonNullable<T[K]> {
  const value = response[field];
  if (value === undefined || value === null) throw invalidResponse(`${field} is missing`);
  return value;
}

/** More than a page of a thousand roles with policies of the maximum length. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

/**
 * Returns a stream collector that limits the time and the size of a response body. The SDK by itself has no limit on
 * either.
 */
export const boundedBody =
  (timeoutMs: number) =>
  async (body: Readable): Promise<Uint8Array> => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    const onTimeout = () =>
      body.destroy(namedError('TimeoutError', `the response was not complete within ${timeoutMs} ms`));
    const timer = setTimeout(onTimeout, timeoutMs);
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        size += chunk.length;
        if (size > MAX_BODY_BYTES)
          throw namedError(
            'ResponseTooLarge',
            `the response exceeds ${MAX_BODY_BYTES} bytes, more than AWS ever returns`,
          );
        chunks.push(chunk);
      }
    } finally {
      clearTimeout(timer);
    }
    return Buffer.concat(chunks);
  };

const namedError = (name: string, message: string): Error => Object.assign(new Error(message), { name });
