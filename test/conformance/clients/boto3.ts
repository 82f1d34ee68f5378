import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Client, Response } from '../client.ts';

/** Starts boto3 in a child process, and returns a client that sends the calls to it. `python` is its interpreter. */
export function boto3Client(python: string, endpoint: string): Client {
  const child = spawn(python, [path.join(import.meta.dirname, 'boto3_client.py'), endpoint], {
    // No profile, proxy or endpoint of the user.
    env: { PATH: process.env.PATH ?? '', AWS_EC2_METADATA_DISABLED: 'true' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const pending = new Map<number, { resolve(response: Response): void; reject(error: Error): void }>();
  let lastId = 0;
  let errors = '';
  let isClosed = false;
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4000);
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { id, response, failure } = JSON.parse(line, decodeValue) as Result;
    if (response === undefined) pending.get(id)?.reject(new Error(`boto3: ${failure}`));
    else pending.get(id)?.resolve(response);
    pending.delete(id);
  });
  child.on('error', ({ message }) => {
    errors += message;
  });
  // A process that exits does not read its input. Its exit rejects the calls.
  child.stdin.on('error', () => {});
  const exited = new Promise<void>((resolve) => {
    child.on('close', () => {
      isClosed = true;
      for (const { reject } of pending.values()) reject(new Error(`boto3 exited: ${errors}`));
      resolve();
    });
  });
  return {
    name: 'boto3',
    send: (call) =>
      new Promise((resolve, reject) => {
        if (isClosed) return reject(new Error(`boto3 exited: ${errors}`));
        lastId += 1;
        pending.set(lastId, { resolve, reject });
        child.stdin.write(`${JSON.stringify({ id: lastId, ...call }, encodeValue)}\n`);
      }),
    async close() {
      child.stdin.end();
      await exited;
    },
  };
}

interface Result {
  id: number;
  response?: Response;
  failure?: string;
}

function encodeValue(_: string, value: unknown): unknown {
  const buffer = value as { type?: string; data?: number[] } | null;
  return buffer?.type === 'Buffer' ? { $bytes: Buffer.from(buffer.data ?? []).toString('base64') } : value;
}

function decodeValue(_: string, value: unknown): unknown {
  const { $bytes, $time } = (value ?? {}) as { $bytes?: string; $time?: string };
  if ($time !== undefined) return new Date($time);
  return $bytes === undefined ? value : Buffer.from($bytes, 'base64');
}
