import type { Calls } from '../aws/door.ts';
import type { Plan } from '../core/resource.ts';
import type { Log } from '../log.ts';
import type { Foretold } from '../proof/types.ts';
import type { Outcome } from '../reconcile.ts';
import { type About, lines, outcomeJson, planJson } from '../report/json.ts';
import { jsonText } from '../report/json-text.ts';
import { planMarkdown } from '../report/markdown.ts';
import { outcomeText } from '../report/outcome-text.ts';
import { paintFor } from '../report/paint.ts';
import { planText } from '../report/text.ts';
import type { BucketReplication, Variable } from '../spec/types.ts';
import type { ApplyEvent } from '../steps/apply.ts';
import { visible } from '../visible.ts';
import type { Io } from './io.ts';

/** How a pass is told while it runs, and when it ended. */
export interface Telling {
  plan(plan: Plan, proof: readonly Foretold[]): void;
  event(event: ApplyEvent): void;
  end(outcome: Outcome): void;
}

/** What there is to know of a pass beside what happens in it. */
export interface Pass {
  pairs: readonly BucketReplication[];
  variables: readonly Variable[];
  dryRun: boolean;
  /** What is read and changed, in words. */
  target(): string;
  /** Whether AWS itself is asked, and no sandbox or observation in its place. */
  isAws: boolean;
  about: About;
  calls: Calls;
  /** Whether to name the API calls that make each change. */
  explain: boolean;
  /** The command that applies exactly a plan. */
  command(plan: Plan): string;
}

export type Form = 'text' | 'json' | 'ndjson' | 'markdown';

/** One way of telling for each form of output. What is waited for goes to the log as well, whatever the form. */
export function telling(form: Form, pass: Pass, io: Io, log: Log): Telling {
  const { plan, event, end } = TELLINGS[form](pass, io);
  return {
    plan: (...made) => plan?.(...made),
    event(one) {
      if (one.type === 'waiting')
        log.info({ step: one.step.id }, `waiting for ${one.waitsFor}, ${one.untilMs / 1000} s at most`);
      event?.(one);
    },
    end,
  };
}

type Some = Pick<Telling, 'end'> & Partial<Telling>;

const TELLINGS: Record<Form, (pass: Pass, io: Io) => Some> = {
  text,
  json: ({ dryRun, about, calls }, io) => ({
    end(outcome) {
      const value = dryRun
        ? planJson(outcome.plan, outcome.proof, { ...about, refused: outcome.refusals })
        : outcomeJson(outcome, calls, about);
      io.stdout.write(`${jsonText(value, 2)}\n`);
    },
  }),
  ndjson: ({ about, calls }, io) => {
    const write = (value: object) =>
      io.stdout.write(`${jsonText({ format: 1, time: new Date().toISOString(), ...value })}\n`);
    return {
      plan: (plan, proof) => write(lines.plan(plan, proof, about)),
      event: (event) => write(lines.event(event)),
      end: (outcome) => write(lines.outcome(outcome, calls)),
    };
  },
  markdown: ({ pairs, variables, command, target, isAws }, io) => ({
    end(outcome) {
      const instead = isAws ? {} : { instead: target() };
      const report = { ...outcome, ...instead, pairs, variables, command: command(outcome.plan) };
      io.stdout.write(`${planMarkdown(report)}\n`);
    },
  }),
};

/** For people: the plan, a line a change when it happens, and how it ended. */
function text({ pairs, variables, dryRun, target, explain }: Pass, io: Io): Some {
  const paint = paintFor(io.stdout, io.env);
  const style = { paint, width: columnsOf(io.stdout), explain };
  const marks = { applied: paint.green('✓'), failed: paint.red('✗') };
  return {
    plan: (plan, proof) =>
      io.stdout.write(`${paint.dim(target())}\n\n${planText(plan, pairs, proof, style, variables)}\n`),
    event({ type, step }) {
      // What was skipped is told at the end, with the reason that it shares with others.
      if (type === 'applied') io.stdout.write(`${marks.applied} ${step.action}d ${visible(step.id)}\n`);
      if (type === 'failed') io.stdout.write(`${marks.failed} failed ${visible(step.id)}\n`);
    },
    end(outcome) {
      const dry = outcome.plan.waves.length > 0 ? 'Nothing was changed: this was a dry run.' : '';
      const end = dryRun ? dry : outcomeText(outcome, paint);
      if (end) io.stdout.write(`\n${end}\n`);
    },
  };
}

/** As wide as the terminal, but no line so long that it is hard to read; elsewhere what fits everywhere. */
const columnsOf = ({ columns = 80 }: { columns?: number }): number => Math.min(Math.max(columns, 60), 120);
