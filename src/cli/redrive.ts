import { formatAwsError } from '../aws/errors.ts';
import { hasStopped } from '../core/batch-job.ts';
import { allowanceOf } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { readJobReport } from '../facts/job-report.ts';
import { discoverReplication } from '../import/discover.ts';
import { importSpecs, toYaml } from '../import/render-yaml.ts';
import { kinds } from '../kinds/index.ts';
import type { Outcome, PassOptions } from '../reconcile/pass.ts';
import { reconcile } from '../reconcile/reconcile.ts';
import {
  planRedrives,
  type Redrive,
  RedriveError,
  type RedriveState,
  readRedriveState,
} from '../reconcile/redrive.ts';
import { planJson } from '../report/json.ts';
import {
  approvalText,
  type RedriveProgress,
  redriveJson,
  redriveProgressText,
  redriveResultText,
  redriveRulesText,
  redriveTitle,
} from '../report/redrive-text.ts';
import { createPaint } from '../report/style.ts';
import { formatProblems } from '../spec/format-problems.ts';
import { loadSpecs } from '../spec/load.ts';
import type { Backfill, BackfillObjects, Specs } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { sleep, systemClock } from '../util/clock.ts';
import { escapeUnprintable, safeJson, shellQuote } from '../util/escape.ts';
import type { Io } from './command-model.ts';
import {
  type AccountOptions,
  type GlobalOptions,
  type SpecOptions,
  sandboxFlags,
  specArgumentsOf,
  type WaitOptions,
} from './options.ts';
import { createReporter, type Reporter } from './output.ts';
import { showStatusLine } from './progress.ts';
import { confirm, isInteractive } from './prompt.ts';
import { applySelection, type CliSession, loadSelectedSpecs, openSession } from './session.ts';
import { reconcileExitCode } from './single-pass.ts';

export interface RedriveCommandOptions extends SpecOptions, AccountOptions, GlobalOptions, WaitOptions {
  /** Source buckets, in place of specs. */
  bucket: string[];
  region: string;
  objects?: BackfillObjects[];
  report?: NonNullable<Backfill['report']>;
  dryRun?: true;
  detailedExitcode?: true;
  /** Create the job without a question. */
  yes?: true;
  /** Exit when the job is approved. */
  detach?: true;
  /** Whether to name the API calls. */
  explain?: true;
}

/** Runs `reconcile redrive`: plans, asks, creates the jobs, asks again with their sizes, and follows them to their end. */
export async function runRedrive(
  paths: readonly string[],
  options: RedriveCommandOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const specs =
    options.bucket.length > 0
      ? await discoverSpecs(options, io, signal)
      : await loadSpecsOfBuckets(paths, options, io, signal);
  rejectUnmanaged(specs);
  const { account } = options;
  const session = await openSession(
    specs,
    { ...options, ...(account && { expectedAccount: { id: account, requiredBy: '--account requires' } }) },
    io,
    signal,
  );
  try {
    const redrives = await planRedrivesOrExit(specs, session, options, signal);
    return await redriveBuckets({ specs, redrives, session, paths, options, io, signal });
  } finally {
    await session.close();
  }
}

/** Returns the specs of live buckets, as `reconcile import` prints them. */
async function discoverSpecs(options: RedriveCommandOptions, io: Io, signal: AbortSignal): Promise<Specs> {
  const noSpecs: Specs = { pairs: [], accounts: [], limits: {}, variables: [] };
  const session = await openSession(noSpecs, options, io, signal);
  try {
    const aws = session.aws.readOnly().withCache();
    const names = [...new Set(options.bucket)];
    const replications = await Promise.all(
      names.map(async (name) => {
        const replication = await discoverReplication(aws, name, options.region);
        if (replication) return replication;
        throw new UserError(
          EXIT.failed,
          `bucket ${name} has no replication configuration, so no rule selects its objects; create one with reconcile --once, and repeat the command`,
        );
      }),
    );
    const text = toYaml(importSpecs(replications, { byArn: true }));
    const { specs, problems } = await loadSpecs(['-'], async () => text);
    // No file declares these specs.
    if (specs) return { ...specs, pairs: specs.pairs.map((pair) => ({ ...pair, positions: {} })) };
    throw new UserError(
      EXIT.failed,
      `cannot derive specs from ${names.join(', ')}: write them with reconcile import, correct them, and use reconcile redrive with them\n${formatProblems(problems)}`,
    );
  } finally {
    await session.close();
  }
}

/** Returns all specs of the buckets that the selected specs name: a job runs the rules of all of them. */
async function loadSpecsOfBuckets(
  paths: readonly string[],
  options: RedriveCommandOptions,
  io: Io,
  signal: AbortSignal,
): Promise<Specs> {
  const { selector: _, ...unselected } = options;
  const specs = await loadSelectedSpecs(paths, { ...unselected, only: [] }, io, signal);
  const selected = applySelection(specs, options);
  const buckets = new Set(selected.pairs.map(({ source }) => source.bucket));
  return { ...specs, pairs: specs.pairs.filter(({ source }) => buckets.has(source.bucket)) };
}

function rejectUnmanaged({ pairs }: Specs): void {
  const unmanaged = pairs.find(({ source }) => !source.managed);
  if (!unmanaged) return;
  const { bucket, account } = unmanaged.source;
  throw new UserError(
    EXIT.usage,
    `cannot re-drive ${bucket}: its job runs in account ${account}, for which replikey has no credentials (managed: false); run the command with credentials of that account`,
  );
}

async function planRedrivesOrExit(
  { pairs, limits }: Specs,
  { aws }: CliSession,
  { objects, report }: RedriveCommandOptions,
  signal: AbortSignal,
): Promise<Redrive[]> {
  const client = aws.withCache();
  // A response of AWS sets the clock.
  await client.accountId(pairs[0]?.source.account);
  try {
    return await planRedrives(
      pairs,
      client,
      omitUndefined({ objects, report, maxObjects: limits.maxBackfillObjects, nowMs: aws.now(), signal }),
    );
  } catch (error) {
    if (error instanceof RedriveError) throw new UserError(EXIT.refused, `refused: ${error.message}`);
    throw error;
  }
}

/** The input of a run. */
interface RedriveRun {
  specs: Specs;
  redrives: readonly Redrive[];
  session: CliSession;
  paths: readonly string[];
  options: RedriveCommandOptions;
  io: Io;
  signal: AbortSignal;
}

/** The output of a run: text while it runs, or one JSON document at its end. */
interface RedriveOutput {
  reporter: Reporter;
  /** Prints a line for people. */
  print(text: string): void;
  /** Prints the JSON document, and returns the exit code. */
  end(code: number, outcome: Outcome, progress?: readonly RedriveProgress[]): number;
}

async function redriveBuckets(run: RedriveRun): Promise<number> {
  const { redrives, options, io, signal } = run;
  const output = createOutput(run);
  const specs = { ...run.specs, pairs: redrives.map(({ pair }) => pair) };
  const preview = await reconcile(specs, { ...passOptions(run, output), dryRun: true });
  showPlan(preview, run, output);
  const { plan, refusals } = preview;
  if (refusals.length + plan.blocked.length > 0 || options.dryRun) return endPlan(preview, run, output);
  if (plan.waves.length > 0) {
    if (!(await isCreationConfirmed(run))) return output.end(EXIT.refused, refuse(preview, run, output));
    const created = await reconcile(specs, {
      ...passOptions(run, output),
      approvedPlan: { checksum: plan.digest, plan },
    });
    const code = reconcileExitCode(created, {});
    if (code !== EXIT.ok) {
      output.reporter.end(created);
      return output.end(code, created);
    }
  }
  try {
    const prepared = await waitFor(run, (state) => state !== 'absent' && state !== 'preparing');
    const approval = await approveSuspended(specs, prepared, run, output);
    if (approval !== undefined) return output.end(approval, preview, prepared);
    const last = await waitFor(run, (state) =>
      options.detach ? state !== 'suspended' : state === 'complete' || state === 'failed',
    );
    const ended = await Promise.all(last.map((progress) => withReport(progress, run)));
    const paint = createPaint(io.stdout, io.env);
    for (const progress of ended) output.print(redriveResultText(progress, paint));
    if (options.detach && last.some(isUnfinished)) output.print(continueText(run));
    return output.end(last.some(isUnsuccessful) ? EXIT.failed : EXIT.ok, preview, ended);
  } catch (error) {
    if (signal.aborted) io.stderr.write(`${continueText(run)}\n`);
    throw error;
  }
}

/** Adds the report of a job with failed objects. */
async function withReport(progress: RedriveProgress, { session }: RedriveRun): Promise<RedriveProgress> {
  const { redrive, state } = progress;
  const location = redrive.pair.backfill?.report;
  if (!location || !('job' in state) || state.job.failed === 0 || !hasStopped(state.job)) return progress;
  try {
    const report = await readJobReport(session.aws, redrive.location, location, state.job.id);
    return report ? { ...progress, report } : progress;
  } catch (error) {
    if (error instanceof UserError) throw error;
    return { ...progress, report: { unread: formatAwsError(error) } };
  }
}

const isUnfinished = ({ state }: RedriveProgress): boolean => !('job' in state) || !hasStopped(state.job);

const isUnsuccessful = ({ state }: RedriveProgress): boolean =>
  state.state === 'failed' || ('job' in state && state.job.failed > 0);

/** The risks of the plan that creates the jobs: each is started later, when its size is known. */
const passOptions = ({ session, options, signal }: RedriveRun, { reporter }: RedriveOutput): PassOptions => ({
  kinds,
  aws: session.aws,
  allowedRisks: options.allow.filter((id) => !isStartAllowance(id)),
  dryRun: false,
  jobsOnly: true,
  propagationTimeoutMs: options.wait * 1000,
  signal,
  onEvent: reporter.event,
});

const START = 'start-backfill';
const isStartAllowance = (allowance: string): boolean => allowance.split('=')[0] === START;

function createOutput({ specs, redrives, session, options, io }: RedriveRun): RedriveOutput {
  const isText = options.output === 'text';
  // A person who answers questions also reads the plan.
  const stdout = isText && (io.stdout.isTTY || !isInteractive(io)) ? io.stdout : io.stderr;
  const isShown = isText || isInteractive(io);
  const reporter = createReporter(
    'text',
    {
      pairs: redrives.map(({ pair }) => pair),
      variables: specs.variables,
      dryRun: false,
      target: session.target,
      isAws: session.sandbox === undefined,
      explain: options.explain ?? false,
      about: {},
      calls: session.aws.calls,
      command: () => '',
    },
    { stdout, env: io.env },
    session.log,
  );
  const silent: Reporter = { plan() {}, event() {}, end() {} };
  return {
    reporter: isShown ? reporter : silent,
    print: (text) => void (isShown && stdout.write(`${text}\n`)),
    end(code, { plan, proof, refusals }, progress) {
      if (isText) return code;
      const jobs = progress ?? [];
      const document = {
        format: 1,
        plan: planJson(plan, proof, { refused: refusals }),
        jobs: jobs.map(redriveJson),
      };
      io.stdout.write(`${safeJson(document, 2)}\n`);
      return code;
    },
  };
}

function showPlan(preview: Outcome, { redrives, io }: RedriveRun, { reporter, print }: RedriveOutput): void {
  reporter.plan(preview.plan, preview.proof);
  print('');
  for (const redrive of redrives) print(redriveTitle(redrive));
  print(redriveRulesText(preview.proof, createPaint(io.stdout, io.env)));
}

/** Ends a run that changes nothing: a dry run, or a plan that a guard refuses. */
function endPlan(preview: Outcome, { options }: RedriveRun, output: RedriveOutput): number {
  const isRefused = preview.refusals.length + preview.plan.blocked.length > 0;
  if (isRefused) output.reporter.end(preview);
  if (options.dryRun) {
    output.print('\nDry run: nothing was changed.');
    return output.end(reconcileExitCode(preview, options), preview);
  }
  return output.end(EXIT.refused, preview);
}

/** Returns whether a person confirms the new jobs. Without a terminal, an option does. */
async function isCreationConfirmed({ redrives, options, io, signal }: RedriveRun): Promise<boolean> {
  if (options.yes || options.allow.some(isStartAllowance)) return true;
  if (!isInteractive(io)) return false;
  const buckets = redrives.map(({ bucket }) => bucket).join(', ');
  const [jobs, start] = redrives.length === 1 ? ['a batch job', 'It starts'] : ['batch jobs', 'They start'];
  return confirm(`Create ${jobs} for ${buckets}? ${start} only after a second question.`, io, signal);
}

/** Returns the outcome of a plan that was not confirmed, and prints the reason. */
function refuse(outcome: Outcome, { io }: RedriveRun, { reporter }: RedriveOutput): Outcome {
  const message = isInteractive(io)
    ? 'the job was not confirmed: answer y to create it, or use --yes'
    : `not a terminal: use --yes to create the job, which then waits for an approval, or --allow ${START} to run it`;
  const refused: Outcome = { ...outcome, refusals: [{ id: 'not-confirmed', message }] };
  reporter.end(refused);
  return refused;
}

/** Starts the jobs that wait for an approval. Returns the exit code if they may not start. */
async function approveSuspended(
  specs: Specs,
  prepared: readonly RedriveProgress[],
  run: RedriveRun,
  output: RedriveOutput,
): Promise<number | undefined> {
  const { options, io, signal } = run;
  const suspended = prepared.filter(({ state }) => state.state === 'suspended');
  if (suspended.length === 0) return undefined;
  output.print('');
  for (const progress of suspended) output.print(approvalText(progress));
  const approvals = suspended.flatMap(({ state }) =>
    'job' in state ? allowanceOf({ id: START, subject: state.job.id }) : [],
  );
  // The pass cancels a job that exceeds the guardrails.
  const isTooLarge = suspended.every(exceedsLimit);
  const isAllowed =
    isTooLarge || approvals.every((id) => options.allow.includes(START) || options.allow.includes(id));
  if (!isAllowed && !(isInteractive(io) && (await confirm(startQuestion(suspended), io, signal)))) {
    const [jobs, wait] = suspended.length === 1 ? ['The job', 'waits'] : ['The jobs', 'wait'];
    output.print(
      `${jobs} ${wait} for an approval. To start: ${commandLine(run, approvals)}\nA job that nothing starts costs nothing; cancel it with aws s3control update-job-status.`,
    );
    return EXIT.refused;
  }
  const outcome = await reconcile(specs, {
    ...passOptions(run, output),
    allowedRisks: [...options.allow, ...approvals],
  });
  if (outcome.refusals.length + outcome.plan.blocked.length > 0) {
    output.reporter.plan(outcome.plan, outcome.proof);
    output.reporter.end(outcome);
    return EXIT.refused;
  }
  if (outcome.results.every(({ result }) => result === 'applied')) return undefined;
  output.reporter.end(outcome);
  return EXIT.failed;
}

const exceedsLimit = ({ redrive: { pair }, state }: RedriveProgress): boolean =>
  'job' in state && (state.job.total ?? 0) > (pair.backfill?.maxObjects ?? Number.POSITIVE_INFINITY);

const startQuestion = ({ length }: readonly RedriveProgress[]): string =>
  length === 1 ? 'Start the job?' : `Start the ${length} jobs?`;

/** The first and the longest wait between two reads of the jobs, in milliseconds. */
const FIRST_POLL_MS = 250;
const LONGEST_POLL_MS = 15_000;

/**
 * Reads the jobs until all are in a state.
 *
 * @throws the reason of an interruption; UserError if S3 shows a new job for `--wait` seconds not
 */
async function waitFor(
  { redrives, session, options, io, signal }: RedriveRun,
  isReached: (state: RedriveState['state']) => boolean,
): Promise<RedriveProgress[]> {
  const status = showStatusLine({ io, log: session.log });
  const start = systemClock.monotonicNow();
  try {
    for (let waitMs = FIRST_POLL_MS; ; waitMs = Math.min(waitMs * 1.5, LONGEST_POLL_MS)) {
      // Jobs of one Region come from one list.
      const aws = session.aws.withCache();
      const progress = await Promise.all(
        redrives.map(async (redrive) => ({ redrive, state: await readRedriveState(aws, redrive) })),
      );
      if (progress.every(({ state }) => isReached(state.state))) return progress;
      const absent = progress.find(({ state }) => state.state === 'absent');
      if (absent && systemClock.monotonicNow() - start > options.wait * 1000)
        throw new UserError(
          EXIT.failed,
          `S3 does not show the job of ${absent.redrive.bucket} after ${options.wait} s; repeat the command, which continues the job`,
        );
      status.update(progress.map(redriveProgressText));
      await sleep(systemClock, waitMs, signal);
      signal.throwIfAborted();
    }
  } finally {
    status.end();
  }
}

/** Returns what a person does after an interruption. */
const continueText = (run: RedriveRun): string =>
  `The batch jobs do not depend on this command. To follow them, or to approve them: ${commandLine(run)}`;

/** Returns this command, which continues unfinished jobs. */
function commandLine({ paths, options }: RedriveRun, approvals: readonly string[] = []): string {
  const words = [
    'reconcile redrive',
    ...specArgumentsOf(paths, options),
    ...options.bucket.map((name) => `--bucket ${shellQuote(name)}`),
    ...(options.region === 'us-east-1' ? [] : [`--region ${options.region}`]),
    ...options.allow.filter((id) => !isStartAllowance(id)).map((id) => `--allow ${shellQuote(id)}`),
    ...approvals.map((id) => `--allow ${shellQuote(id)}`),
    ...sandboxFlags(options),
  ];
  return escapeUnprintable(words.join(' '));
}
