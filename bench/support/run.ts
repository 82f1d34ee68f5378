import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** The cost of one run of a Node program. */
export interface ProcessCost {
  /** Wall time in milliseconds. */
  wallMs: number;
  /** CPU time of all threads in seconds. */
  cpuS: number;
  /** Maximum resident set, in MB of a million bytes. */
  rssMb: number;
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs Node with these arguments, and measures its cost. */
export async function runNode(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<ProcessCost> {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-run-'));
  try {
    const [hook, costFile] = [path.join(folder, 'hook.cjs'), path.join(folder, 'cost.json')];
    await writeFile(
      hook,
      `process.on('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  require('node:fs').writeFileSync(${JSON.stringify(costFile)}, JSON.stringify({ cpuS: (userCPUTime + systemCPUTime) / 1e6, rssMb: maxRSS * 1024 / 1e6 }));
});`,
    );
    const startedAt = performance.now();
    const child = spawn(process.execPath, ['--require', hook, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    const wallMs = performance.now() - startedAt;
    const { cpuS, rssMb } = JSON.parse(await readFile(costFile, 'utf8')) as { cpuS: number; rssMb: number };
    return { wallMs, cpuS, rssMb, code, stdout, stderr };
  } finally {
    await rm(folder, { recursive: true });
  }
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
};
