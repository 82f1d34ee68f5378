import { createClients } from '../aws/clients.ts';
import { createDoor, type Door } from '../aws/door.ts';
import { createLog, type Log } from '../log.ts';
import { wantsColour } from '../report/paint.ts';
import type { Sandbox } from '../sandbox/server.ts';
import type { Specs } from '../spec/types.ts';
import type { Io } from './io.ts';
import type { GlobalOptions } from './options.ts';

/** What a command needs to talk to AWS, or to the sandbox in AWS's place. */
export interface Session {
  door: Door;
  log: Log;
  sandbox?: Sandbox;
  /** What is read and changed, in words: `AWS` at its endpoint, or a sandbox in its folder. */
  target: string;
  close(): Promise<void>;
}

const WORTH_A_WARNING = 3;

export async function openSession(
  specs: Specs,
  options: Pick<GlobalOptions, 'sandbox' | 'logLevel'>,
  io: Io,
  signal: AbortSignal,
): Promise<Session> {
  const log = createLog(io.stderr, { level: options.logLevel, colour: wantsColour(io.stderr, io.env) });
  const sandbox = options.sandbox === undefined ? undefined : await startEmbedded(options.sandbox);
  const clients = createClients(
    specs.accounts,
    sandbox && {
      endpoint: sandbox.endpoint,
      credentials: { accessKeyId: '000000000000', secretAccessKey: 'sandbox' },
    },
  );
  const door = createDoor({
    clients,
    accounts: specs.accounts,
    region: specs.pairs[0]?.source.region ?? 'us-east-1',
    signal,
    onRetry: ({ operation, region, attempt, reason }) => {
      // Once or twice is everyday; from the third time on a person wants to know, though not at every attempt.
      const level = attempt === WORTH_A_WARNING ? 'warn' : 'debug';
      log[level]({ operation, region, attempt }, `${operation} in ${region} is tried again: ${reason}`);
    },
  });
  return {
    door,
    log,
    ...(sandbox === undefined ? {} : { sandbox }),
    target: targetOf(options, specs, io),
    async close() {
      clients.destroy();
      await sandbox?.close();
    },
  };
}

async function startEmbedded(state: string): Promise<Sandbox> {
  const { openSandbox } = await import('./open-sandbox.ts');
  return openSandbox({ state });
}

function targetOf({ sandbox }: Pick<GlobalOptions, 'sandbox'>, { accounts }: Specs, io: Io): string {
  if (sandbox !== undefined) return `Sandbox in ${sandbox}, not AWS`;
  const endpoint = io.env.AWS_ENDPOINT_URL_S3 ?? io.env.AWS_ENDPOINT_URL;
  const named = accounts.filter(({ managed }) => managed).map(({ name, id }) => `${name} (${id})`);
  const who = named.length > 0 ? `accounts ${named.join(', ')}` : 'the account of the ambient credentials';
  return endpoint === undefined ? `AWS, ${who}` : `AWS at ${endpoint}, ${who}`;
}
