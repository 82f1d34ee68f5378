import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** A new sandbox behind the proxy that delays and counts calls. Each is a separate process. */
export interface Endpoint {
  /** The proxy, for the tools: it delays each call by 50 ms and counts it. */
  delayedUrl: string;
  /** The sandbox, for calls that are not part of the measured job. */
  directUrl: string;
  /** Returns the calls by operation since the previous call of this function. */
  calls(): Promise<Record<string, number>>;
  close(): void;
}

export async function startEndpoint(): Promise<Endpoint> {
  const sandbox = spawn(process.execPath, ['dist/main.js', 'sandbox', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = (await once(createInterface(sandbox.stdout), 'line')) as [string];
  const directUrl = /http:\/\/[\d.:]+/.exec(line)?.[0];
  if (!directUrl) throw new Error(`the sandbox printed no endpoint: ${line}`);
  sandbox.stdout.resume();
  const proxy = fork(path.join(import.meta.dirname, 'processes', 'counting-proxy.mjs'), [directUrl]);
  const [port] = (await once(proxy, 'message')) as [number];
  return {
    delayedUrl: `http://127.0.0.1:${port}`,
    directUrl,
    calls: async () => {
      proxy.send('calls');
      const [calls] = await once(proxy, 'message');
      return calls as Record<string, number>;
    },
    close: () => {
      proxy.disconnect();
      sandbox.kill();
    },
  };
}
