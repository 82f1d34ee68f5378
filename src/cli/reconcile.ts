import manifest from '../../package.json' with { type: 'json' };
import { systemClock } from '../controller/clock.ts';
import type { Thresholds } from '../core/guard.ts';
import type { Id, Plan } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { kinds } from '../kinds/index.ts';
import { type Outcome, reconcile } from '../reconcile.ts';
import { type About, planJson } from '../report/json.ts';
import { jsonText } from '../report/json-text.ts';
import type { Limits } from '../spec/types.ts';
import { visible } from '../visible.ts';
import { findings } from './findings.ts';
import type { Io } from './io.ts';
import { type ChangingOptions, type ReconcileOptions, sandboxWord } from './options.ts';
import { showProgress } from './progress.ts';
import { openSession } from './session.ts';
import { shellWord } from './shell-word.ts';
import { specsFrom } from './specs.ts';
import { telling } from './telling.ts';
import { writeWhole } from './write-whole.ts';

/** `reconcile --once`, `reconcile --dry-run`, `reconcile plan` and `reconcile apply`: one pass. */
export async function reconcileOnce(
  paths: readonly string[],
  options: ReconcileOptions,
  io: Io,
  signal: AbortSignal,
  approved?: Plan,
): Promise<number> {
  refuseContradictions(options);
  const dryRun = options.dryRun ?? false;
  const specs = await specsFrom(paths, options, io);
  const session = await openSession(specs, options, io, signal);
  const about: About = {
    made: madeOf(paths, options),
    ...(session.observedAt === undefined ? {} : { observedAt: session.observedAt }),
    ...(specs.variables.length === 0 ? {} : { variables: specs.variables }),
  };
  const { calls } = session.door;
  const command = ({ digest }: Plan) => applying(paths, digest, options);
  const pass = {
    pairs: specs.pairs,
    variables: specs.variables,
    dryRun,
    target: session.target,
    isAws: session.sandbox === undefined && session.observedAt === undefined,
    explain: options.explain ?? false,
    about,
    calls,
    command,
  };
  const told = telling(options.output, pass, io, session.log);
  const progress = showProgress({ io, log: session.log, clock: systemClock, calls });
  const checksum = approved?.digest ?? options.plan;
  const applied: Id[] = [];
  try {
    const outcome = await reconcile(specs, {
      kinds,
      door: session.door,
      allow: options.allow,
      dryRun,
      prune: options.prune ?? false,
      allowUnproven: options.allowUnproven ?? false,
      ...(checksum === undefined ? {} : { approved: { checksum, ...(approved && { plan: approved }) } }),
      thresholds: thresholds(options, specs.limits),
      waitMs: options.wait * 1000,
      signal,
      onPlan(plan, proof) {
        told.plan(plan, proof);
        progress.plan(plan);
      },
      onEvent(event) {
        told.event(event);
        progress.event(event);
        if (event.type === 'applied') applied.push(event.step.id);
      },
    });
    told.end(outcome);
    if (options.out !== undefined) {
      const saved = planJson(outcome.plan, outcome.proof, { ...about, refused: outcome.refusals });
      await writeWhole(options.out, `${jsonText(saved, 2)}\n`);
      if (options.output === 'text') io.stdout.write(savedText(options.out, options));
    }
    if (options.sarif !== undefined)
      await writeWhole(options.sarif, `${findings(outcome.proof, specs.pairs)}\n`);
    session.log.debug({ reads: calls.reads, writes: calls.writes }, 'calls');
    return exitCode(outcome, options);
  } catch (error) {
    throw withApplied(error, applied);
  } finally {
    progress.end();
    await session.close();
  }
}

/** What ended a pass early, with what it had applied until then: an outcome to tell of that there will not be. */
function withApplied(error: unknown, applied: readonly Id[]): unknown {
  if (!(error instanceof UserError) || applied.length === 0) return error;
  const message = `${error.message}\nApplied before: ${applied.join(', ')}`;
  return new UserError(error.exitCode, message, { cause: error });
}

/** @throws UserError for options that cannot be meant together. */
function refuseContradictions({
  output,
  dryRun,
  prune,
  only,
  selector,
  observed,
  out,
  sarif,
}: ReconcileOptions): void {
  const refuse = (why: string) => {
    throw new UserError(EXIT.usage, why);
  };
  if (output === 'markdown' && !dryRun) refuse('Markdown is for a plan that people look at: add --dry-run');
  if (observed !== undefined && !dryRun)
    refuse('an observation can be planned from, not changed: add --dry-run');
  if (out !== undefined && !dryRun) refuse('--out saves a plan: add --dry-run');
  if (sarif !== undefined && !dryRun) refuse('--sarif saves the findings of a plan: add --dry-run');
  if (prune && (only.length > 0 || selector !== undefined))
    refuse('--prune takes what is not given for gone: give it all specs, without --only and --selector');
}

const madeOf = (paths: readonly string[], { only, selector, prune, var: variables }: ReconcileOptions) => ({
  version: manifest.version,
  paths,
  only,
  ...(selector === undefined ? {} : { selector }),
  ...(variables.length === 0 ? {} : { variables }),
  prune: prune ?? false,
});

/** The command that applies exactly this plan. */
function applying(paths: readonly string[], digest: string, options: ReconcileOptions): string {
  return [
    'reconcile --once',
    ...paths.map(shellWord),
    ...options.only.map((name) => `--only ${shellWord(name)}`),
    ...(options.selector === undefined ? [] : [`--selector ${shellWord(options.selector)}`]),
    ...options.var.map((one) => `--var ${shellWord(one)}`),
    `--plan ${digest.slice(0, 16)}`,
    ...(options.prune ? ['--prune'] : []),
    ...(options.allowUnproven ? ['--allow-unproven'] : []),
    ...options.allow.map((id) => `--allow ${id}`),
    ...limitsOf(options),
    ...inSandbox(options),
  ].join(' ');
}

/** What the plan was allowed by the command line, applying it must be allowed, too. */
const limitsOf = ({ maxChanges, maxRemovals }: ChangingOptions): string[] => [
  ...(maxChanges === undefined
    ? []
    : [`--max-changes ${'count' in maxChanges ? maxChanges.count : `${maxChanges.percent}%`}`]),
  ...(maxRemovals === undefined ? [] : [`--max-removals ${maxRemovals}`]),
];

function savedText(file: string, options: ReconcileOptions): string {
  const apply = ['reconcile apply', shellWord(file), ...inSandbox(options)].join(' ');
  return `\nSaved in ${visible(file)}. Apply exactly this plan with\n  ${visible(apply)}\n`;
}

/** What keeps a command in the sandbox that it is about. */
const inSandbox = ({ sandbox }: ReconcileOptions): string[] =>
  sandbox === undefined ? [] : [shellWord(sandboxWord(sandbox))];

/** What the command line says lifts what the guardrails say. */
export function thresholds({ maxChanges, maxRemovals }: ChangingOptions, limits: Limits): Thresholds {
  const declared = limits.maxChanges === undefined ? undefined : { count: limits.maxChanges };
  const changes = maxChanges ?? declared;
  return {
    ...(changes === undefined ? {} : { maxChanges: changes }),
    maxRemovals: maxRemovals ?? limits.maxRemovals ?? 10,
  };
}

/** One value computes text, JSON and exit code. */
export function exitCode({ plan, refusals, results, left }: Outcome, options: ReconcileOptions): number {
  if (options.dryRun) {
    if (plan.blocked.length > 0) return EXIT.failed;
    return options.detailedExitcode && plan.waves.length > 0 ? EXIT.changes : EXIT.ok;
  }
  if (refusals.length > 0) return EXIT.refused;
  const converged =
    plan.blocked.length === 0 &&
    results.every(({ result }) => result === 'applied') &&
    (left === undefined || (left.waves.length === 0 && left.blocked.length === 0));
  return converged ? EXIT.ok : EXIT.failed;
}
