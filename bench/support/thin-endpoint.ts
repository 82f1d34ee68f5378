import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { CallReport, EndpointMessage } from '../processes/thin-endpoint.ts';
import type { RecordedResponses } from './recorded-responses.ts';

/** The thin endpoint in a child process. */
export interface ThinEndpoint {
  /** `http://127.0.0.1:4566` */
  endpoint: string;
  serve(recorded: RecordedResponses, options: { delayMs: number; roles: number }): Promise<void>;
  report(): Promise<CallReport>;
  close(): void;
}

export async function startThinEndpoint(): Promise<ThinEndpoint> {
  const child = fork(path.join(import.meta.dirname, 'processes', 'thin-endpoint.mjs'));
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const send = async <T>(message: EndpointMessage): Promise<T> => {
    child.send(message);
    const [response] = await once(child, 'message');
    return response as T;
  };
  return {
    endpoint: `http://127.0.0.1:${port}`,
    serve: async (recorded, options) => void (await send({ type: 'serve', recorded, ...options })),
    report: () => send<CallReport>({ type: 'report' }),
    close: () => child.disconnect(),
  };
}
