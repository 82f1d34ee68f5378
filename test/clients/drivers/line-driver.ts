import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Client, Driver, Implementation, OperationName, Settings } from '../client.ts';

interface Reply {
  result?: unknown;
  error?: string;
}

/**
 * Starts a program that performs operations: it reads one request per line as JSON (`operation`, `settings`, `args`) and
 * writes one reply per line (`result` or `error`).
 */
export function startLineDriver(
  program: string,
  args: string[],
  { folder, without }: { folder: string; without: Client['without'] },
): Driver {
  const child = spawn(program, args, {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '', HOME: folder, AWS_EC2_METADATA_DISABLED: 'true' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const replies = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4000);
  });
  // A program that exited is reported by the missing reply.
  child.stdin.on('error', () => {});

  async function call(operation: OperationName, settings: Settings, callArgs: object): Promise<unknown> {
    child.stdin.write(`${JSON.stringify({ operation, settings, args: callArgs })}\n`);
    const { value, done } = await replies.next();
    if (done) throw new Error(`${program} exited: ${stderr}`);
    const { result, error } = JSON.parse(value) as Reply;
    if (error !== undefined) throw new Error(error);
    return result;
  }

  const operations = OPERATIONS.filter((operation) => without[operation] === undefined).map((operation) => [
    operation,
    ((settings, callArgs) => call(operation, settings, callArgs)) as Implementation<OperationName>,
  ]);
  return {
    operations: Object.fromEntries(operations),
    [Symbol.asyncDispose]: () => stop(child),
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.stdin?.end();
  await exited;
}

const OPERATIONS: OperationName[] = [
  'createBucket',
  'regionOf',
  'put',
  'get',
  'getRange',
  'putMultipart',
  'copy',
  'list',
  'listVersions',
  'delete',
  'deleteVersion',
  'presignGet',
  'presignPut',
];
