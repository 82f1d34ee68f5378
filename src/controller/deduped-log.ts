import type { Clock } from '../util/clock.ts';

/** Say a cause once, and then how often it came again: a hundred pairs that fail for one reason are one line, not a hundred. */
export interface DedupedLog {
  add(cause: string, subject: string): void;
  close(): void;
}

export interface DedupedLogOptions {
  clock: Clock;
  /** Milliseconds for which a cause is counted before it is said again. */
  windowMs: number;
  /** `about`: what it was said of, each once; `count`: how often in all. */
  write: (cause: string, subjects: string[], count: number) => void;
}

export function createDedupedLog({ clock, windowMs, write }: DedupedLogOptions): DedupedLog {
  const openGroups = new Map<string, { subjects: Set<string>; count: number; cancel: () => void }>();
  const flush = (cause: string): void => {
    const group = openGroups.get(cause);
    openGroups.delete(cause);
    group?.cancel();
    if (group && group.count > 0) write(cause, [...group.subjects], group.count);
  };
  return {
    add(cause, subject) {
      const group = openGroups.get(cause);
      if (group) {
        group.subjects.add(subject);
        group.count += 1;
        return;
      }
      write(cause, [subject], 1);
      const cancel = clock.schedule(windowMs, () => flush(cause));
      openGroups.set(cause, { subjects: new Set(), count: 0, cancel });
    },
    close() {
      for (const cause of [...openGroups.keys()]) flush(cause);
    },
  };
}
