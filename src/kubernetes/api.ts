import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';

/** Client of the Kubernetes API server, with the service account of a pod. */
export interface KubernetesApi {
  namespace: string;
  /** Returns a response of any HTTP status; throws only without a response. */
  request(method: string, path: string, body?: unknown, contentType?: string): Promise<ApiResponse>;
  /** Yields the events of a watch until it ends. If the server rejects the watch, yields one ERROR event. */
  watch(path: string, signal: AbortSignal): AsyncIterable<WatchEvent>;
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
}

/** Folder in which Kubernetes mounts the credentials of the service account. */
const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Timeout in milliseconds; shorter than the time for which a lease is valid without renewal. */
const API_TIMEOUT_MS = 5_000;

/** Maximum size of a response. The largest responses are lists of specs. */
const MAX_API_RESPONSE_BYTES = 64 * 1024 * 1024;

export interface ApiOptions {
  /** URL, for example `https://10.0.0.1:443`; default: from the environment of the pod. */
  server?: string;
  /** Folder that contains `token`, `ca.crt` and `namespace`. */
  serviceAccountDir?: string;
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

  async function send(
    method: string,
    urlPath: string,
    body: unknown,
    contentType: string,
    signal?: AbortSignal,
  ) {
    // Kubernetes rotates tokens before they expire, and occasionally CA certificates. Each request reads both again.
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
      request.setTimeout(timeoutMs, () =>
        request.destroy(new Error(`no response within ${timeoutMs / 1000} s`)),
      );
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
      // A watch without changes is idle, so the idle timeout is off. The server ends each watch after some minutes.
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
    if (text.length > MAX_API_RESPONSE_BYTES)
      throw new Error('the response of the API server exceeds 64 MiB');
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
