import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { shellQuote } from '../../src/util/escape.ts';
import { type PythonEnvironment, pythonEnvironment } from './python.ts';

const SCRIPTS = path.resolve(import.meta.dirname, 'aws-cli');

/** The AWS CLI, kept in memory: most of the time of a call is the start of Python. */
export interface AwsCli {
  /** A folder for PATH, which contains the program `aws`. */
  folder: string;
  stop(): void;
}

/** Starts a process that runs the AWS CLI, and writes the program `aws` into a folder. */
export async function startAwsCli(folder: string): Promise<AwsCli> {
  const { program }: PythonEnvironment = pythonEnvironment('awscli');
  const socket = path.join(folder, 'aws.sock');
  const server: ChildProcess = spawn(program('python3'), [path.join(SCRIPTS, 'server.py'), socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (server.stdout) await once(server.stdout, 'data');
  const client = [program('python3'), '-S', '-E', path.join(SCRIPTS, 'client.py')].map(shellQuote).join(' ');
  const file = path.join(folder, 'aws');
  await writeFile(file, `#!/bin/sh\nAWS_CLI_SOCKET=${shellQuote(socket)} exec ${client} "$@"\n`);
  await chmod(file, 0o755);
  return { folder, stop: () => server.kill() };
}
