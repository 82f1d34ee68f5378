/**
 * Measures a converged pass over many pairs: calls, wall time, CPU and memory. The baseline makes the same calls with the
 * bare SDK. The thin endpoint delays each call by 50 ms. PAIRS is the number of pairs (`1,100,1000`), KEYS whether they
 * share keys (`shared,own`), RUNS the number of runs of which the median is taken.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CallReport } from './processes/thin-endpoint.ts';
import { ACCOUNT, type KeyMode, pairName, pairYaml } from './support/pairs.ts';
import { type RecordedResponses, recordPair } from './support/recorded-responses.ts';
import { saveResults } from './support/results.ts';
import { median, type ProcessCost, runNode } from './support/run.ts';
import { startThinEndpoint } from './support/thin-endpoint.ts';

const DELAY_MS = 50;
const SIZES = (process.env.PAIRS ?? '1,100,1000,10000').split(',').map(Number);
const RUNS = Number(process.env.RUNS ?? 3);

const thin = await startThinEndpoint();
const awsEnv = {
  AWS_ENDPOINT_URL: thin.endpoint,
  AWS_ACCESS_KEY_ID: ACCOUNT,
  AWS_SECRET_ACCESS_KEY: 'bench',
  AWS_REGION: 'us-east-1',
};

type Run = ProcessCost & CallReport;

async function run(args: string[], recorded: RecordedResponses, pairs: number): Promise<Run> {
  await thin.serve(recorded, { delayMs: DELAY_MS, roles: pairs });
  const cost = await runNode(args, awsEnv);
  const report = await thin.report();
  if (report.unknown.length > 0) throw new Error(`no recorded response for:\n${report.unknown.join('\n\n')}`);
  if (cost.code !== 0) throw new Error(`the run exited with ${cost.code}:\n${cost.stderr.slice(0, 2_000)}`);
  return { ...cost, ...report };
}

const callsOf = (run: Run | undefined): number =>
  Object.values(run?.calls ?? {}).reduce((sum, count) => sum + count, 0);

const rows: object[] = [];
console.log('| keys | pairs | calls | a pair | wall | of the bare SDK | CPU | of the bare SDK | memory |');
console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
for (const keys of (process.env.KEYS ?? 'shared,own').split(',') as KeyMode[]) {
  const recorded = await recordPair(keys);
  const shared = Object.values(recorded.sharedKeys ?? {});
  for (const pairs of SIZES) {
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-pairs-'));
    for (let index = 0; index < pairs; index++)
      await writeFile(path.join(folder, `${pairName(index)}.yaml`), pairYaml(index, recorded.sharedKeys));
    const ours: Run[] = [];
    const bare: Run[] = [];
    for (let index = 0; index < (pairs > 1_000 ? 1 : RUNS); index++) {
      const replikeyRun = await run(['dist/main.js', '--dry-run', folder], recorded, pairs);
      if (!replikeyRun.stdout.includes('Nothing to do'))
        throw new Error(`the pass did not converge:\n${replikeyRun.stdout.slice(0, 2_000)}`);
      ours.push(replikeyRun);
      const barePass = path.join(import.meta.dirname, 'processes', 'bare-pass.mjs');
      bare.push(await run([barePass, String(pairs), ...shared], recorded, pairs));
    }
    const mediansOf = (value: (run: Run) => number) => ({
      ours: median(ours.map(value)),
      bare: median(bare.map(value)),
    });
    const [wall, cpu] = [mediansOf(({ wallMs }) => wallMs / 1_000), mediansOf(({ cpuS }) => cpuS)];
    const memory = mediansOf(({ rssMb }) => rssMb);
    rows.push({
      keys,
      pairs,
      calls: { ours: callsOf(ours[0]), bare: callsOf(bare[0]) },
      wallS: wall,
      cpuS: cpu,
      memoryMb: memory,
    });
    const ratio = (medians: { ours: number; bare: number }) =>
      `${(medians.ours / medians.bare).toFixed(2)} ×`;
    console.log(
      `| ${keys} | ${pairs} | ${callsOf(ours[0])} | ${(callsOf(ours[0]) / pairs).toFixed(1)} | ${wall.ours.toFixed(2)} s | ${ratio(wall)} | ${cpu.ours.toFixed(2)} s | ${ratio(cpu)} | ${memory.ours.toFixed(0)} MB |`,
    );
    if (process.env.VERBOSE) console.log(ours[0]?.calls, bare[0]?.calls);
    await rm(folder, { recursive: true });
  }
}
await saveResults('pass', rows);
thin.close();
