import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';

/** The API server, as a pod sees it. */
export interface KubernetesApi {
  namespace: string;
  /** Answers as they are; throws only where none came. */
  request(method: string, path: string, body?: unknown, contentType?: string): Promise<ApiResponse>;
  /** Events of a watch, line by line, until it ends; where it is refused, the refusal as the one event. */
  watch(path: string, signal: AbortSignal): AsyncIterable<WatchEvent>;
}

export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  // biome-ignore lint/suspicious/noExplicitAny: a resource, or what was wrong
  object: any;
}

export interface ApiResponse {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what it is depends on what was asked
  body: any;
}

/** Where Kubernetes puts what a pod needs to talk to it. */
const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Milliseconds; shorter than a lease may go without a renewal. */
const API_TIMEOUT_MS = 5_000;

/** An answer is a list of specs at most. */
const MAX_API_RESPONSE_BYTES = 64 * 1024 * 1024;

export interface ApiOptions {
  /** `https://10.0.0.1:443`; absent: from the environment of the pod. */
  server?: string;
  /** Folder with `token`, `ca.crt` and `namespace`. */
  serviceAccountDir?: string;
  timeoutMs?: number;
}

/** Whether this process runs in a pod that may talk to the API server. */
export const isInCluster = (env: Record<string, string | undefined>): boolean =>
  env.KUBERNETES_SERVICE_HOST !== undefined;

/** @throws Error where this is no pod, or it has no service account. */
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

  async function send(
    method: string,
    urlPath: string,
    body: unknown,
    contentType: string,
    signal?: AbortSignal,
  ) {
    // Tokens are replaced before they expire, and authorities once in a while: both are read anew.
    const [token, ca] = await Promise.all([
      readFile(path.join(serviceAccountDir, 'token'), 'utf8'),
      readFile(path.join(serviceAccountDir, 'ca.crt')).catch(() => undefined),
    ]);
    return new Promise<http.IncomingMessage>((resolve, reject) => {
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
        resolve,
      );
      request.setTimeout(timeoutMs, () => request.destroy(new Error(`no answer for ${timeoutMs / 1000} s`)));
      request.on('error', (error) =>
        reject(new Error(`${method} ${urlPath}: ${error.message}`, { cause: error })),
      );
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  return {
    namespace,
    async request(method, urlPath, body, contentType = 'application/json') {
      const response = await send(method, urlPath, body, contentType);
      const text = await readText(response);
      return { status: response.statusCode ?? 0, body: parseJsonOrMessage(text) };
    },
    async *watch(urlPath, signal) {
      const response = await send('GET', urlPath, undefined, '', signal);
      // A watch is quiet for as long as nothing happens; the server ends it after some minutes.
      response.socket.setTimeout(0);
      if (response.statusCode !== 200) {
        const { message } = parseJsonOrMessage(await readText(response)) as { message?: string };
        yield { type: 'ERROR', object: { code: response.statusCode, message } };
        return;
      }
      let partialLine = '';
      for await (const chunk of response.setEncoding('utf8')) {
        const lines = (partialLine + chunk).split('\n');
        partialLine = lines.pop() ?? '';
        for (const line of lines) if (line !== '') yield JSON.parse(line);
      }
    },
  };
}

async function readText(response: http.IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk;
    if (text.length > MAX_API_RESPONSE_BYTES) throw new Error('the answer of the API server is too long');
  }
  return text;
}

function parseJsonOrMessage(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text.slice(0, 200) };
  }
}
