/**
 * Compares replikey with other tools at the same job: existing pairs of buckets get versioning, default encryption, a role
 * with its policy, and replication of the prefix `Data/`. KEYS: with `own`, each tool creates two keys with aliases per
 * pair, as in AWS's walkthrough; with `shared`, all pairs use the same two keys by ARN. Each pair has its own role, because
 * the policies of one role hold only a few pairs.
 *
 * Each tool runs against a new sandbox process, behind a proxy that delays each call by 50 ms. PAIRS is the number of pairs
 * (`1,20,100`). TOOLS selects tools by the beginning of their names (`replikey,boto3`).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type ProcessTreeCost, runAndMeasure } from './rivals/cost.ts';
import { startEndpoint } from './rivals/endpoint.ts';
import { createJob } from './rivals/job.ts';
import { type Tool, toolPath, tools } from './rivals/tools.ts';
import { ACCOUNT, type KeyMode } from './support/pairs.ts';
import { saveResults } from './support/results.ts';

const SIZES = (process.env.PAIRS ?? '1,20').split(',').map(Number);
const KEYS = (process.env.KEYS ?? 'own').split(',') as KeyMode[];
const TOOL_FILTERS = process.env.TOOLS?.split(',') ?? [''];

type Measurement = Omit<ProcessTreeCost, 'output'> & {
  calls: number;
  writes: number;
  operations: Record<string, number>;
};

interface Result {
  tool: string;
  keys: KeyMode;
  pairs: number;
  first: Measurement;
  converged: Measurement;
  /** Whether the tool reverted a replica key that was changed outside it. Measured for the first size only. */
  drift: 'reverted' | 'not detected' | '';
}

async function measure(tool: Tool, keys: KeyMode, size: number): Promise<Result> {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-rivals-'));
  const endpoint = await startEndpoint();
  const job = await createJob(endpoint.directUrl, size, keys);
  try {
    const command = await tool.prepare(folder, job.pairs, endpoint.delayedUrl);
    const env = {
      PATH: toolPath,
      AWS_ENDPOINT_URL: endpoint.delayedUrl,
      AWS_ACCESS_KEY_ID: ACCOUNT,
      AWS_SECRET_ACCESS_KEY: 'bench',
      AWS_REGION: 'us-east-1',
      AWS_DEFAULT_REGION: 'us-east-1',
      // Excludes the AWS settings of this machine's user.
      AWS_CONFIG_FILE: path.join(folder, 'none'),
      AWS_SHARED_CREDENTIALS_FILE: path.join(folder, 'none'),
      AWS_EC2_METADATA_DISABLED: 'true',
    };
    const run = async (): Promise<Measurement> => {
      await endpoint.calls();
      const { output, ...cost } = await runAndMeasure(command, folder, env);
      if (cost.code !== 0) throw new Error(`${tool.name} exited with ${cost.code}:\n${output.slice(-3_000)}`);
      const operations = await endpoint.calls();
      const count = (matches: (operation: string) => boolean) =>
        Object.entries(operations).reduce((sum, [name, calls]) => sum + (matches(name) ? calls : 0), 0);
      return {
        ...cost,
        calls: count(() => true),
        writes: count((name) => !/^(Get|List|Describe|Head)/.test(name)),
        operations,
      };
    };
    const first = await run();
    const replicating = await job.countReplicating();
    if (replicating !== size)
      throw new Error(`${tool.name} configured replication for ${replicating} of ${size} pairs`);
    const converged = await run();
    const result = { tool: tool.name, keys, pairs: size, first, converged };
    if (size !== SIZES[0]) return { ...result, drift: '' };
    await job.drift();
    await run();
    return { ...result, drift: (await job.countReplicating()) === size ? 'reverted' : 'not detected' };
  } finally {
    job.close();
    endpoint.close();
    await rm(folder, { recursive: true });
  }
}

/** Formats a value with its multiple of the baseline, which is replikey's value. */
const formatRelative = (value: number, baseline: number, unit: string, digits: number) =>
  `${value.toFixed(digits)}${unit}${value === baseline || baseline === 0 ? '' : ` (${(value / baseline).toFixed(1)}×)`}`;

function rowOf(pass: 'first' | 'converged', result: Result, baseline: Result): string {
  const [measured, baselinePass] = [result[pass], baseline[pass]];
  const cells = [
    result.tool,
    result.keys,
    result.pairs,
    pass,
    formatRelative(measured.wallS, baselinePass.wallS, ' s', 2),
    formatRelative(measured.cpuS, baselinePass.cpuS, ' s', 2),
    formatRelative(measured.rssMb, baselinePass.rssMb, ' MB', 0),
    formatRelative(measured.calls, baselinePass.calls, '', 0),
    measured.writes,
    pass === 'converged' ? result.drift : '',
  ];
  return `| ${cells.join(' | ')} |`;
}

const allTools = tools();
const availableTools = allTools.filter(
  ({ name, unavailableReason: missing }) =>
    !missing && TOOL_FILTERS.some((prefix) => name.startsWith(prefix)),
);
const skippedTools = allTools.flatMap(({ name, unavailableReason: missing }) =>
  missing ? [{ tool: name, why: `not measured: ${missing}` }] : [],
);
const results: Result[] = [];
console.log('| tool | keys | pairs | pass | wall | CPU | memory | calls | writes | drift of replication |');
console.log('| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |');
for (const keys of KEYS)
  for (const size of SIZES) {
    let baseline: Result | undefined;
    for (const tool of availableTools) {
      try {
        const result = await measure(tool, keys, size);
        baseline ??= result;
        results.push(result);
        for (const pass of ['first', 'converged'] as const) console.log(rowOf(pass, result, baseline));
      } catch (error) {
        skippedTools.push({ tool: `${tool.name}, ${size} pairs`, why: String(error) });
      }
    }
  }
for (const { tool, why } of skippedTools) console.log(`\n${tool}: ${why}`);
await saveResults('rivals', [...results, ...skippedTools]);
