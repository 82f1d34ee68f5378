import type { Clock } from '../controller/clock.ts';
import type { Plan } from '../core/resource.ts';
import type { Log } from '../log.ts';
import { type Paint, paintFor } from '../report/paint.ts';
import { happened, type Progress, planned, progressLines, progressText } from '../report/progress.ts';
import type { ApplyEvent } from '../steps/apply.ts';
import type { Io } from './io.ts';

/** What is told of a pass while it is under way. */
export interface ShownProgress {
  plan(plan: Plan): void;
  event(event: ApplyEvent): void;
  /** Leave nothing on the terminal, and nothing that is due. */
  end(): void;
}

interface Around {
  io: Pick<Io, 'stdout' | 'stderr' | 'env'>;
  log: Log;
  clock: Clock;
  calls: { reads: number; writes: number };
}

const REDRAW_MS = 100;

/** What is over at once needs no progress. */
const FIRST_MS = 300;

const HEARTBEAT_MS = 30_000;

/** Show how far a pass is: on a terminal lines that are drawn anew below all others, elsewhere a line now and then. */
export function showProgress({ io, log, clock, calls }: Around): ShownProgress {
  const since = clock.now();
  let progress: Progress | undefined;
  const around = () => ({ calls, since, now: clock.now() });
  const isLive = (io.stderr.isTTY ?? false) && io.env.TERM !== 'dumb' && log.isLevelEnabled('info');
  const { draw, end } = isLive ? lines(io) : { draw: undefined, end: () => {} };

  const tell = (): void => {
    if (draw) draw((size) => progressLines(progress, around(), size));
    else log.info(`still at it: ${progressText(progress, around())}`);
    callOff = clock.after(draw ? REDRAW_MS : HEARTBEAT_MS, tell);
  };
  let callOff = clock.after(draw ? FIRST_MS : HEARTBEAT_MS, tell);

  return {
    plan(plan) {
      progress = planned(plan);
    },
    event(event) {
      progress = happened(progress ?? new Map(), event, clock.now());
    },
    end() {
      callOff();
      end();
    },
  };
}

type Draw = (make: (size: { width: number; most: number; paint: Paint }) => string[]) => void;

/** Lines at the bottom of the terminal. Whatever else is written there meanwhile, by whomever, comes to stand above them. */
function lines({ stdout, stderr, env }: Around['io']): { draw: Draw; end: () => void } {
  const paint = paintFor(stderr, env);
  const write = stderr.write.bind(stderr);
  let shown: string[] = [];
  // Up by as many lines, and everything below away.
  const away = () => (shown.length === 0 ? '' : `\x1b[${shown.length}A\x1b[J`);
  const clear = () => {
    if (shown.length > 0) write(away());
    shown = [];
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
    draw(make) {
      const { columns = 80, rows = 24 } = stderr;
      // A line as wide as the terminal, or more of them than it has, could not be taken away again.
      const now = make({ width: columns - 1, most: Math.max(1, Math.min(10, rows - 4)), paint });
      if (now.join('\n') === shown.join('\n')) return;
      write(`${away()}${now.join('\n')}\n`);
      shown = now;
    },
    end() {
      clear();
      for (const restore of restores) restore();
    },
  };
}
