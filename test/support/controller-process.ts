import type { ChildProcess } from 'node:child_process';
import { expect, vi } from 'vitest';
import { type CliResult, type RunOptions, runCli } from './cli.ts';
import { assertNoSecrets } from './secrets.ts';

/** `reconcile`, until it is stopped. */
export interface ControllerProcess {
  child: ChildProcess;
  /** Where it listens. */
  url: string;
  exited: Promise<CliResult>;
  log: () => string;
}

/** Start the loop in a process of its own, and wait for the line that says where it listens. */
export async function startController(args: string[], options: RunOptions): Promise<ControllerProcess> {
  let child: ChildProcess | undefined;
  let said = '';
  let log = '';
  const ended = runCli([...args, '--listen', '0'], {
    ...options,
    onStart: (started) => {
      child = started;
      started.stdout?.on('data', (text: Buffer) => {
        said += text;
      });
      started.stderr?.on('data', (text: Buffer) => {
        log += text;
      });
    },
  });
  const url = await vi.waitFor(() => {
    const [found] = /http:\/\/\S+/.exec(said) ?? [];
    if (!found) throw new Error(`it does not listen: ${log}`);
    return found;
  }, 10_000);
  return { child: child as ChildProcess, url, exited: ended, log: () => log };
}

export const fetchText = async ({ url }: ControllerProcess, at: string) => {
  const answer = await fetch(url + at);
  return { status: answer.status, text: assertNoSecrets(await answer.text()), headers: answer.headers };
};

export const untilReady = (one: ControllerProcess) =>
  vi.waitFor(async () => expect((await fetchText(one, '/readyz')).status).toBe(200), {
    timeout: 15_000,
    interval: 50,
  });

/** What is told of a pair. */
export const pairStatusOf = async (one: ControllerProcess, name = 'tax') =>
  JSON.parse((await fetchText(one, '/status')).text).pairs.find(
    (pair: { name: string }) => pair.name === name,
  );

export const isLeader = async (one: ControllerProcess) =>
  (await fetchText(one, '/metrics')).text.includes('leader_election_master_status{name="replikey"} 1');
