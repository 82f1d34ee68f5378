import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';

/** The API server, as a pod sees it. */
export interface KubernetesApi {
  namespace: string;
  /** Answers as they are; throws only where none came. */
  request(method: string, path: string, body?: unknown, contentType?: string): Promise<ApiAnswer>;
  /** Events of a watch, line by line, until it ends; where it is refused, the refusal as the one event. */
  watch(path: string, signal: AbortSignal): AsyncIterable<WatchEvent>;
}

export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  // biome-ignore lint/suspicious/noExplicitAny: a resource, or what was wrong
  object: any;
}

export interface ApiAnswer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what it is depends on what was asked
  body: any;
}

/** Where Kubernetes puts what a pod needs to talk to it. */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Milliseconds; shorter than a lease may go without a renewal. */
const TIMEOUT_MS = 5_000;

/** An answer is a list of specs at most. */
const MOST_BYTES = 64 * 1024 * 1024;

export interface ApiOptions {
  /** `https://10.0.0.1:443`; absent: from the environment of the pod. */
  server?: string;
  /** Folder with `token`, `ca.crt` and `namespace`. */
  account?: string;
  timeoutMs?: number;
}

/** Whether this process runs in a pod that may talk to the API server. */
export const isInCluster = (env: Record<string, string | undefined>): boolean =>
  env.KUBERNETES_SERVICE_HOST !== undefined;

/** @throws Error where this is no pod, or it has no service account. */
export async function kubernetesApi(
  env: Record<string, string | undefined>,
  options: ApiOptions = {},
): Promise<KubernetesApi> {
  const account = options.account ?? env.REPLIKEY_SERVICE_ACCOUNT ?? SERVICE_ACCOUNT;
  const host = env.KUBERNETES_SERVICE_HOST ?? '';
  const server =
    options.server ??
    `https://${host.includes(':') ? `[${host}]` : host}:${env.KUBERNETES_SERVICE_PORT ?? '443'}`;
  const namespace = (await readFile(path.join(account, 'namespace'), 'utf8')).trim();
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const transport = server.startsWith('https:') ? https : http;

  async function send(method: string, at: string, body: unknown, contentType: string, signal?: AbortSignal) {
    // Tokens are replaced before they expire, and authorities once in a while: both are read anew.
    const [token, ca] = await Promise.all([
      readFile(path.join(account, 'token'), 'utf8'),
      readFile(path.join(account, 'ca.crt')).catch(() => undefined),
    ]);
    return new Promise<http.IncomingMessage>((resolve, reject) => {
      const request = transport.request(
        new URL(at, server),
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
        reject(new Error(`${method} ${at}: ${error.message}`, { cause: error })),
      );
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  return {
    namespace,
    async request(method, at, body, contentType = 'application/json') {
      const answer = await send(method, at, body, contentType);
      const text = await textOf(answer);
      return { status: answer.statusCode ?? 0, body: parsed(text) };
    },
    async *watch(at, signal) {
      const answer = await send('GET', at, undefined, '', signal);
      // A watch is quiet for as long as nothing happens; the server ends it after some minutes.
      answer.socket.setTimeout(0);
      if (answer.statusCode !== 200) {
        const { message } = parsed(await textOf(answer)) as { message?: string };
        yield { type: 'ERROR', object: { code: answer.statusCode, message } };
        return;
      }
      let rest = '';
      for await (const chunk of answer.setEncoding('utf8')) {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line !== '') yield JSON.parse(line);
      }
    },
  };
}

async function textOf(answer: http.IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of answer.setEncoding('utf8')) {
    text += chunk;
    if (text.length > MOST_BYTES) throw new Error('the answer of the API server is too long');
  }
  return text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text.slice(0, 200) };
  }
}
