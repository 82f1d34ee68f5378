import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

/** What one run of a program cost, with all that it started. */
export interface ProcessTreeCost {
  wallS: number;
  /** Of all its processes, user and system. */
  cpuS: number;
  /** Of its largest process, in MB of a million bytes. */
  rssMb: number;
  code: number;
  /** What it wrote, to standard output and standard error. */
  said: string;
}

/** Run a program in a folder. Python waits for it, since Node does not say what its children cost. */
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
  const cost = JSON.parse(await readFile(costFile, 'utf8')) as Omit<ProcessTreeCost, 'said'>;
  return { ...cost, said: output };
}
