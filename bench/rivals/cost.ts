import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

/** The cost of one run of a program, including its child processes. */
export interface ProcessTreeCost {
  wallS: number;
  /** User and system time of all processes. */
  cpuS: number;
  /** Resident set of the largest process, in MB of a million bytes. */
  rssMb: number;
  code: number;
  /** Standard output and standard error. */
  output: string;
}

/** Runs a program in a folder. Python measures it, because Node does not report the cost of child processes. */
export async function runAndMeasure(
  command: readonly string[],
  folder: string,
  env: NodeJS.ProcessEnv,
): Promise<ProcessTreeCost> {
  const costFile = path.join(folder, 'cost.json');
  const child = spawn('python3', [path.resolve('bench/rivals/cost.py'), costFile, ...command], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk;
    });
  await once(child, 'close');
  const cost = JSON.parse(await readFile(costFile, 'utf8')) as Omit<ProcessTreeCost, 'output'>;
  return { ...cost, output };
}
