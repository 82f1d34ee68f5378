import { createInterface } from 'node:readline';
import { escapeUnprintable } from '../util/escape.ts';
import type { Io } from './command-model.ts';

type Terminal = Pick<Io, 'stdin' | 'stdout' | 'stderr'>;

/** Whether a person can read a question and answer it. */
export const isInteractive = ({ stdin, stdout, stderr }: Terminal): boolean =>
  Boolean(stdin.isTTY && (stderr.isTTY || stdout.isTTY));

/** Asks questions on a terminal, one line each. The terminal itself edits the line. */
export interface Prompter {
  /**
   * Returns the answer, or undefined if the input has ended.
   *
   * @throws the reason of the interruption
   */
  ask(question: string): Promise<string | undefined>;
  /** Prints text where it asks. */
  print(text: string): void;
  close(): void;
}

/** Creates a prompter. It keeps standard output for results, if standard error is a terminal, too. */
export function createPrompter(io: Terminal, signal: AbortSignal): Prompter {
  const output = io.stderr.isTTY ? io.stderr : io.stdout;
  const reader = createInterface({ input: io.stdin, terminal: false, signal });
  // A terminal that was closed ends the input.
  const onError = () => reader.close();
  io.stdin.on('error', onError);
  const lines = reader[Symbol.asyncIterator]();
  return {
    async ask(question) {
      output.write(escapeUnprintable(`${question} `));
      // Specs that were read from standard input may have ended it already. Then no further event arrives.
      const { value, done } = io.stdin.readable ? await lines.next() : { value: undefined, done: true };
      signal.throwIfAborted();
      if (!done) return value;
      output.write('\n');
      return undefined;
    },
    print: (text) => void output.write(text),
    close() {
      reader.close();
      io.stdin.off('error', onError);
    },
  };
}

/** Asks a question with the answers y and N. Any answer except y or yes, and the end of the input, mean no. */
export async function confirm(question: string, io: Terminal, signal: AbortSignal): Promise<boolean> {
  const prompter = createPrompter(io, signal);
  prompter.print('\n');
  try {
    return /^\s*y(es)?\s*$/i.test((await prompter.ask(`${question} [y/N]`)) ?? '');
  } finally {
    prompter.close();
  }
}
