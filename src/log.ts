import { Writable } from 'node:stream';
import pino, { type Logger, type LoggerOptions } from 'pino';
import pretty from 'pino-pretty';
import type { Clock } from './util/clock.ts';
import { escapeUnprintable, safeJson } from './util/escape.ts';

export type Log = Logger;

/** Creates the log on standard error: readable text on a terminal, JSON elsewhere. Results go to standard output. */
export function createLog(stream: NodeJS.WriteStream, options: { level: string; colour: boolean }): Log {
  const settings: LoggerOptions = {
    level: options.level,
    base: null,
    formatters: { level: (label) => ({ level: label }) },
    // Removes credentials that a logged object contains by mistake.
    redact: {
      paths: [
        'credentials',
        '*.credentials',
        'secretAccessKey',
        '*.secretAccessKey',
        'sessionToken',
        '*.sessionToken',
      ],
      censor: '[redacted]',
    },
    timestamp: stream.isTTY ? false : pino.stdTimeFunctions.isoTime,
  };
  const writeLine = (line: string) => void stream.write(line);
  if (!stream.isTTY)
    return pino(
      settings,
      synchronousStream((line) => writeLine(`${safeJson(JSON.parse(line))}\n`)),
    );
  const prettyStream = pretty({
    colorize: options.colour,
    destination: synchronousStream(writeLine),
    ignore: 'pid,hostname,time',
    singleLine: true,
  });
  // Escapes control characters in strings from AWS and from specs, so that they cannot control the terminal.
  const escapeStrings = (_: string, value: unknown) =>
    typeof value === 'string' ? escapeUnprintable(value) : value;
  return pino(
    settings,
    synchronousStream(
      (line) => void prettyStream.write(`${JSON.stringify(JSON.parse(line, escapeStrings))}\n`),
    ),
  );
}

/** Writes each line synchronously, so that no line is lost when the process ends. */
const synchronousStream = (write: (line: string) => void): Writable =>
  new Writable({
    write(chunk, _, done) {
      write(String(chunk));
      done();
    },
  });

/**
 * Logs a cause once, and then the number of its repetitions: a hundred pairs that fail for one reason take one line.
 */
export interface DedupedLog {
  add(cause: string, subject: string): void;
  close(): void;
}

export interface DedupedLogOptions {
  clock: Clock;
  /** Milliseconds for which a cause is counted before it is logged again. */
  windowMs: number;
  /** `subjects`: the subjects of the cause, each once; `count`: the number of occurrences. */
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
