import type { ChildProcess } from 'node:child_process';
import { expect, vi } from 'vitest';
import { type CliResult, type RunOptions, runCli } from './cli.ts';
import { assertNoSecrets } from './secrets.ts';

/** The controller in a child process. */
export interface ControllerProcess {
  child: ChildProcess;
  /** URL of its HTTP server. */
  url: string;
  exited: Promise<CliResult>;
  log: () => string;
  /** What it has written to standard output. */
  output: () => string;
}

/** Starts the controller in a child process, and waits for its URL in the output. */
export async function startController(args: string[], options: RunOptions): Promise<ControllerProcess> {
  let child: ChildProcess | undefined;
  let output = '';
  let log = '';
  const exited = runCli([...args, '--listen', '0'], {
    ...options,
    onStart: (started) => {
      child = started;
      started.stdout?.on('data', (text: Buffer) => {
        output += text;
      });
      started.stderr?.on('data', (text: Buffer) => {
        log += text;
      });
    },
  });
  const url = await vi
    .waitFor(() => {
      const [match] = /http:\/\/\S+/.exec(output) ?? [];
      if (!match) throw new Error(`the controller does not listen: ${log}`);
      return match;
    }, 20_000)
    .catch((error) => {
      // A sandbox would wait for its calls.
      child?.kill('SIGKILL');
      throw error;
    });
  return { child: child as ChildProcess, url, exited, log: () => log, output: () => output };
}

export const fetchText = async ({ url }: ControllerProcess, at: string) => {
  const response = await fetch(url + at);
  return { status: response.status, text: assertNoSecrets(await response.text()), headers: response.headers };
};

export const untilReady = (controller: ControllerProcess) =>
  vi.waitFor(async () => expect((await fetchText(controller, '/readyz')).status).toBe(200), {
    timeout: 15_000,
    interval: 50,
  });

/** Returns the status of a pair, or undefined if the controller does not have it. */
export const pairStatusOf = async (controller: ControllerProcess, name = 'tax') => {
  const { status, text } = await fetchText(controller, `/status?pair=${name}`);
  return status === 404 ? undefined : JSON.parse(text).pairs[0];
};

export const isLeader = async (controller: ControllerProcess) =>
  (await fetchText(controller, '/metrics')).text.includes('leader_election_master_status{name="replikey"} 1');
