import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';

/** Keep what was measured, with where: `bench/results/NAME.json`. Figures of two machines are not comparable; ratios are. */
export async function saveResults(name: string, rows: readonly object[]): Promise<void> {
  const folder = path.join('bench', 'results');
  await mkdir(folder, { recursive: true });
  const result = { node: process.versions.node, cores: availableParallelism(), rows };
  await writeFile(path.join(folder, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
}
