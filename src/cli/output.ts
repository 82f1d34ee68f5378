import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import manifest from '../../package.json' with { type: 'json' };
import type { CallCounts } from '../aws/client.ts';
import type { Plan } from '../core/resource.ts';
import { EXIT } from '../errors.ts';
import type { Log } from '../log.ts';
import type { RuleProofSummary, RuleVerdict } from '../proof/types.ts';
import type { ApplyEvent } from '../reconcile/apply.ts';
import type { Outcome } from '../reconcile/pass.ts';
import { ndjsonLines, outcomeJson, type PlanMetadata, planJson } from '../report/json.ts';
import { planMarkdown } from '../report/markdown.ts';
import { dryRunText, outcomeText } from '../report/outcome-text.ts';
import { planText } from '../report/plan-text.ts';
import { toSarif } from '../report/sarif.ts';
import { createPaint } from '../report/style.ts';
import type { BucketReplication, Variable } from '../spec/types.ts';
import { escapeUnprintable, safeJson } from '../util/escape.ts';
import type { Io } from './command-model.ts';

/** Reports on a pass while it runs and when it ends. */
export interface Reporter {
  plan(plan: Plan, proof: readonly RuleProofSummary[]): void;
  event(event: ApplyEvent): void;
  end(outcome: Outcome): void;
}

/** Information about a pass in addition to its events. */
export interface PassInfo {
  pairs: readonly BucketReplication[];
  variables: readonly Variable[];
  dryRun: boolean;
  /** Describes the system that the pass reads and changes. */
  target(): string;
  /** Whether the pass calls AWS itself, not a sandbox or a snapshot. */
  isAws: boolean;
  about: PlanMetadata;
  calls: CallCounts;
  /** Whether to name the API calls of each change. */
  explain: boolean;
  /** Returns the command that applies exactly this plan. */
  command(plan: Plan): string;
}

export type OutputFormat = 'text' | 'json' | 'ndjson' | 'markdown' | 'script';

/** Creates the reporter of an output format. In every format, it also logs each wait. */
export function createReporter(format: OutputFormat, pass: PassInfo, io: OutputIo, log: Log): Reporter {
  const { plan, event, end } = REPORTERS[format](pass, io);
  return {
    plan: (...args) => plan?.(...args),
    event(applyEvent) {
      if (applyEvent.type === 'waiting')
        log.info(
          { step: applyEvent.step.id },
          `waiting for ${applyEvent.waitsFor}, at most ${applyEvent.untilMs / 1000} s`,
        );
      event?.(applyEvent);
    },
    end,
  };
}

type OutputIo = Pick<Io, 'stdout' | 'env'>;

/** Reports that a saved plan contains no changes. Nothing was read. */
export function reportEmptyPlan(
  plan: Plan,
  proof: readonly RuleProofSummary[],
  format: Exclude<OutputFormat, 'markdown' | 'script'>,
  io: OutputIo,
): void {
  if (format === 'text') {
    io.stdout.write('Nothing to apply: the saved plan contains no changes.\n');
    return;
  }
  const calls = { reads: 0, writes: 0, byOperation: new Map() };
  const { plan: showPlan, end } = REPORTERS[format]({ about: {}, calls, dryRun: false }, io);
  showPlan?.(plan, proof);
  end({ plan, proof: [...proof], refusals: [], results: [] });
}

type PartialReporter = Pick<Reporter, 'end'> & Partial<Reporter>;

type JsonInfo = Pick<PassInfo, 'about' | 'calls' | 'dryRun'>;

const REPORTERS: Record<'json' | 'ndjson', (pass: JsonInfo, io: OutputIo) => PartialReporter> &
  Record<'text' | 'markdown' | 'script', (pass: PassInfo, io: OutputIo) => PartialReporter> = {
  text: textReporter,
  // The script needs the state that the plan was made from.
  script: () => ({ end: () => undefined }),
  json: ({ dryRun, about, calls }, io) => ({
    end(outcome) {
      const value = dryRun
        ? planJson(outcome.plan, outcome.proof, { ...about, refused: outcome.refusals })
        : outcomeJson(outcome, calls, about);
      io.stdout.write(`${safeJson(value, 2)}\n`);
    },
  }),
  ndjson: ({ about, calls }, io) => {
    const write = (value: object) =>
      io.stdout.write(`${safeJson({ format: 1, time: new Date().toISOString(), ...value })}\n`);
    return {
      plan: (plan, proof) => write(ndjsonLines.plan(plan, proof, about)),
      event: (event) => write(ndjsonLines.event(event)),
      end: (outcome) => write(ndjsonLines.outcome(outcome, calls)),
    };
  },
  markdown: ({ pairs, variables, command, target, isAws }, io) => ({
    end(outcome) {
      const nonAwsTarget = isAws ? {} : { nonAwsTarget: target() };
      const report = { ...outcome, ...nonAwsTarget, pairs, variables, command: command(outcome.plan) };
      io.stdout.write(`${planMarkdown(report)}\n`);
    },
  }),
};

/** Reports for people: the plan, a line for each change when it happens, and the outcome. */
function textReporter(
  { pairs, variables, dryRun, target, explain }: PassInfo,
  io: OutputIo,
): PartialReporter {
  const paint = createPaint(io.stdout, io.env);
  const style = { paint, width: outputWidth(io.stdout), explain };
  const marks = { applied: paint.green('✓'), failed: paint.red('✗') };
  return {
    plan: (plan, proof) =>
      io.stdout.write(`${paint.dim(target())}\n\n${planText(plan, pairs, proof, style, variables)}\n`),
    event({ type, step }) {
      // The outcome lists skipped steps at the end, grouped by their reason.
      if (type === 'applied')
        io.stdout.write(`${marks.applied} ${step.action}d ${escapeUnprintable(step.id)}\n`);
      if (type === 'failed') io.stdout.write(`${marks.failed} failed ${escapeUnprintable(step.id)}\n`);
    },
    end(outcome) {
      const summary = dryRun ? dryRunText(outcome, paint) : outcomeText(outcome, paint);
      if (summary) io.stdout.write(`\n${summary}\n`);
    },
  };
}

/** Returns the width of the terminal within readable limits; without a terminal, 80 columns. */
const outputWidth = ({ columns = 80 }: { columns?: number }): number => Math.min(Math.max(columns, 60), 120);

/**
 * Renders findings as SARIF, with paths relative to the root of the checkout, from any folder in it.
 *
 * @param file the plan or template that contains the rules, if no spec does
 */
export function sarifText(
  proofs: readonly RuleVerdict[],
  pairs: readonly BucketReplication[],
  file?: string,
): string {
  const root = findCheckoutRoot(process.cwd()) ?? process.cwd();
  const context = {
    version: manifest.version,
    pairs,
    toUri: (specFile: string) => toSpecUri(specFile, root),
    ...(file !== undefined && { file: file === '-' ? 'stdin' : file }),
  };
  return safeJson(toSarif(proofs, context), 2);
}

/** Returns the root of the checkout that contains the folder. */
function findCheckoutRoot(folder: string): string | undefined {
  if (existsSync(path.join(folder, '.git'))) return folder;
  const parent = path.dirname(folder);
  return parent === folder ? undefined : findCheckoutRoot(parent);
}

function toSpecUri(file: string, root: string): string {
  const absolute = path.resolve(file);
  const relative = path.relative(root, absolute);
  const isInside = !path.isAbsolute(relative) && relative.split(path.sep)[0] !== '..';
  return isInside ? relative.split(path.sep).map(encodeURIComponent).join('/') : pathToFileURL(absolute).href;
}

/** Returns the exit code of verdicts: failed unless each rule is proven, disabled, or accepted as unknown. */
export function doctorExitCode(
  rules: readonly RuleVerdict[],
  { allowUnproven }: { allowUnproven?: true },
): number {
  const isHealthy = rules.every(
    ({ verdict }) =>
      verdict === 'proven' || verdict === 'off' || (verdict === 'unknown' && allowUnproven === true),
  );
  return isHealthy ? EXIT.ok : EXIT.failed;
}
