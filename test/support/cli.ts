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
  /** A file descriptor for stdout, in place of a pipe. */
  stdout?: number;
  onStart?: (child: ChildProcess) => void;
}

/** Returns the environment of a child process, without the AWS settings of this machine. */
export function childEnvironment(
  endpoint: string | undefined,
  overrides: Record<string, string> = {},
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
    ...overrides,
  };
}

/** `reconcile sandbox` in a child process. */
export interface SandboxProcess {
  endpoint: string;
  stop(signal?: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): Promise<CliResult>;
}

/** Starts a sandbox on a free port, and waits for its endpoint in the output. */
export async function startSandboxProcess(...args: string[]): Promise<SandboxProcess> {
  let started: ChildProcess | undefined;
  const exited = runCli(['sandbox', '--port', '0', ...args], {
    onStart: (child) => {
      started = child;
    },
  });
  let output = '';
  const endpoint = await new Promise<string>((resolve, reject) => {
    started?.stdout?.on('data', (text: string) => {
      output += text;
      const match = /http:\/\/\S+/.exec(output);
      if (match) resolve(match[0]);
    });
    exited.then((result) => reject(new Error(`the sandbox exited: ${result.stderr}`)), reject);
  });
  return {
    endpoint,
    stop(signal = 'SIGTERM') {
      started?.kill(signal);
      return exited;
    },
  };
}

/**
 * Runs the built program, as a user does.
 *
 * @throws Error if the output contains a secret, in any test.
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

/** Returns whether a program is installed. */
export const isInstalled = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
