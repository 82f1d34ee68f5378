import { buffer } from 'node:stream/consumers';
import { type AwsClient, createAwsClient, type ExpectedAccount } from '../aws/client.ts';
import { redactUserInfo } from '../aws/request-handler.ts';
import { type Connection, createSdkClients, type SdkClients } from '../aws/sdk-clients.ts';
import { EXIT, UserError } from '../errors.ts';
import { createLog, type Log } from '../log.ts';
import { isColourEnabled } from '../report/style.ts';
import type { Sandbox } from '../sandbox/server.ts';
import { createReplayClients } from '../snapshot/replay.ts';
import { parseSnapshot, type Snapshot } from '../snapshot/snapshot.ts';
import { formatProblems } from '../spec/format-problems.ts';
import { loadSpecs } from '../spec/load.ts';
import { type Selection, SelectionError, selectSpecs } from '../spec/select.ts';
import type { Specs } from '../spec/types.ts';
import { readJson } from '../util/files.ts';
import type { Io } from './command-model.ts';
import { openSandbox } from './commands/sandbox.ts';
import { type GlobalOptions, type SpecOptions, variableInputOf } from './options.ts';

/** The connection of a command to AWS, or to a sandbox in place of AWS. */
export interface CliSession {
  aws: AwsClient;
  log: Log;
  sandbox?: Sandbox;
  /**
   * Describes the system that a command reads and changes, as far as it is known: `AWS, account 111122223333`, or a
   * sandbox in its folder.
   */
  target(): string;
  /** ISO 8601. Set if a snapshot replaces AWS. */
  observedAt?: string;
  close(): Promise<void>;
}

type SessionOptions = Pick<GlobalOptions, 'sandbox' | 'logLevel'> & {
  /** A snapshot that `reconcile observe` wrote, to replay in place of AWS. */
  observed?: string;
  /** Region of the calls that name none; default: that of the first source. */
  region?: string;
  /** Time limit for an attempt of a call, in milliseconds; default: that of the SDK clients. */
  attemptTimeoutMs?: number;
  /** The account to which the ambient credentials must belong. */
  expectedAccount?: ExpectedAccount | undefined;
};

const WARN_AT_ATTEMPT = 3;

export async function openSession(
  specs: Specs,
  options: SessionOptions,
  io: Io,
  signal: AbortSignal,
  wrapClients?: (clients: SdkClients) => SdkClients,
): Promise<CliSession> {
  rejectInvalidEndpoints(io);
  const log = createLog(io.stderr, { level: options.logLevel, colour: isColourEnabled(io.stderr, io.env) });
  // Reads the snapshot first, because it can fail: a started sandbox runs until the session is closed.
  const snapshot = options.observed === undefined ? undefined : await readSnapshotFile(options.observed);
  const sandbox =
    options.sandbox === undefined ? undefined : await startEmbeddedSandbox(options.sandbox, log);
  const createLiveClients = () =>
    createSdkClients(specs.accounts, {
      ...(sandbox && sandboxConnection(sandbox)),
      ...(options.attemptTimeoutMs === undefined ? {} : { timeoutMs: options.attemptTimeoutMs }),
    });
  const baseClients = snapshot ? createReplayClients(snapshot) : createLiveClients();
  const clients = wrapClients ? wrapClients(baseClients) : baseClients;
  const aws = createAwsClient({
    clients,
    accounts: specs.accounts,
    ...(options.expectedAccount && { expectedAccount: options.expectedAccount }),
    region: options.region ?? specs.pairs[0]?.source.region ?? 'us-east-1',
    signal,
    disableBatching: options.observed !== undefined || wrapClients !== undefined,
    onRetry: ({ operation, region, attempt, reason }) => {
      // One or two retries are common. Only the third attempt is a warning.
      const level = attempt === WARN_AT_ATTEMPT ? 'warn' : 'debug';
      log[level]({ operation, region, attempt }, `retrying ${operation} in ${region}: ${reason}`);
    },
  });
  const target = snapshot
    ? () => snapshotLabel(snapshot, new Date())
    : await targetLabel(options, specs, aws);
  return {
    aws,
    log,
    ...(sandbox === undefined ? {} : { sandbox }),
    target,
    ...(snapshot === undefined ? {} : { observedAt: snapshot.observedAt }),
    async close() {
      clients.destroy();
      await sandbox?.close();
    },
  };
}

/** @throws UserError for an invalid endpoint in the environment. The SDK would report it for each call. */
export function rejectInvalidEndpoints({ env }: Io): void {
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('AWS_ENDPOINT_URL') || value === undefined || value === '') continue;
    if (isHttpUrl(value)) continue;
    // A host with a port parses as a URL with the scheme `localhost:`.
    const hint =
      !value.includes('://') && isHttpUrl(`http://${value}`)
        ? `http://${redactUserInfo(value)}`
        : 'http://127.0.0.1:4566';
    throw new UserError(
      EXIT.failed,
      `invalid ${name} "${redactUserInfo(value)}": use a URL with http:// or https://, for example ${hint}`,
    );
  }
}

const isHttpUrl = (value: string): boolean =>
  URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);

/** Returns the endpoint and credentials of a sandbox in this process. */
export const sandboxConnection = ({ endpoint }: Sandbox): Connection => ({
  endpoint,
  isSandbox: true,
  credentials: { accessKeyId: '000000000000', secretAccessKey: 'sandbox' },
});

export const startEmbeddedSandbox = (stateDir: string, log: Log): Promise<Sandbox> =>
  openSandbox({ state: stateDir, onError: (message) => log.warn(message) });

/** @throws UserError if the file cannot be read, or is not a snapshot. */
async function readSnapshotFile(file: string): Promise<Snapshot> {
  return parseSnapshot(await readJson(file), file);
}

/** Describes the age of a snapshot. */
function snapshotLabel({ observedAt }: Snapshot, now: Date): string {
  const minutes = Math.max(0, Math.floor((now.getTime() - Date.parse(observedAt)) / 60_000));
  const age =
    minutes === 0
      ? 'less than a minute'
      : minutes < 120
        ? `${minutes} min`
        : minutes < 2 * 24 * 60
          ? `${Math.round(minutes / 60)} h`
          : `${Math.round(minutes / 1440)} days`;
  return `Snapshot taken ${age} ago (${observedAt}), not AWS`;
}

async function targetLabel(
  { sandbox }: Pick<GlobalOptions, 'sandbox'>,
  { accounts, pairs }: Specs,
  aws: AwsClient,
): Promise<() => string> {
  if (sandbox !== undefined) return () => `Sandbox in ${sandbox}, not AWS`;
  const endpoint = await aws.endpoint();
  const endpointLabel = endpoint === 'aws' ? 'AWS' : `AWS at ${endpoint}`;
  const accountLabels = accounts.filter(({ managed }) => managed).map(({ name, id }) => `${name} (${id})`);
  if (accountLabels.length > 0) return () => `${endpointLabel}, accounts ${accountLabels.join(', ')}`;
  let accountLabel = 'the account of the ambient credentials';
  // Starts the same lookup that reads of a bucket use; it runs only once. If it fails, those reads report the failure.
  if (pairs.length > 0)
    aws.accountId(undefined).then(
      (id) => {
        accountLabel = `account ${id}`;
      },
      () => {},
    );
  return () => `${endpointLabel}, ${accountLabel}`;
}

/**
 * Loads the specs that the arguments name, and applies the selection.
 *
 * @throws UserError with every problem of every file, and for a selection that cannot be applied.
 */
export async function loadSelectedSpecs(
  paths: readonly string[],
  options: SpecOptions & { prune?: true },
  io: Io,
  signal?: AbortSignal,
): Promise<Specs> {
  const { specs, problems } = await loadSpecs(paths, () => buffer(io.stdin), {
    variableInput: variableInputOf(options, io),
    requireComplete: options.prune ?? false,
    signal,
    nowMs: Date.now(),
  });
  if (specs) return applySelection(specs, options);
  const problemCount = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  throw new UserError(EXIT.specs, `${formatProblems(problems)}\n\n${problemCount}; AWS was not called.`);
}

/** @throws UserError for a selection that cannot be applied. */
export function applySelection(specs: Specs, selection: Selection): Specs {
  try {
    return selectSpecs(specs, selection);
  } catch (error) {
    if (error instanceof SelectionError) throw new UserError(EXIT.usage, error.message);
    throw error;
  }
}
