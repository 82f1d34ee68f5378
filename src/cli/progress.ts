import type { Plan } from '../core/resource.ts';
import type { Log } from '../log.ts';
import type { ApplyEvent } from '../reconcile/apply.ts';
import {
  initialProgress,
  type Progress,
  progressLines,
  progressText,
  updateProgress,
} from '../report/progress.ts';
import { createPaint, type Paint } from '../report/style.ts';
import type { Clock } from '../util/clock.ts';
import type { Io } from './command-model.ts';

/** Shows the progress of a running pass. */
export interface ProgressDisplay {
  plan(plan: Plan): void;
  event(event: ApplyEvent): void;
  /** Clears the terminal lines and shows nothing until `resume`, so that a person can answer a question. */
  pause(): void;
  resume(): void;
  /** Clears the terminal lines and cancels scheduled updates. */
  end(): void;
}

interface ProgressDisplayOptions {
  io: Pick<Io, 'stdout' | 'stderr' | 'env'>;
  log: Log;
  clock: Clock;
  calls: { reads: number; writes: number };
}

export const REDRAW_MS = 100;

/** A pass that ends before this time shows no progress. */
const FIRST_DRAW_MS = 300;

const HEARTBEAT_MS = 30_000;

/** Shows the progress of a pass: on a terminal as redrawn lines at the bottom, elsewhere as a log line at intervals. */
export function showProgress({ io, log, clock, calls }: ProgressDisplayOptions): ProgressDisplay {
  const since = clock.now();
  let progress: Progress | undefined;
  const progressInfo = () => ({ calls, since, now: clock.now() });
  const { draw, clear, end } = isLive(io, log)
    ? createLiveLines(io)
    : { draw: undefined, clear: () => {}, end: () => {} };

  const update = (): void => {
    if (draw) draw((size) => progressLines(progress, progressInfo(), size));
    else log.info(`in progress: ${progressText(progress, progressInfo())}`);
    cancelUpdate = clock.schedule(draw ? REDRAW_MS : HEARTBEAT_MS, update);
  };
  const start = () => clock.schedule(draw ? FIRST_DRAW_MS : HEARTBEAT_MS, update);
  let cancelUpdate = start();

  return {
    plan(plan) {
      progress = initialProgress(plan);
    },
    event(event) {
      progress = updateProgress(progress ?? new Map(), event, clock.now());
    },
    pause() {
      cancelUpdate();
      clear();
    },
    resume() {
      cancelUpdate = start();
    },
    end() {
      cancelUpdate();
      end();
    },
  };
}

/** Shows how far something is that runs elsewhere. */
export interface StatusLine {
  update(lines: readonly string[]): void;
  /** Clears the terminal lines. */
  end(): void;
}

/** Shows a status: on a terminal as redrawn lines at the bottom, elsewhere as log lines when it changes. */
export function showStatusLine({ io, log }: Pick<ProgressDisplayOptions, 'io' | 'log'>): StatusLine {
  if (isLive(io, log)) {
    const { draw, end } = createLiveLines(io);
    return { update: (lines) => draw(({ maxLines }) => lines.slice(0, maxLines)), end };
  }
  const loggedLines = new Map<number, string>();
  return {
    update(lines) {
      for (const [index, line] of lines.entries()) {
        if (loggedLines.get(index) !== line) log.info(line);
        loggedLines.set(index, line);
      }
    },
    end() {},
  };
}

/** Whether progress is redrawn on a terminal. */
export const isLive = ({ stderr, env }: ProgressDisplayOptions['io'], log: Log): boolean =>
  (stderr.isTTY ?? false) && env.TERM !== 'dumb' && log.isLevelEnabled('info');

type DrawLines = (render: (size: { width: number; maxLines: number; paint: Paint }) => string[]) => void;

/** Creates lines at the bottom of the terminal. Any other output appears above them. */
function createLiveLines({ stdout, stderr, env }: ProgressDisplayOptions['io']): {
  draw: DrawLines;
  clear: () => void;
  end: () => void;
} {
  const paint = createPaint(stderr, env);
  const write = stderr.write.bind(stderr);
  let currentLines: string[] = [];
  // Moves up by the number of lines, and erases everything below.
  const eraseSequence = () => (currentLines.length === 0 ? '' : `\x1b[${currentLines.length}A\x1b[J`);
  const clear = () => {
    if (currentLines.length > 0) write(eraseSequence());
    currentLines = [];
  };
  const restores = [stderr, stdout]
    .filter(({ isTTY }) => isTTY)
    .map((stream) => {
      const original = stream.write;
      stream.write = ((...args: Parameters<typeof original>) => {
        clear();
        return original.apply(stream, args);
      }) as typeof original;
      return () => {
        stream.write = original;
      };
    });
  return {
    draw(render) {
      const { columns = 80, rows = 24 } = stderr;
      // A line as wide as the terminal, or more lines than its height, could not be erased.
      const nextLines = render({ width: columns - 1, maxLines: Math.max(1, Math.min(10, rows - 4)), paint });
      if (nextLines.join('\n') === currentLines.join('\n')) return;
      write(`${eraseSequence()}${nextLines.join('\n')}\n`);
      currentLines = nextLines;
    },
    clear,
    end() {
      clear();
      for (const restore of restores) restore();
    },
  };
}
