import type { Thresholds } from '../core/guard.ts';
import { EXIT, UserError } from '../errors.ts';
import { kinds } from '../kinds/index.ts';
import type { Log } from '../log.ts';
import { type Outcome, reconcile } from '../reconcile.ts';
import { outcomeJson, planJson } from '../report/json.ts';
import { planMarkdown } from '../report/markdown.ts';
import { type Paint, paintFor } from '../report/paint.ts';
import { outcomeText, planText } from '../report/text.ts';
import type { Limits } from '../spec/types.ts';
import type { ApplyEvent } from '../steps/apply.ts';
import type { Io } from './io.ts';
import type { ReconcileOptions } from './options.ts';
import { openSession } from './session.ts';
import { specsFrom } from './specs.ts';

/** `reconcile --once`, `reconcile --dry-run` and `reconcile plan`: one pass. */
export async function reconcileOnce(
  paths: readonly string[],
  options: ReconcileOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  if (options.output === 'markdown' && !options.dryRun)
    throw new UserError(EXIT.usage, 'Markdown is for a plan that people look at: add --dry-run');
  if (options.prune && (options.only.length > 0 || options.selector !== undefined))
    throw new UserError(
      EXIT.usage,
      '--prune takes what is not given for gone: give it all specs, without --only and --selector',
    );
  const specs = await specsFrom(paths, options, io);
  const session = await openSession(specs, options, io, signal);
  const paint = paintFor(io.stdout, io.env);
  const text = options.output === 'text';
  try {
    const outcome = await reconcile(specs, {
      kinds,
      door: session.door,
      allow: options.allow,
      dryRun: options.dryRun ?? false,
      prune: options.prune ?? false,
      allowUnproven: options.allowUnproven ?? false,
      ...(options.plan === undefined ? {} : { approved: options.plan }),
      thresholds: thresholds(options, specs.limits),
      waitMs: options.wait * 1000,
      signal,
      onPlan: (plan, proof) => {
        if (text)
          io.stdout.write(`${paint.dim(session.target)}\n\n${planText(plan, specs.pairs, paint, proof)}\n`);
      },
      onEvent: (event) => tell(event, text, io, paint, session.log),
    });
    if (text) writeText(outcome, options, io, paint);
    else if (options.output === 'markdown') {
      const command = applying(paths, outcome.plan.digest, options);
      io.stdout.write(`${planMarkdown({ ...outcome, pairs: specs.pairs, command })}\n`);
    } else {
      const result = options.dryRun
        ? planJson(outcome.plan, outcome.proof)
        : outcomeJson(outcome, session.door.calls);
      io.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    }
    const { reads, writes } = session.door.calls;
    session.log.debug({ reads, writes }, 'calls');
    return exitCode(outcome, options);
  } finally {
    await session.close();
  }
}

/** The command that applies exactly this plan. */
function applying(paths: readonly string[], digest: string, options: ReconcileOptions): string {
  const quoted = (word: string) =>
    /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
  return [
    'reconcile --once',
    ...paths.map(quoted),
    `--plan ${digest.slice(0, 16)}`,
    ...(options.prune ? ['--prune'] : []),
    ...(options.allowUnproven ? ['--allow-unproven'] : []),
    ...options.allow.map((id) => `--allow ${id}`),
  ].join(' ');
}

/** What the command line says lifts what the guardrails say. */
function thresholds({ maxChanges, maxRemovals }: ReconcileOptions, limits: Limits): Thresholds {
  const declared = limits.maxChanges === undefined ? undefined : { count: limits.maxChanges };
  const changes = maxChanges ?? declared;
  return {
    ...(changes === undefined ? {} : { maxChanges: changes }),
    maxRemovals: maxRemovals ?? limits.maxRemovals ?? 10,
  };
}

function writeText(outcome: Outcome, options: ReconcileOptions, io: Io, paint: Paint): void {
  const end = options.dryRun
    ? outcome.plan.waves.length > 0
      ? 'Nothing was changed: this was a dry run.'
      : ''
    : outcomeText(outcome, paint);
  if (end) io.stdout.write(`\n${end}\n`);
}

/** A line a change, when it happens; what is waited for goes to the log. */
function tell(event: ApplyEvent, text: boolean, io: Io, paint: Paint, log: Log): void {
  const { step } = event;
  if (event.type === 'waiting') {
    log.info({ step: step.id }, `waiting for ${event.waitsFor}, ${event.untilMs / 1000} s at most`);
    return;
  }
  // What was skipped is told at the end, with the reason that it shares with others.
  if (!text || event.type === 'skipped') return;
  if (event.type === 'applied') {
    io.stdout.write(`${paint.green('✓')} ${step.action}d ${step.id}\n`);
  } else {
    io.stdout.write(`${paint.red('✗')} failed ${step.id}\n`);
  }
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
