import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { assertNoSecrets, TEST_SECRET } from './secrets.ts';

export const MAIN = path.resolve(import.meta.dirname, '../../dist/main.js');

export interface CliResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  /** Endpoint of a sandbox; its account is 111122223333. */
  endpoint?: string;
  cwd?: string;
  input?: string;
  env?: Record<string, string>;
  /** A file in place of what is collected. */
  stdout?: number;
  onStart?: (child: ChildProcess) => void;
}

/** The environment of a child: nothing of this machine's AWS set-up reaches it. */
export function childEnvironment(
  endpoint: string | undefined,
  more: Record<string, string> = {},
): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    HOME: '/nonexistent',
    AWS_EC2_METADATA_DISABLED: 'true',
    ...(endpoint === undefined
      ? {}
      : {
          AWS_ENDPOINT_URL: endpoint,
          AWS_ACCESS_KEY_ID: '111122223333',
          AWS_SECRET_ACCESS_KEY: TEST_SECRET,
          AWS_REGION: 'us-east-1',
        }),
    ...more,
  };
}

/** `reconcile sandbox`, in a process of its own. */
export interface SandboxProcess {
  endpoint: string;
  stop(signal?: 'SIGINT' | 'SIGTERM'): Promise<CliResult>;
}

/** Serve a sandbox on any free port, and wait for the line that says so. */
export async function startSandboxProcess(...args: string[]): Promise<SandboxProcess> {
  let started: ChildProcess | undefined;
  const ended = runCli(['sandbox', '--port', '0', ...args], {
    onStart: (child) => {
      started = child;
    },
  });
  let said = '';
  const endpoint = await new Promise<string>((resolve, reject) => {
    started?.stdout?.on('data', (text: string) => {
      said += text;
      const found = /http:\/\/\S+/.exec(said);
      if (found) resolve(found[0]);
    });
    ended.then((ran) => reject(new Error(`it ended: ${ran.stderr}`)), reject);
  });
  return {
    endpoint,
    stop(signal = 'SIGTERM') {
      started?.kill(signal);
      return ended;
    },
  };
}

/**
 * Run the program that ships, as a user would.
 *
 * @throws Error where it shows a secret, whatever the test is about.
 */
export async function runCli(args: string[], options: RunOptions = {}): Promise<CliResult> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: childEnvironment(options.endpoint, options.env),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: ['pipe', options.stdout ?? 'pipe', 'pipe'],
  });
  options.onStart?.(child);
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin?.on('error', () => {});
  child.stdin?.end(options.input ?? '');
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  assertNoSecrets(stdout + stderr, options.env);
  return { code, signal, stdout, stderr };
}

/** Whether a program is there to be asked. */
export const isInstalled = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
