/**
 * A converged pass over many pairs: calls, wall time, CPU and memory, each against the least that it could be. Each call
 * takes 50 ms at a thin endpoint. PAIRS says how many pairs (`1,100,1000`).
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Asked } from './processes/thin-endpoint.ts';
import { ACCOUNT, type KeysOf, numbered, specOf } from './support/pairs.ts';
import { recordOne } from './support/recorded.ts';
import { type Cost, median, runNode } from './support/run.ts';
import { startThin } from './support/thin.ts';

const DELAY_MS = 50;
const SIZES = (process.env.PAIRS ?? '1,100,1000,10000').split(',').map(Number);
const RUNS = Number(process.env.RUNS ?? 3);

const thin = await startThin();
const env = {
  AWS_ENDPOINT_URL: thin.endpoint,
  AWS_ACCESS_KEY_ID: ACCOUNT,
  AWS_SECRET_ACCESS_KEY: 'bench',
  AWS_REGION: 'us-east-1',
};

console.log('| keys | pairs | calls | at once | first call to last answer | wall | CPU | memory |');
console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
for (const keys of (process.env.KEYS ?? 'shared,own').split(',') as KeysOf[]) {
  const recorded = await recordOne(keys);
  for (const size of SIZES) {
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-pairs-'));
    for (let index = 0; index < size; index++)
      await writeFile(path.join(folder, `${numbered(index)}.yaml`), specOf(index, recorded.sharedKeys));
    const runs: (Cost & Asked)[] = [];
    for (let run = 0; run < (size > 1_000 ? 1 : RUNS); run++) {
      await thin.serve(recorded, { delayMs: DELAY_MS, roles: size });
      const cost = await runNode(['dist/main.js', '--dry-run', folder], env);
      const asked = await thin.asked();
      if (asked.unknown.length > 0)
        throw new Error(`nothing was recorded for:\n${asked.unknown.join('\n\n')}`);
      if (cost.code !== 0 || !cost.stdout.includes('Nothing to do'))
        throw new Error(
          `the pass did not end well: ${cost.code}\n${cost.stdout.slice(0, 2_000)}${cost.stderr.slice(0, 2_000)}`,
        );
      runs.push({ ...cost, ...asked });
    }
    const of = (value: (run: Cost & Asked) => number) => median(runs.map(value));
    const calls = Object.values(runs[0]?.calls ?? {}).reduce((sum, count) => sum + count, 0);
    console.log(
      `| ${keys} | ${size} | ${calls} | ${of((run) => run.most)} | ${of((run) => run.ms).toFixed(0)} ms | ${of((run) => run.wallMs).toFixed(0)} ms | ${of((run) => run.cpuS).toFixed(2)} s | ${of((run) => run.rssMb).toFixed(0)} MB |`,
    );
    if (process.env.VERBOSE) console.log(runs[0]?.calls);
    await rm(folder, { recursive: true });
  }
}
thin.close();
