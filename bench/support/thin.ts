import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Asked, ToEndpoint } from '../processes/thin-endpoint.ts';
import type { Recorded } from './recorded.ts';

/** The thin endpoint, in a process of its own. */
export interface Thin {
  /** `http://127.0.0.1:4566` */
  endpoint: string;
  serve(recorded: Recorded, options: { delayMs: number; roles: number }): Promise<void>;
  asked(): Promise<Asked>;
  close(): void;
}

export async function startThin(): Promise<Thin> {
  const child = fork(path.join(import.meta.dirname, 'processes', 'thin-endpoint.mjs'));
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const ask = async <T>(message: ToEndpoint): Promise<T> => {
    child.send(message);
    const [answer] = await once(child, 'message');
    return answer as T;
  };
  return {
    endpoint: `http://127.0.0.1:${port}`,
    serve: async (recorded, options) => void (await ask({ type: 'serve', recorded, ...options })),
    asked: () => ask<Asked>({ type: 'report' }),
    close: () => child.disconnect(),
  };
}
