import { STATUS_CODES } from 'node:http';

/** What a service answered, as it stood on the wire: the SDK's own reading of errors hides what AWS recorded. */
export interface Answer {
  status: number;
  code: string | null;
  message: string | null;
  /** The call's output, or what stands beside code and message in an error. */
  output: Record<string, unknown>;
}

/** The answer to a call, whether the SDK takes it for a success or throws it. What never reached a server is thrown. */
export async function answerOf(call: Promise<object>): Promise<Answer> {
  try {
    return await success(await call);
  } catch (error) {
    const response = (error as { $response?: WireResponse }).$response;
    if (response === undefined) throw error;
    return failure(response);
  }
}

/** Give an error's body as bytes, so that it can still be read after the SDK has: `answerOf` needs it. */
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

async function success(result: object): Promise<Answer> {
  const { $metadata, ...output } = result as {
    $metadata?: { httpStatusCode?: number };
    Body?: unknown;
  };
  const body = output.Body as { transformToString?: () => Promise<string> } | undefined;
  if (body?.transformToString) output.Body = await body.transformToString();
  return { status: $metadata?.httpStatusCode ?? 0, code: null, message: null, output };
}

function failure({ statusCode, headers, body }: WireResponse): Answer {
  const text = body instanceof Uint8Array ? Buffer.from(body).toString() : '';
  const { code, message, ...fields } = text.trimStart().startsWith('{') ? readJson(text) : readXml(text);
  return {
    status: statusCode,
    // HEAD has no body: clients then take code and message from the status line, and so do the recordings.
    code: code ?? String(statusCode),
    message: message ?? (text === '' ? (STATUS_CODES[statusCode] ?? '') : ''),
    output: { ...fields, headers },
  };
}

type Fields = Record<string, string | undefined> & { code?: string; message?: string };

function readJson(text: string): Fields {
  const { __type, message, Message, ...fields } = JSON.parse(text) as Record<string, string>;
  return { ...fields, ...given({ code: __type?.split('#').at(-1), message: message ?? Message }) };
}

function readXml(text: string): Fields {
  const elements = [...text.matchAll(/<(\w+)>([^<]*)<\/\1>|<(\w+)\s*\/>/g)].map(
    ([, name, value, empty]) => [name ?? empty ?? '', unescaped(value ?? '')] as const,
  );
  const { Code, Message, ...fields } = Object.fromEntries(elements) as Record<string, string>;
  return { ...fields, ...given({ code: Code, message: Message }) };
}

function given(fields: { code: string | undefined; message: string | undefined }): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Fields;
}

const ENTITIES: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

function unescaped(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[name] ?? whole;
    return String.fromCodePoint(decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal));
  });
}
