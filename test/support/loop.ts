import type { ChildProcess } from 'node:child_process';
import { expect, vi } from 'vitest';
import { cli, type Ran, type RunOptions } from './cli.ts';
import { refuseSecrets } from './secrets.ts';

/** `reconcile`, until it is stopped. */
export interface Loop {
  child: ChildProcess;
  /** Where it listens. */
  url: string;
  ended: Promise<Ran>;
  log: () => string;
}

/** Start the loop in a process of its own, and wait for the line that says where it listens. */
export async function startLoop(args: string[], options: RunOptions): Promise<Loop> {
  let child: ChildProcess | undefined;
  let said = '';
  let log = '';
  const ended = cli([...args, '--listen', '0'], {
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
  return { child: child as ChildProcess, url, ended, log: () => log };
}

export const get = async ({ url }: Loop, at: string) => {
  const answer = await fetch(url + at);
  return { status: answer.status, text: refuseSecrets(await answer.text()), headers: answer.headers };
};

export const ready = (one: Loop) =>
  vi.waitFor(async () => expect((await get(one, '/readyz')).status).toBe(200), {
    timeout: 15_000,
    interval: 50,
  });

/** What is told of a pair. */
export const statusOf = async (one: Loop, name = 'tax') =>
  JSON.parse((await get(one, '/status')).text).pairs.find((pair: { name: string }) => pair.name === name);

export const leads = async (one: Loop) =>
  (await get(one, '/metrics')).text.includes('leader_election_master_status{name="replikey"} 1');
