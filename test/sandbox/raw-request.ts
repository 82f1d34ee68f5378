import { request } from 'node:http';

/** Response as bytes on the wire: no SDK has interpreted it. */
export interface WireResponse {
  status: number;
  /** Header values by name in lower case. */
  headers: Record<string, string>;
  body: Buffer;
  /** The body as text. */
  text: string;
}

export interface WireRequest {
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** Account whose root user signs; `anonymous` sends no signature. */
  account?: string;
  region?: string;
}

export type SendRequest = (method: string, path: string, options?: WireRequest) => Promise<WireResponse>;

/** Returns a function that sends S3 requests to an endpoint over plain HTTP, so that no SDK can hide a fault. */
export const createRawClient =
  (endpoint: string, defaults: Pick<WireRequest, 'account' | 'region'> = {}): SendRequest =>
  (method, path, options = {}) => {
    const {
      account = '111122223333',
      region = 'us-east-1',
      headers = {},
      body = '',
    } = { ...defaults, ...options };
    const scope = `${account}/20261130/${region}/s3/aws4_request`;
    const authorization = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`;
    return new Promise((resolve, reject) => {
      const outgoing = request(
        `${endpoint}${path}`,
        {
          method,
          headers: {
            ...(account === 'anonymous' ? {} : { authorization }),
            ...(method === 'PUT' || method === 'POST' ? { 'content-length': Buffer.byteLength(body) } : {}),
            ...headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const bytes = Buffer.concat(chunks);
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers as Record<string, string>,
              body: bytes,
              // On demand: to decode the bytes of a large object takes longer than to transfer them.
              get text() {
                return bytes.toString();
              },
            });
          });
        },
      );
      outgoing.on('error', reject);
      // As bytes, because Node sends the headers of a text body as UTF-8.
      outgoing.end(Buffer.from(body));
    });
  };

/** Returns the texts of all elements of a name, in the order of the document. */
export const elementsOf = (xml: string, name: string): string[] =>
  [...xml.matchAll(new RegExp(`<${name}(?: [^>]*)?>(.*?)</${name}>|<${name}(?: [^>]*)?/>`, 'gs'))].map(
    ([, text = '']) => text,
  );

/** Returns the names of the child elements of the root, in the order of the document. */
export function childrenOf(xml: string): string[] {
  const names: string[] = [];
  let depth = 0;
  for (const [, closing, name = '', selfClosing] of xml.matchAll(/<(\/?)([A-Za-z][\w:]*)[^>]*?(\/?)>/g)) {
    if (closing) depth -= 1;
    else {
      if (depth === 1) names.push(name);
      if (!selfClosing) depth += 1;
    }
  }
  return names;
}
