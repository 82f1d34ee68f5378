import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';

/** Client of the Kubernetes API server, with the service account of a pod. */
export interface KubernetesApi {
  namespace: string;
  /**
   * Returns a response of any HTTP status.
   *
   * @throws Error without a complete response within the limits.
   */
  request(method: string, path: string, body?: unknown, options?: RequestOptions): Promise<ApiResponse>;
  /**
   * Yields the events of a watch until it ends. If the server rejects the watch, yields one ERROR event.
   *
   * @throws Error if the connection fails, or at an event that is too large or not an event.
   */
  watch(path: string, signal: AbortSignal): AsyncIterable<WatchEvent>;
}

export interface RequestOptions {
  /** Default: `application/json`. */
  contentType?: string;
  /** Milliseconds until the complete response has arrived; default: `ApiOptions.timeoutMs`. */
  timeoutMs?: number;
  /** Maximum size of the response; default: `MAX_OBJECT_BYTES`. */
  maxBytes?: number;
}

export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  // biome-ignore lint/suspicious/noExplicitAny: a resource, or a Status object for an error
  object: any;
}

export interface ApiResponse {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: the type depends on the request
  body: any;
  /** Size of the body. */
  bytes: number;
}

/** Folder in which Kubernetes mounts the credentials of the service account. */
const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Timeout in milliseconds; shorter than the time for which a lease is valid without renewal. */
const API_TIMEOUT_MS = 5_000;

/** Maximum size of a response with one object, and of an event of a watch. An API server stores at most 1.5 MiB. */
const MAX_OBJECT_BYTES = 4 * 1024 * 1024;

export interface ApiOptions {
  /** URL, for example `https://10.0.0.1:443`; default: from the environment of the pod. */
  server?: string;
  /** Folder that contains `token`, `ca.crt` and `namespace`. */
  serviceAccountDir?: string;
  /** Milliseconds until a complete response has arrived, or until a watch has begun; default: 5 s. */
  timeoutMs?: number;
}

/** Returns whether this process runs in a pod of a Kubernetes cluster. */
export const isInCluster = (env: Record<string, string | undefined>): boolean =>
  env.KUBERNETES_SERVICE_HOST !== undefined;

/** @throws Error when the process does not run in a pod, or the pod has no service account. */
export async function createKubernetesApi(
  env: Record<string, string | undefined>,
  options: ApiOptions = {},
): Promise<KubernetesApi> {
  const serviceAccountDir = options.serviceAccountDir ?? env.REPLIKEY_SERVICE_ACCOUNT ?? SERVICE_ACCOUNT_DIR;
  const host = env.KUBERNETES_SERVICE_HOST ?? '';
  const server =
    options.server ??
    `https://${host.includes(':') ? `[${host}]` : host}:${env.KUBERNETES_SERVICE_PORT ?? '443'}`;
  const namespace = (await readFile(path.join(serviceAccountDir, 'namespace'), 'utf8')).trim();
  const timeoutMs = options.timeoutMs ?? API_TIMEOUT_MS;
  const transport = server.startsWith('https:') ? https : http;

  /**
   * Sends a request, and returns the response when its headers have arrived, with a function that cancels the timeout.
   * The timeout includes the body: a server that sends it byte by byte does not extend it.
   */
  async function send(
    method: string,
    urlPath: string,
    options: { body?: unknown; contentType?: string; timeoutMs: number; signal?: AbortSignal },
  ): Promise<{ response: http.IncomingMessage; cancelTimeout: () => void }> {
    const { body, contentType = 'application/json', timeoutMs: limitMs, signal } = options;
    // Kubernetes rotates tokens before they expire, and occasionally CA certificates. Each request reads both again.
    const [token, ca] = await Promise.all([
      readFile(path.join(serviceAccountDir, 'token'), 'utf8'),
      readFile(path.join(serviceAccountDir, 'ca.crt')).catch(() => undefined),
    ]);
    return new Promise((resolve, reject) => {
      let response: http.IncomingMessage | undefined;
      const timer = setTimeout(() => {
        const timeout = new Error(`no complete response within ${limitMs / 1000} s`);
        (response ?? request).destroy(timeout);
      }, limitMs);
      const cancelTimeout = () => clearTimeout(timer);
      const request = transport.request(
        new URL(urlPath, server),
        {
          method,
          ...(ca === undefined ? {} : { ca }),
          ...(signal === undefined ? {} : { signal }),
          headers: {
            authorization: `Bearer ${token.trim()}`,
            accept: 'application/json',
            ...(body === undefined ? {} : { 'content-type': contentType }),
          },
        },
        (incoming) => {
          response = incoming;
          resolve({ response, cancelTimeout });
        },
      );
      request.on('error', (error) => {
        cancelTimeout();
        reject(error);
      });
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** Names the request in the errors of a call. */
  async function named<T>(method: string, urlPath: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw new Error(`${method} ${urlPath}: ${(error as Error).message}`, { cause: error });
    }
  }

  return {
    namespace,
    request: (method, urlPath, body, options = {}) =>
      named(method, urlPath, async () => {
        const { maxBytes = MAX_OBJECT_BYTES, ...rest } = options;
        const { response, cancelTimeout } = await send(method, urlPath, { timeoutMs, ...rest, body });
        try {
          const bytes = await readLimitedBody(response, maxBytes);
          return {
            status: response.statusCode ?? 0,
            body: parseJsonOrMessage(bytes.toString()),
            bytes: bytes.length,
          };
        } finally {
          cancelTimeout();
        }
      }),
    async *watch(urlPath, signal) {
      const { response, cancelTimeout } = await named('GET', urlPath, () =>
        send('GET', urlPath, { timeoutMs, signal }),
      );
      if (response.statusCode !== 200) {
        const body = await named('GET', urlPath, () => readLimitedBody(response, MAX_OBJECT_BYTES)).finally(
          cancelTimeout,
        );
        const { message } = parseJsonOrMessage(body.toString()) as { message?: string };
        yield { type: 'ERROR', object: { code: response.statusCode, message } };
        return;
      }
      // A watch without changes sends nothing. The server ends each watch after some minutes, and its user aborts it.
      cancelTimeout();
      for await (const line of responseLinesOf(response)) yield parseEvent(line);
    },
  };
}

/** @throws Error if the body is larger than `maxBytes`. */
async function readLimitedBody(response: http.IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw new Error(`the response exceeds ${formatBytes(maxBytes)}`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Yields the lines of a response that are not empty.
 *
 * @throws Error if a line exceeds the size of an object.
 */
async function* responseLinesOf(response: http.IncomingMessage): AsyncGenerator<string> {
  let partialLine: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      const line = Buffer.concat([...partialLine, chunk.subarray(start, end)]).toString();
      partialLine = [];
      size = 0;
      start = end + 1;
      if (line !== '') yield line;
    }
    const rest = chunk.subarray(start);
    size += rest.length;
    if (size > MAX_OBJECT_BYTES)
      throw new Error(
        `invalid response of the API server: an event exceeds ${formatBytes(MAX_OBJECT_BYTES)}`,
      );
    partialLine.push(rest);
  }
}

function parseEvent(line: string): WatchEvent {
  const event = parseJsonOrMessage(line) as WatchEvent | null;
  if (typeof event?.type !== 'string' || typeof event.object !== 'object' || event.object === null)
    throw new Error(
      `invalid response of the API server: not an event: ${JSON.stringify(line.slice(0, 200))}`,
    );
  return event;
}

const formatBytes = (bytes: number): string => `${bytes / 1024 / 1024} MiB`;

/** Returns an object, or the text as the message of one. */
function parseJsonOrMessage(text: string): object {
  try {
    const value = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // The text is not from the API server, but for example from a proxy.
  }
  return { message: text.slice(0, 200) };
}
