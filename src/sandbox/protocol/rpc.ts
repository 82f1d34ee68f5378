import { cbor } from '@smithy/core/cbor';
import { AwsError } from '../aws-error.ts';
import {
  cborCodec,
  coerceText,
  createXmlSerializer,
  escapeXml,
  formatMissingMembers,
  jsonCodec,
  type NormalizedSchema,
  normalizeSchema,
  validateInput,
  XML_NAMESPACES,
} from './codec.ts';
import type { SdkOperation } from './operations.ts';
import type { EncodedResponse } from './rest-xml.ts';

/** Protocols of the services. The versions of JSON differ in the content type only. `cbor`: Smithy RPC v2 CBOR. */
export type Protocol = 'rest' | 'query' | RpcProtocol;
export type RpcProtocol = 'json1.0' | 'json1.1' | 'cbor';

/**
 * Decodes a request of the Query protocol of IAM, STS, SNS and CloudWatch. Requests are form values (`Tags.member.1.Key=…`), responses
 * are XML.
 *
 * @throws AwsError when a member has a wrong type, or a required member is missing.
 */
export function decodeQuery(operation: SdkOperation, form: URLSearchParams): Record<string, unknown> {
  const schema = normalizeSchema(operation.input);
  if (schema.isUnitSchema()) return {};
  const input = decodeFormTree(schema, parseFormTree(form)) as Record<string, unknown>;
  const { mistyped, missing } = validateInput(schema, input);
  if (mistyped.length > 0)
    throw new AwsError(400, 'MalformedInput', `${mistyped.join(', ')} has the wrong type for this operation`);
  if (missing.length > 0) throw new AwsError(400, 'ValidationError', formatMissingMembers(missing));
  return input;
}

/** Form values as a tree: each dot in a name starts a level. */
interface FormTree {
  text?: string;
  children: Map<string, FormTree>;
}

function parseFormTree(form: URLSearchParams): FormTree {
  const root: FormTree = { children: new Map() };
  for (const [name, text] of form) {
    let node = root;
    for (const part of name.split('.')) {
      const next = node.children.get(part) ?? { children: new Map() };
      node.children.set(part, next);
      node = next;
    }
    node.text = text;
  }
  return root;
}

function decodeFormTree(schema: NormalizedSchema, tree: FormTree): unknown {
  if (schema.isStructSchema()) {
    const value: Record<string, unknown> = {};
    for (const [name, member] of schema.structIterator()) {
      const child = tree.children.get(member.getMergedTraits().xmlName ?? name);
      if (child) value[name] = decodeFormTree(member, child);
    }
    return value;
  }
  if (schema.isListSchema()) {
    const traits = schema.getMergedTraits();
    const items = traits.xmlFlattened
      ? tree
      : tree.children.get(schema.getValueSchema().getMergedTraits().xmlName ?? 'member');
    return [...(items?.children ?? [])]
      .filter(([index]) => /^\d+$/.test(index))
      .sort(([a], [b]) => Number(a) - Number(b))
      .map(([, item]) => decodeFormTree(schema.getValueSchema(), item));
  }
  if (schema.isMapSchema()) {
    const nameOf = (member: NormalizedSchema, name: string) => member.getMergedTraits().xmlName ?? name;
    const [keyName, valueName] = [
      nameOf(schema.getKeySchema(), 'key'),
      nameOf(schema.getValueSchema(), 'value'),
    ];
    const entries = schema.getMergedTraits().xmlFlattened ? tree : tree.children.get('entry');
    return Object.fromEntries(
      [...(entries?.children.values() ?? [])].flatMap(({ children }) => {
        const [key, value] = [children.get(keyName)?.text, children.get(valueName)];
        return key === undefined || !value ? [] : [[key, decodeFormTree(schema.getValueSchema(), value)]];
      }),
    );
  }
  if (schema.isBlobSchema()) return Buffer.from(tree.text ?? '', 'base64');
  return coerceText(schema, tree.text ?? '');
}

/** Services with the Query protocol. */
export type QueryService = 'iam' | 'sts' | 'sns' | 'cloudwatch';

export function encodeQuery(
  service: QueryService,
  operation: SdkOperation,
  output: Record<string, unknown>,
  requestId: string,
): EncodedResponse {
  const schema = normalizeSchema(operation.output);
  let result = '';
  if (!schema.isUnitSchema()) {
    const serializer = createXmlSerializer(service);
    serializer.write(schema, output);
    // The serializer names the root element after the output type. The protocol names it after the operation.
    const inner = String(serializer.flush()).replace(/^<[^>]+>|<\/[^>]+>$/g, '');
    result = `<${operation.name}Result>${inner}</${operation.name}Result>`;
  }
  return {
    status: 200,
    headers: { 'content-type': 'text/xml' },
    body: `<${operation.name}Response xmlns="${XML_NAMESPACES[service]}">${result}<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></${operation.name}Response>`,
  };
}

export function encodeQueryError(service: QueryService, error: AwsError, requestId: string): EncodedResponse {
  const type = error.status >= 500 ? 'Receiver' : 'Sender';
  return {
    status: error.status,
    headers: { 'content-type': 'text/xml' },
    body: `<ErrorResponse xmlns="${XML_NAMESPACES[service]}"><Error><Type>${type}</Type><Code>${escapeXml(error.code)}</Code><Message>${escapeXml(error.message)}</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>`,
  };
}

const headersOfProtocol = (protocol: RpcProtocol): Record<string, string> =>
  protocol === 'cbor'
    ? { 'content-type': 'application/cbor', 'smithy-protocol': 'rpc-v2-cbor' }
    : { 'content-type': `application/x-amz-json-${protocol.replace('json', '')}` };

/**
 * Decodes a request of the JSON protocol of KMS, CloudTrail, CloudWatch and SQS, or of the CBOR protocol of CloudWatch.
 *
 * @throws AwsError when the body is not valid, a member has a wrong type, or a required member is missing.
 */
export async function decodeRpc(
  protocol: RpcProtocol,
  operation: SdkOperation,
  body: Buffer,
): Promise<Record<string, unknown>> {
  const schema = normalizeSchema(operation.input);
  if (protocol === 'cbor' && body.length === 0) return {};
  const input = await deserialize(() =>
    protocol === 'cbor'
      ? cborCodec.createDeserializer().read(schema, body)
      : jsonCodec.createDeserializer().read(schema, body.toString() || '{}'),
  );
  const { mistyped, missing } = validateInput(schema, input);
  if (mistyped.length > 0)
    throw serializationError(`${mistyped.join(', ')} has the wrong type for this operation`);
  if (missing.length > 0) throw new AwsError(400, 'ValidationException', formatMissingMembers(missing));
  return input as Record<string, unknown>;
}

async function deserialize(read: () => unknown): Promise<unknown> {
  try {
    return await read();
  } catch (error) {
    throw serializationError(error instanceof Error ? error.message : String(error));
  }
}

const serializationError = (reason: string): AwsError => new AwsError(400, 'SerializationException', reason);

export function encodeRpc(
  protocol: RpcProtocol,
  operation: SdkOperation,
  output: Record<string, unknown>,
): EncodedResponse {
  const schema = normalizeSchema(operation.output);
  const headers = headersOfProtocol(protocol);
  if (protocol === 'cbor') {
    const serializer = cborCodec.createSerializer();
    if (!schema.isUnitSchema()) serializer.write(schema, output);
    return { status: 200, headers, body: schema.isUnitSchema() ? '' : Buffer.from(serializer.flush()) };
  }
  if (schema.isUnitSchema()) return { status: 200, headers, body: '{}' };
  const serializer = jsonCodec.createSerializer();
  serializer.write(schema, output);
  return { status: 200, headers, body: String(serializer.flush()) };
}

export function encodeRpcError(protocol: RpcProtocol, error: AwsError): EncodedResponse {
  const value = { __type: error.code, message: error.message, ...error.fields };
  return {
    status: error.status,
    headers: { ...headersOfProtocol(protocol), ...error.headers },
    body: protocol === 'cbor' ? Buffer.from(cbor.serialize(value)) : JSON.stringify(value),
  };
}
