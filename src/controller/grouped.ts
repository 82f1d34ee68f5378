import type { Clock } from './clock.ts';

/** Say a cause once, and then how often it came again: a hundred pairs that fail for one reason are one line, not a hundred. */
export interface Grouped {
  say(cause: string, about: string): void;
  close(): void;
}

export interface GroupedOptions {
  clock: Clock;
  /** Milliseconds for which a cause is counted before it is said again. */
  forMs: number;
  /** `about`: what it was said of, each once; `count`: how often in all. */
  say: (cause: string, about: string[], count: number) => void;
}

export function grouped({ clock, forMs, say }: GroupedOptions): Grouped {
  const open = new Map<string, { about: Set<string>; count: number; callOff: () => void }>();
  const closeOne = (cause: string): void => {
    const group = open.get(cause);
    open.delete(cause);
    group?.callOff();
    if (group && group.count > 0) say(cause, [...group.about], group.count);
  };
  return {
    say(cause, about) {
      const group = open.get(cause);
      if (group) {
        group.about.add(about);
        group.count += 1;
        return;
      }
      say(cause, [about], 1);
      const callOff = clock.after(forMs, () => closeOne(cause));
      open.set(cause, { about: new Set(), count: 0, callOff });
    },
    close() {
      for (const cause of [...open.keys()]) closeOne(cause);
    },
  };
}
