import { Writable } from 'node:stream';
import pino, { type Logger, type LoggerOptions } from 'pino';
import pretty from 'pino-pretty';

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
  if (!stream.isTTY) return pino(settings, synchronous(stream));
  return pino(
    settings,
    pretty({
      colorize: options.colour,
      destination: synchronous(stream),
      ignore: 'pid,hostname,time',
      singleLine: true,
    }),
  );
}

/** Straight to the stream, so that no line is lost when the process ends. */
const synchronous = (stream: NodeJS.WriteStream): Writable =>
  new Writable({
    write(chunk, _, done) {
      stream.write(chunk);
      done();
    },
  });
