import { type Clients, type Connection, createClients } from '../aws/clients.ts';
import { createDoor, type Door } from '../aws/door.ts';
import { EXIT, UserError } from '../errors.ts';
import { createLog, type Log } from '../log.ts';
import { type Recording, recordingOf } from '../recording/recording.ts';
import { replayingClients } from '../recording/replay.ts';
import { wantsColour } from '../report/paint.ts';
import type { Sandbox } from '../sandbox/server.ts';
import type { Specs } from '../spec/types.ts';
import type { Io } from './io.ts';
import type { GlobalOptions } from './options.ts';
import { readJson } from './read-json.ts';

/** What a command needs to talk to AWS, or to the sandbox in AWS's place. */
export interface Session {
  door: Door;
  log: Log;
  sandbox?: Sandbox;
  /** What is read and changed, in words, as far as it is known by now: `AWS, account 111122223333`, or a sandbox in its folder. */
  target(): string;
  /** ISO 8601, where nobody is asked and an observation answers. */
  observedAt?: string;
  close(): Promise<void>;
}

type SessionOptions = Pick<GlobalOptions, 'sandbox' | 'logLevel'> & {
  /** A file that `reconcile observe` wrote, to answer in place of AWS. */
  observed?: string;
};

const WORTH_A_WARNING = 3;

export async function openSession(
  specs: Specs,
  options: SessionOptions,
  io: Io,
  signal: AbortSignal,
  through?: (clients: Clients) => Clients,
): Promise<Session> {
  refuseNoUrl(io);
  const log = createLog(io.stderr, { level: options.logLevel, colour: wantsColour(io.stderr, io.env) });
  // First what can fail: whatever is started stays until the session is closed.
  const recording = options.observed === undefined ? undefined : await readRecording(options.observed);
  const sandbox = options.sandbox === undefined ? undefined : await startEmbedded(options.sandbox);
  const real = () => createClients(specs.accounts, sandbox && embedded(sandbox));
  const answering = recording ? replayingClients(recording) : real();
  const clients = through ? through(answering) : answering;
  const door = createDoor({
    clients,
    accounts: specs.accounts,
    region: specs.pairs[0]?.source.region ?? 'us-east-1',
    signal,
    roleByRole: options.observed !== undefined || through !== undefined,
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
    target: recording ? () => asObserved(recording, new Date()) : targetOf(options, specs, io, door),
    ...(recording === undefined ? {} : { observedAt: recording.observedAt }),
    async close() {
      clients.destroy();
      await sandbox?.close();
    },
  };
}

/** @throws UserError for an endpoint of the environment that is none: the SDK would tell of it for each call. */
export function refuseNoUrl({ env }: Io): void {
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('AWS_ENDPOINT_URL') || value === undefined || value === '') continue;
    if (!URL.canParse(value))
      throw new UserError(
        EXIT.usage,
        `${name} is no URL: "${withoutPassword(value)}"; write it as http://127.0.0.1:4566`,
      );
  }
}

/** How a sandbox of this process is reached. */
export const embedded = ({ endpoint }: Sandbox): Connection => ({
  endpoint,
  credentials: { accessKeyId: '000000000000', secretAccessKey: 'sandbox' },
});

export async function startEmbedded(state: string): Promise<Sandbox> {
  const { openSandbox } = await import('./open-sandbox.ts');
  return openSandbox({ state });
}

/** @throws UserError where it cannot be read, or is none. */
async function readRecording(file: string): Promise<Recording> {
  return recordingOf(await readJson(file), file);
}

/** How old what is looked at is. */
function asObserved({ observedAt }: Recording, now: Date): string {
  const minutes = Math.max(0, Math.floor((now.getTime() - Date.parse(observedAt)) / 60_000));
  const age =
    minutes === 0
      ? 'less than a minute'
      : minutes < 120
        ? `${minutes} min`
        : minutes < 2 * 24 * 60
          ? `${Math.round(minutes / 60)} h`
          : `${Math.round(minutes / 1440)} days`;
  return `As observed ${age} ago (${observedAt}); AWS is not asked`;
}

function targetOf(
  { sandbox }: Pick<GlobalOptions, 'sandbox'>,
  { accounts, pairs }: Specs,
  { env }: Io,
  door: Door,
): () => string {
  if (sandbox !== undefined) return () => `Sandbox in ${sandbox}, not AWS`;
  const endpoint = env.AWS_ENDPOINT_URL_S3 ?? env.AWS_ENDPOINT_URL;
  const where = endpoint === undefined ? 'AWS' : `AWS at ${withoutPassword(endpoint)}`;
  const named = accounts.filter(({ managed }) => managed).map(({ name, id }) => `${name} (${id})`);
  if (named.length > 0) return () => `${where}, accounts ${named.join(', ')}`;
  let whose = 'the account of the ambient credentials';
  // Whoever reads a bucket asks the same, and it is asked once. That nobody can tell is told by the reads.
  if (pairs.length > 0)
    door.accountId(undefined).then(
      (id) => {
        whose = `account ${id}`;
      },
      () => {},
    );
  return () => `${where}, ${whose}`;
}

/** An address as it may be shown: who asks, and by what password, is nobody's business. */
const withoutPassword = (url: string): string => url.replace(/\/\/.*@/, '//***@');
