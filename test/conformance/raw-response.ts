import { STATUS_CODES } from 'node:http';

/** A response in the form of the recordings. The SDK's parsing of errors drops fields that the recordings contain. */
export interface RawResponse {
  status: number;
  code: string | null;
  message: string | null;
  /** The output of a call; the other fields of an error. */
  output: Record<string, unknown>;
}

/** Returns the response to a call, of success or failure. Throws if the call did not reach a server. */
export async function responseOf(call: Promise<object>): Promise<RawResponse> {
  try {
    return await success(await call);
  } catch (error) {
    const response = (error as { $response?: WireResponse }).$response;
    if (response === undefined) throw error;
    return failure(response);
  }
}

/** Buffers the body of an error, so that `responseOf` can read it after the SDK. */
export async function keepErrorBody(response: WireResponse): Promise<void> {
  if (response.statusCode < 300 || !response.body || response.body instanceof Uint8Array) return;
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) chunks.push(chunk);
  response.body = new Uint8Array(Buffer.concat(chunks));
}

export interface WireResponse {
  statusCode: number;
  headers: Record<string, string>;
  body?: unknown;
}

async function success(result: object): Promise<RawResponse> {
  const { $metadata, ...output } = result as {
    $metadata?: { httpStatusCode?: number };
    Body?: unknown;
  };
  const body = output.Body as { transformToString?: () => Promise<string> } | undefined;
  if (body?.transformToString) output.Body = await body.transformToString();
  return { status: $metadata?.httpStatusCode ?? 0, code: null, message: null, output };
}

function failure({ statusCode, headers, body }: WireResponse): RawResponse {
  const text = body instanceof Uint8Array ? Buffer.from(body).toString() : '';
  const { code, message, ...fields } = text.trimStart().startsWith('{') ? readJson(text) : readXml(text);
  return {
    status: statusCode,
    // The response to HEAD has no body. The recordings then have code and message of the status line.
    code: code ?? String(statusCode),
    message: message ?? (text === '' ? (STATUS_CODES[statusCode] ?? '') : ''),
    output: { ...fields, headers },
  };
}

type Fields = Record<string, string | undefined> & { code?: string; message?: string };

function readJson(text: string): Fields {
  const { __type, message, Message, ...fields } = JSON.parse(text) as Record<string, string>;
  return { ...fields, ...definedFields({ code: __type?.split('#').at(-1), message: message ?? Message }) };
}

function readXml(text: string): Fields {
  const elements = [...text.matchAll(/<(\w+)>([^<]*)<\/\1>|<(\w+)\s*\/>/g)].map(
    ([, name, value, empty]) => [name ?? empty ?? '', unescapeXml(value ?? '')] as const,
  );
  const { Code, Message, ...fields } = Object.fromEntries(elements) as Record<string, string>;
  return { ...fields, ...definedFields({ code: Code, message: Message }) };
}

function definedFields(fields: { code: string | undefined; message: string | undefined }): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Fields;
}

const ENTITIES: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

function unescapeXml(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (entity, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[name] ?? entity;
    return String.fromCodePoint(decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal));
  });
}
