import { Writable } from 'node:stream';
import pino, { type Logger, type LoggerOptions } from 'pino';
import pretty from 'pino-pretty';
import { escapeUnprintable, safeJson } from './util/escape.ts';

export type Log = Logger;

/** Logs go to standard error: for people on a terminal, as JSON elsewhere. Results go to standard output. */
export function createLog(stream: NodeJS.WriteStream, options: { level: string; colour: boolean }): Log {
  const settings: LoggerOptions = {
    level: options.level,
    base: null,
    formatters: { level: (label) => ({ level: label }) },
    // A credential that strays into an object that is logged stays out of the log.
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
  // What AWS says, and what is written in specs, is shown as it is, and steers no terminal.
  const escapeStrings = (_: string, value: unknown) =>
    typeof value === 'string' ? escapeUnprintable(value) : value;
  return pino(
    settings,
    synchronousStream(
      (line) => void prettyStream.write(`${JSON.stringify(JSON.parse(line, escapeStrings))}\n`),
    ),
  );
}

/** Straight on, so that no line is lost when the process ends. */
const synchronousStream = (write: (line: string) => void): Writable =>
  new Writable({
    write(chunk, _, done) {
      write(String(chunk));
      done();
    },
  });
