import { JsonCodec, XmlCodec } from '@aws-sdk/core/protocols';
import { NormalizedSchema } from '@smithy/core/schema';

/**
 * The codecs of the SDK's own clients, turned round: they read what a client sends and write what it will read. Client
 * and server share them and so would share their faults, which is why the AWS CLI is a test of its own.
 */

/** A schema of the SDK, as it stands in a client's operation: nested, or a function that gives it. */
export type SdkSchema =
  | Parameters<typeof NormalizedSchema.of>[0]
  | (() => Parameters<typeof NormalizedSchema.of>[0]);

export const normalizeSchema = (schema: SdkSchema): NormalizedSchema =>
  NormalizedSchema.of(typeof schema === 'function' ? (schema as () => never)() : schema);

/** ISO 8601 for XML, seconds since the epoch for JSON, where a member says nothing else. */
const TIMESTAMP_DATE_TIME = 5;
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

const S3_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

export const xmlCodecs = {
  s3: createXmlCodec(S3_NAMESPACE, true, 'com.amazonaws.s3'),
  iam: createXmlCodec('https://iam.amazonaws.com/doc/2010-05-08/', false, 'com.amazonaws.iam'),
  sts: createXmlCodec('https://sts.amazonaws.com/doc/2011-06-15/', false, 'com.amazonaws.sts'),
};

export const jsonCodec = new JsonCodec({
  timestampFormat: { useTrait: true, default: TIMESTAMP_EPOCH_SECONDS },
  jsonName: false,
} as ConstructorParameters<typeof JsonCodec>[0]);
jsonCodec.setSerdeContext(serdeContext as never);

/** A header, query or form value in the type that its schema says. */
export function coerceText(schema: NormalizedSchema, text: string): unknown {
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
