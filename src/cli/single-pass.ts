import manifest from '../../package.json' with { type: 'json' };
import type { ExpectedAccount } from '../aws/client.ts';
import type { Thresholds } from '../core/guard.ts';
import type { Endpoint, Id, Plan } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { kinds } from '../kinds/index.ts';
import type { Outcome, PassOptions, PlannedState } from '../reconcile/pass.ts';
import { createPropagation } from '../reconcile/propagation.ts';
import { reconcile } from '../reconcile/reconcile.ts';
import { type PlanMetadata, planJson } from '../report/json.ts';
import { overrideFlags } from '../report/markdown.ts';
import type { ChangeLimits, Specs } from '../spec/types.ts';
import { compareCodeUnits } from '../util/canonical-json.ts';
import { systemClock } from '../util/clock.ts';
import { escapeUnprintable, safeJson, shellQuote } from '../util/escape.ts';
import { writeFileAtomic } from '../util/files.ts';
import type { Io } from './command-model.ts';
import { acquireLock, attemptTimeout, type HeldLock, type LockOptions, takesLock } from './lock.ts';
import {
  type AccountOptions,
  type GlobalOptions,
  type GuardOptions,
  type OrganizationOptions,
  propagationWaitMs,
  type SpecOptions,
  sandboxFlags,
  specArgumentsOf,
  type WaitOptions,
} from './options.ts';
import { createReporter, type OutputFormat, sarifText } from './output.ts';
import { showProgress } from './progress.ts';
import { confirm, isInteractive } from './prompt.ts';
import { type SavedPlan, toSavedPlan } from './saved-plan.ts';
import { type CliSession, loadSelectedSpecs, openSession, sandboxConnection } from './session.ts';

/** Options of one pass. */
export interface ReconcileOptions
  extends SpecOptions,
    AccountOptions,
    OrganizationOptions,
    GuardOptions,
    Partial<LockOptions>,
    Partial<WaitOptions>,
    Omit<GlobalOptions, 'output'> {
  output: OutputFormat;
  once?: true;
  dryRun?: true;
  /** Apply without a question on the terminal. */
  yes?: true;
  detailedExitcode?: true;
  prune?: true;
  /** Whether to name the API calls. */
  explain?: true;
  /** Checksum of the only plan that may be applied. */
  plan?: string;
  /** A snapshot that `reconcile observe` wrote, in place of AWS. */
  observed?: string;
  /** File to save the plan in. */
  out?: string;
  /** File to save the findings of the proof in. */
  sarif?: string;
}

/** `reconcile --once`, `reconcile --dry-run` and `reconcile plan`: runs one pass over specs. */
export async function runOnce(
  paths: readonly string[],
  options: ReconcileOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  rejectContradictions(options);
  const specs = await loadSelectedSpecs(paths, options, io, signal);
  rejectUnknownAccount(specs, options);
  return runPass(specs, paths, options, io, signal);
}

/** Runs one pass. With a saved plan, applies only this plan, from the declarations that it contains. */
export async function runPass(
  specs: Specs,
  paths: readonly string[],
  options: ReconcileOptions,
  io: Io,
  signal: AbortSignal,
  savedPlan?: SavedPlan,
): Promise<number> {
  // A call in flight when the lock is lost must end before another process can hold it.
  const timeout = takesLock(options) ? { attemptTimeoutMs: attemptTimeout(options) } : {};
  const expectedAccount = expectedAccountOf(options, savedPlan);
  const session = await openSession(specs, { ...options, ...timeout, expectedAccount }, io, signal);
  let lock: HeldLock | undefined;
  try {
    // Before the lock, which is a write.
    if (savedPlan) await rejectOtherEndpoint(savedPlan, paths, session);
    const connection = {
      ...(session.sandbox && sandboxConnection(session.sandbox)),
      ...(specs.pairs[0] && { fallbackRegion: specs.pairs[0].source.region }),
    };
    lock = await acquireLock(options, { io, log: session.log, signal, connection });
    const aws = lock ? session.aws.fenced(lock.assertHeld) : session.aws;
    return await runPassIn({ ...session, aws }, specs, paths, options, io, signal, savedPlan);
  } finally {
    await lock?.release();
    await session.close();
  }
}

async function runPassIn(
  session: CliSession,
  specs: Specs,
  paths: readonly string[],
  options: ReconcileOptions,
  io: Io,
  signal: AbortSignal,
  savedPlan: SavedPlan | undefined,
): Promise<number> {
  const dryRun = options.dryRun ?? false;
  const metadata: PlanMetadata = {
    made: planInputsOf(paths, options),
    ...(session.observedAt === undefined ? {} : { observedAt: session.observedAt }),
    ...(specs.variables.length === 0 ? {} : { variables: specs.variables }),
  };
  const { calls } = session.aws;
  const command = ({ digest }: Plan) => applyCommandLine(paths, digest, options);
  const passInfo = {
    pairs: specs.pairs,
    variables: specs.variables,
    dryRun,
    target: session.target,
    isAws: session.sandbox === undefined && session.observedAt === undefined,
    explain: options.explain ?? false,
    about: metadata,
    calls,
    command,
  };
  const reporter = createReporter(options.output, passInfo, io, session.log);
  const progress = showProgress({ io, log: session.log, clock: systemClock, calls });
  const checksum = savedPlan?.plan.digest ?? options.plan;
  const appliedIds: Id[] = [];
  let isPlanShown = false;
  let state: PlannedState = { resources: [], actual: new Map() };
  try {
    const passOptions: PassOptions = {
      kinds,
      aws: session.aws,
      allowedRisks: options.allow,
      dryRun,
      prune: options.prune ?? false,
      allowUnproven: options.allowUnproven ?? false,
      organizationAccount: options.organizationAccount,
      ...(checksum === undefined
        ? {}
        : { approvedPlan: { checksum, ...(savedPlan && { plan: savedPlan.plan }) } }),
      thresholds: guardThresholds(options, specs.limits),
      propagationTimeoutMs: (options.wait ?? 0) * 1000,
      ...(options.drain === undefined ? {} : { drainMs: options.drain }),
      propagation: createPropagation({
        clock: systemClock,
        waitMs: propagationWaitMs(options, await session.aws.endpoint()),
      }),
      canaryFirst: options.canaryFirst ?? false,
      signal,
      onPlan(plan, proof, plannedState) {
        if (!isPlanShown) reporter.plan(plan, proof);
        isPlanShown = true;
        state = plannedState;
        progress.plan(plan);
      },
      onEvent(event) {
        reporter.event(event);
        progress.event(event);
        if (event.type === 'applied') appliedIds.push(event.step.id);
      },
    };
    const confirmPlan = async ({ plan, proof }: Outcome): Promise<boolean> => {
      progress.pause();
      if (options.output !== 'text' || !io.stdout.isTTY)
        createReporter('text', passInfo, { stdout: io.stderr, env: io.env }, session.log).plan(plan, proof);
      const isConfirmed = await confirm(applyQuestion(plan, options), io, signal);
      progress.resume();
      return isConfirmed;
    };
    const isAsking = !dryRun && !options.yes && isInteractive(io);
    const outcome = isAsking
      ? await reconcileConfirmed(specs, passOptions, confirmPlan)
      : await reconcile(specs, passOptions);
    if (options.output === 'script') {
      const { writeScript } = await import('./plan-script.ts');
      await writeScript({ outcome, state, specs, session, options, io });
    } else reporter.end(outcome);
    if (options.out !== undefined) {
      const document = planJson(outcome.plan, outcome.proof, { ...metadata, refused: outcome.refusals });
      const saved = toSavedPlan(document, specs, outcome.plan, options.prune ?? false);
      await writeFileAtomic(options.out, `${safeJson(saved, 2)}\n`);
      if (options.output === 'text') io.stdout.write(savedPlanText(options.out, outcome, options));
    }
    if (options.sarif !== undefined)
      await writeFileAtomic(options.sarif, `${sarifText(outcome.proof, specs.pairs)}\n`);
    session.log.debug({ reads: calls.reads, writes: calls.writes }, 'calls');
    return reconcileExitCode(outcome, options);
  } catch (error) {
    throw withAppliedSteps(error, appliedIds);
  } finally {
    progress.end();
  }
}

/**
 * Runs a pass that a person confirms: plans, asks, and then observes and plans again, and applies exactly the confirmed
 * plan. AWS may have changed before the answer. Without changes, does not ask.
 */
async function reconcileConfirmed(
  specs: Specs,
  options: PassOptions,
  confirmPlan: (preview: Outcome) => Promise<boolean>,
): Promise<Outcome> {
  const preview = await reconcile(specs, { ...options, dryRun: true });
  const { plan, refusals } = preview;
  if (refusals.length > 0 || plan.waves.length + plan.housekeeping.length === 0) return preview;
  if (countChanges(plan) > 0 && !(await confirmPlan(preview))) {
    const message = 'the plan was not confirmed: answer y to apply it, or use --yes';
    return { ...preview, refusals: [{ id: 'not-confirmed', message }] };
  }
  return reconcile(specs, { ...options, approvedPlan: { checksum: plan.digest, plan } });
}

/** Counts the changes that a person confirms: not the renewal of retained permissions. */
const countChanges = ({ waves, housekeeping }: Plan): number =>
  waves.flat().length + housekeeping.filter(({ action }) => action === 'expire').length;

/** Returns the question before an apply: `Apply 13 changes in account 111122223333?`. */
function applyQuestion(plan: Plan, { sandbox }: ReconcileOptions): string {
  const changes = countChanges(plan);
  const ids = [...new Set(Object.values(plan.target.accounts))].sort(compareCodeUnits);
  const accounts =
    ids.length === 0 ? '' : ` in ${ids.length === 1 ? 'account' : 'accounts'} ${ids.join(', ')}`;
  const target = sandbox === undefined ? '' : ` of the sandbox in ${sandbox}`;
  return `Apply ${changes} ${changes === 1 ? 'change' : 'changes'}${accounts}${target}?`;
}

/** Adds the applied steps to an error that ended a pass early, because such a pass reports no outcome. */
function withAppliedSteps(error: unknown, appliedIds: readonly Id[]): unknown {
  if (!(error instanceof UserError) || appliedIds.length === 0) return error;
  const message = `${error.message}\nApplied before the error: ${appliedIds.join(', ')}`;
  return new UserError(error.exitCode, message, { cause: error });
}

/** @throws UserError for options that contradict each other. */
function rejectContradictions({
  output,
  dryRun,
  prune,
  only,
  selector,
  observed,
  out,
  sarif,
}: ReconcileOptions): void {
  const reject = (message: string) => {
    throw new UserError(EXIT.usage, message);
  };
  if (output === 'markdown' && !dryRun) reject('-o markdown shows a plan: add --dry-run');
  if (output === 'script' && !dryRun) reject('-o script prints a plan as a script: add --dry-run');
  if (output === 'script' && prune)
    reject('-o script cannot remove what removed specs left behind: use it without --prune');
  if (output === 'script' && observed !== undefined)
    reject('-o script needs the present settings of AWS, not a snapshot: remove --observed');
  if (observed !== undefined && !dryRun) reject('--observed cannot apply changes: add --dry-run');
  if (out !== undefined && !dryRun) reject('--out saves a plan: add --dry-run');
  if (sarif !== undefined && !dryRun) reject('--sarif saves the findings of a plan: add --dry-run');
  if (prune && (only.length > 0 || selector !== undefined))
    reject('--prune treats specs that are not selected as removed: use it without --only and --selector');
}

/**
 * @throws UserError if `--account` checks nothing, or if prune could remove the entries of another account: specs without
 * an account are the same for every account.
 */
export function rejectUnknownAccount({ pairs }: Specs, { prune, account }: ReconcileOptions): void {
  const ambient = pairs.filter(({ source, destination }) =>
    [source, destination].some((side) => side.managed && side.account === undefined),
  );
  const [first] = ambient;
  if (prune && account === undefined && first)
    throw new UserError(
      EXIT.usage,
      `--prune requires the account of ${first.name}${ambient.length > 1 ? ` and ${ambient.length - 1} more specs` : ''}, because it removes what no spec declares in that account; add --account with its id, or name an Account document in the specs`,
    );
  if (account !== undefined && !first)
    throw new UserError(
      EXIT.usage,
      '--account is for the ambient credentials, but every spec names an Account document; remove it',
    );
}

/** Returns the account to which the ambient credentials must belong. */
function expectedAccountOf(
  { account }: AccountOptions,
  savedPlan: SavedPlan | undefined,
): ExpectedAccount | undefined {
  const planned = savedPlan?.plan.target.accounts[''];
  if (planned !== undefined) return { id: planned, requiredBy: 'the plan was made in' };
  return account === undefined ? undefined : { id: account, requiredBy: '--account requires' };
}

/** @throws UserError if the session calls another endpoint than the one for which a plan was made. */
async function rejectOtherEndpoint(
  { plan: { target } }: SavedPlan,
  [file = '']: readonly string[],
  { aws }: CliSession,
): Promise<void> {
  const endpoint = await aws.endpoint();
  if (endpoint === target.endpoint) return;
  throw new UserError(
    EXIT.refused,
    `refused: ${file} was made for ${endpointLabel(target.endpoint)}, not for ${endpointLabel(endpoint)}; nothing was read or changed; apply it there, or plan again`,
  );
}

const endpointLabel = (endpoint: Endpoint): string =>
  endpoint === 'aws' ? 'AWS' : endpoint === 'sandbox' ? 'the sandbox (--sandbox)' : endpoint;

const planInputsOf = (
  paths: readonly string[],
  { only, selector, prune, var: variables }: ReconcileOptions,
) => ({
  version: manifest.version,
  paths,
  only,
  ...(selector === undefined ? {} : { selector }),
  ...(variables.length === 0 ? {} : { variables }),
  prune: prune ?? false,
});

/** Returns the command that applies exactly this plan. */
function applyCommandLine(paths: readonly string[], digest: string, options: ReconcileOptions): string {
  return [
    'reconcile --once',
    ...specArgumentsOf(paths, options),
    `--plan ${digest.slice(0, 16)}`,
    ...(options.prune ? ['--prune'] : []),
    ...(options.account === undefined ? [] : [`--account ${options.account}`]),
    ...organizationFlags(options),
    ...(options.allowUnproven ? ['--allow-unproven'] : []),
    ...options.allow.map((id) => `--allow ${shellQuote(id)}`),
    ...guardFlags(options),
    ...sandboxFlags(options),
  ].join(' ');
}

/** Returns the option with which the proof reads the same control policies. */
const organizationFlags = ({ organizationAccount }: OrganizationOptions): string[] =>
  organizationAccount === undefined ? [] : [`--organization-account ${shellQuote(organizationAccount)}`];

/** Returns the limits of the command line. The command that applies the plan needs the same limits. */
const guardFlags = ({
  maxChanges,
  maxRemovals,
  drain,
  propagationWait,
  canaryFirst,
}: GuardOptions): string[] => [
  ...(drain === undefined ? [] : [`--drain ${drain / 1000}s`]),
  ...(propagationWait === undefined ? [] : [`--propagation-wait ${propagationWait}`]),
  ...(canaryFirst ? ['--canary-first'] : []),
  ...(maxChanges === undefined
    ? []
    : [`--max-changes ${'count' in maxChanges ? maxChanges.count : `${maxChanges.percent}%`}`]),
  ...(maxRemovals === undefined ? [] : [`--max-removals ${maxRemovals}`]),
];

function savedPlanText(file: string, outcome: Outcome, options: ReconcileOptions): string {
  if (outcome.plan.target.endpoint === 'snapshot')
    return `\nSaved in ${escapeUnprintable(file)}. It cannot be applied, because a snapshot does not verify the account.\n`;
  const { plan, refusals } = outcome;
  // A saved plan replaces the plan that --plan names.
  const ownRefusals = refusals.filter(({ id }) => id !== 'stale-plan');
  if (ownRefusals.some((refusal) => overrideFlags({ plan, refusals: [refusal] }).length === 0))
    return `\nSaved in ${escapeUnprintable(file)}. It cannot be applied, for the reason above.\n`;
  const command = [
    'reconcile apply',
    shellQuote(file),
    ...organizationFlags(options),
    ...(options.allowUnproven ? ['--allow-unproven'] : []),
    ...options.allow.map((id) => `--allow ${shellQuote(id)}`),
    ...guardFlags(options),
    ...overrideFlags(outcome),
    ...sandboxFlags(options),
  ].join(' ');
  const condition = ownRefusals.length > 0 ? ' in spite of the refusal' : '';
  return `\nSaved in ${escapeUnprintable(file)}. Apply exactly this plan${condition} with\n  ${escapeUnprintable(command)}\n`;
}

/** Returns the limits of a plan. The command line takes precedence over the guardrails. */
export function guardThresholds({ maxChanges, maxRemovals }: GuardOptions, limits: ChangeLimits): Thresholds {
  const declaredMaxChanges = limits.maxChanges === undefined ? undefined : { count: limits.maxChanges };
  const effectiveMaxChanges = maxChanges ?? declaredMaxChanges;
  return {
    ...(effectiveMaxChanges === undefined ? {} : { maxChanges: effectiveMaxChanges }),
    maxRemovals: maxRemovals ?? limits.maxRemovals ?? 10,
  };
}

/** Derives the exit code from the outcome, the same value that text and JSON derive from. */
export function reconcileExitCode(
  { plan, refusals, results, remaining: left }: Outcome,
  options: Pick<ReconcileOptions, 'dryRun' | 'detailedExitcode'>,
): number {
  if (refusals.some(({ id }) => id === 'wrong-account')) return EXIT.credentials;
  if (options.dryRun) {
    if (plan.blocked.length > 0) return EXIT.failed;
    const isExpired = plan.housekeeping.some(({ action }) => action === 'expire');
    return options.detailedExitcode && (plan.waves.length > 0 || isExpired) ? EXIT.changes : EXIT.ok;
  }
  if (refusals.length > 0) return EXIT.refused;
  const isConverged =
    plan.blocked.length === 0 &&
    results.every(({ result }) => result === 'applied') &&
    (left === undefined || (left.waves.length === 0 && left.blocked.length === 0));
  return isConverged ? EXIT.ok : EXIT.failed;
}
