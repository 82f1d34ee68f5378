import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';

/** Writes results with the machine to `bench/results/NAME.json`. Only ratios are comparable between machines. */
export async function saveResults(name: string, rows: readonly object[]): Promise<void> {
  const folder = path.join('bench', 'results');
  await mkdir(folder, { recursive: true });
  const result = { node: process.versions.node, cores: availableParallelism(), rows };
  await writeFile(path.join(folder, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
}
