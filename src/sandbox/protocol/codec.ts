import { JsonCodec, XmlCodec, type XmlShapeSerializer } from '@aws-sdk/core/protocols';
import { CborCodec } from '@smithy/core/cbor';
import { NormalizedSchema } from '@smithy/core/schema';

export type { NormalizedSchema };

/**
 * Codecs of the SDK clients, used in reverse: the sandbox decodes requests and encodes responses with them. Client and
 * server share a defect of these codecs, so tests also run the AWS CLI, which has separate codecs.
 */

/** A schema in an operation of an SDK client: the schema itself, or a function that returns it. */
export type SdkSchema =
  | Parameters<typeof NormalizedSchema.of>[0]
  | (() => Parameters<typeof NormalizedSchema.of>[0]);

export const normalizeSchema = (schema: SdkSchema): NormalizedSchema =>
  NormalizedSchema.of(typeof schema === 'function' ? (schema as () => never)() : schema);

/**
 * Default timestamp formats, for members without a format of their own: ISO 8601 in XML, seconds since the epoch in
 * JSON.
 */
export const TIMESTAMP_DATE_TIME = 5;
const TIMESTAMP_EPOCH_SECONDS = 7;

const serdeContext = {
  base64Decoder: (text: string) => Buffer.from(text, 'base64'),
  base64Encoder: (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64'),
  utf8Decoder: (text: string) => Buffer.from(text),
  utf8Encoder: (bytes: Uint8Array | string) =>
    typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString(),
};

function createXmlCodec(xmlNamespace: string, httpBindings: boolean, serviceNamespace: string): XmlCodec {
  const codec = new XmlCodec({
    timestampFormat: { useTrait: true, default: TIMESTAMP_DATE_TIME },
    xmlNamespace,
    httpBindings,
    serviceNamespace,
  } as ConstructorParameters<typeof XmlCodec>[0]);
  codec.setSerdeContext(serdeContext as never);
  return codec;
}

export const XML_NAMESPACES = {
  s3: 'http://s3.amazonaws.com/doc/2006-03-01/',
  s3control: 'http://awss3control.amazonaws.com/doc/2018-08-20/',
  iam: 'https://iam.amazonaws.com/doc/2010-05-08/',
  sts: 'https://sts.amazonaws.com/doc/2011-06-15/',
  sns: 'http://sns.amazonaws.com/doc/2010-03-31/',
  cloudwatch: 'http://monitoring.amazonaws.com/doc/2010-08-01/',
};

export const xmlCodecs = {
  s3: createXmlCodec(XML_NAMESPACES.s3, true, 'com.amazonaws.s3'),
  s3control: createXmlCodec(XML_NAMESPACES.s3control, true, 'com.amazonaws.s3control'),
  iam: createXmlCodec(XML_NAMESPACES.iam, false, 'com.amazonaws.iam'),
  sts: createXmlCodec(XML_NAMESPACES.sts, false, 'com.amazonaws.sts'),
  sns: createXmlCodec(XML_NAMESPACES.sns, false, 'com.amazonaws.sns'),
  cloudwatch: createXmlCodec(XML_NAMESPACES.cloudwatch, false, 'com.amazonaws.cloudwatch'),
};

/**
 * Returns a serializer that writes times as the service does, of a whole second: `2026-11-30T12:00:00.000Z` in S3, so that
 * a time in a list equals the Last-Modified of a HEAD, and `2026-11-30T12:00:00Z` in the Query services. S3 Control writes
 * milliseconds.
 */
export function createXmlSerializer(service: keyof typeof xmlCodecs): XmlShapeSerializer {
  const serializer = xmlCodecs[service].createSerializer();
  // The declarations of the SDK have the method as private.
  const internals = serializer as unknown as { writeSimple(schema: unknown, value: unknown): string };
  const writeSimple = internals.writeSimple.bind(serializer);
  const fraction = service === 's3' ? '.000Z' : 'Z';
  internals.writeSimple = (schema, value) =>
    value instanceof Date
      ? service === 's3control'
        ? value.toISOString()
        : value.toISOString().replace(/\.\d{3}Z$/, fraction)
      : writeSimple(schema, value);
  return serializer;
}

export const jsonCodec = new JsonCodec({
  timestampFormat: { useTrait: true, default: TIMESTAMP_EPOCH_SECONDS },
  jsonName: false,
} as ConstructorParameters<typeof JsonCodec>[0]);
jsonCodec.setSerdeContext(serdeContext as never);

export const cborCodec = new CborCodec();
cborCodec.setSerdeContext(serdeContext as never);

/** Converts a header, query or form value to the type of its schema. The items of a list are separated by commas. */
export function coerceText(schema: NormalizedSchema, text: string): unknown {
  if (schema.isListSchema())
    return text.split(',').map((item) => coerceText(schema.getValueSchema(), item.trim()));
  if (schema.isBooleanSchema()) return text === 'true';
  if (schema.isNumericSchema()) return Number(text);
  if (schema.isTimestampSchema()) return new Date(text);
  return text;
}

export const escapeXml = (text: string): string =>
  text.replace(
    /[<>&'"]/g,
    (char) => ({ '<': '&lt;', '>': '&gt;', '&': '&amp;', "'": '&apos;', '"': '&quot;' })[char] ?? char,
  );

/** Errors of an input, in the two categories of AWS. */
export interface InputErrors {
  /** Members whose type differs from the schema. The service rejects them before it looks at values. */
  mistyped: string[];
  /** Missing required members, in the form `tags.1.member.key`. */
  missing: string[];
}

interface InputCheck {
  errors: InputErrors;
  /** The schemas of the SDK do not distinguish integers and doubles. Only CloudWatch has doubles. */
  allowsFractions: boolean;
}

/** Checks an input against the schema of its operation: types and required members. */
export function validateInput(schema: NormalizedSchema, input: unknown): InputErrors {
  const errors: InputErrors = { mistyped: [], missing: [] };
  const allowsFractions = schema.getName(true)?.startsWith('com.amazonaws.cloudwatch#') ?? false;
  if (!schema.isUnitSchema()) checkInputValue(schema, input, '', { errors, allowsFractions });
  return errors;
}

function checkInputValue(schema: NormalizedSchema, value: unknown, path: string, check: InputCheck): void {
  if (!hasType(schema, value, check)) {
    check.errors.mistyped.push(path);
    return;
  }
  if (schema.isStructSchema()) checkMembers(schema, value as Record<string, unknown>, path, check);
  else if (schema.isListSchema()) {
    for (const [index, item] of (value as unknown[]).entries())
      checkInputValue(schema.getValueSchema(), item, `${path}.${index + 1}.member`, check);
  } else if (schema.isMapSchema()) {
    for (const [key, item] of Object.entries(value as object))
      checkInputValue(schema.getValueSchema(), item, `${path}.${key}.member`, check);
  }
}

function checkMembers(
  schema: NormalizedSchema,
  value: Record<string, unknown>,
  parentPath: string,
  check: InputCheck,
): void {
  let requiredCount = countRequiredMembers(schema);
  for (const [name, member] of schema.structIterator()) {
    const memberValue = value[name] ?? undefined;
    const path = parentPath === '' ? toCamelCase(name) : `${parentPath}.${toCamelCase(name)}`;
    if (memberValue !== undefined) checkInputValue(member, memberValue, path, check);
    else if (requiredCount > 0) check.errors.missing.push(path);
    requiredCount -= 1;
  }
}

/** Returns the number of required members. Structures of the SDK contain that number, and list these members first. */
function countRequiredMembers(schema: NormalizedSchema): number {
  const count = (schema.getSchema() as unknown[])[6];
  return typeof count === 'number' ? count : 0;
}

function hasType(schema: NormalizedSchema, value: unknown, { allowsFractions }: InputCheck): boolean {
  if (schema.isStructSchema() || schema.isMapSchema())
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  if (schema.isListSchema()) return Array.isArray(value);
  if (schema.isBlobSchema()) return value instanceof Uint8Array;
  if (schema.isBooleanSchema()) return typeof value === 'boolean';
  if (schema.isNumericSchema()) return allowsFractions ? Number.isFinite(value) : Number.isSafeInteger(value);
  if (schema.isTimestampSchema()) return value instanceof Date && !Number.isNaN(value.getTime());
  return !schema.isStringSchema() || typeof value === 'string';
}

/** Returns the message of KMS, IAM and STS for missing required members. */
export function formatMissingMembers(missing: string[]): string {
  const messages = missing.map(
    (member) => `Value null at '${member}' failed to satisfy constraint: Member must not be null`,
  );
  return `${missing.length} validation error${missing.length === 1 ? '' : 's'} detected: ${messages.join('; ')}`;
}

/** Returns a member's name in the form of AWS messages and events: `roleName` for `RoleName`. */
export const toCamelCase = (name: string): string => name.slice(0, 1).toLowerCase() + name.slice(1);
