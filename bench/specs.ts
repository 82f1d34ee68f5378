/**
 * Measures the CPU time of the work without AWS: ten thousand specs are read, checked, planned and proven from memory.
 * One pair converges in the sandbox. Its responses are used for all pairs, with other names. SPECS is the number of specs.
 */

import { createAwsClient } from '../src/aws/client.ts';
import { createSdkClients } from '../src/aws/sdk-clients.ts';
import { desiredResources } from '../src/core/desired.ts';
import { joinDrafts, planChanges } from '../src/core/plan.ts';
import type { ActualState } from '../src/core/resource.ts';
import { readProofInputs } from '../src/facts/proof-inputs.ts';
import { kinds } from '../src/kinds/index.ts';
import { type ProofInputs, proveDesiredRules } from '../src/proof/plan-proof.ts';
import { observe } from '../src/reconcile/observe.ts';
import { reconcile } from '../src/reconcile/reconcile.ts';
import { startSandbox } from '../src/sandbox/server.ts';
import { loadSpecFiles } from '../src/spec/load.ts';
import type { Specs } from '../src/spec/types.ts';
import { ACCOUNT, pairName, pairYaml } from './support/pairs.ts';
import { saveResults } from './support/results.ts';
import { median } from './support/run.ts';

const PAIRS = Number(process.env.SPECS ?? 10_000);
const RUNS = Number(process.env.RUNS ?? 3);

const files = Array.from({ length: PAIRS }, (_, index) => ({
  file: `${pairName(index)}.yaml`,
  bytes: Buffer.from(pairYaml(index)),
}));

/** Returns the actual state and the proof inputs of the first pair, as JSON. */
async function recordFirstPair(specs: Specs): Promise<{ actual: string; inputs: string }> {
  const sandbox = await startSandbox();
  const clients = createSdkClients([], {
    endpoint: sandbox.endpoint,
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'bench' },
  });
  const aws = createAwsClient({ clients, accounts: [], region: 'us-east-1' });
  await reconcile(specs, { kinds, aws, allowedRisks: [], dryRun: false, propagationTimeoutMs: 10_000 });
  const actual = await observe(desiredResources(specs.pairs, [...kinds.values()]), kinds, aws);
  const inputs = await readProofInputs(specs, aws.withCache());
  clients.destroy();
  await sandbox.close();
  return {
    actual: JSON.stringify([...actual]),
    inputs: JSON.stringify({ ...inputs, accountIds: [...inputs.accountIds] }),
  };
}

/** Returns the result of some work and its CPU time in seconds. */
async function measureCpu<T>(work: () => T | Promise<T>): Promise<{ seconds: number; result: T }> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (user + system) / 1e6, result };
}

const HOUSE_DEFAULTS = {
  file: 'house.yaml',
  bytes: Buffer.from(`apiVersion: replikey.dev/v1
kind: Defaults
metadata: { name: house }
spec:
  rules: [{ prefix: Data/ }]
  role: { tags: { team: data, stage: prod } }
`),
};

/** The same pairs, with rules and tags from one Defaults document. */
const filesWithDefaults = [
  HOUSE_DEFAULTS,
  ...files.map(({ file, bytes }) => ({
    file,
    bytes: Buffer.from(
      bytes
        .toString()
        .replace('spec:', 'spec:\n  defaults: house')
        .replace(/ {2}rules:.*\n/, ''),
    ),
  })),
];

async function load(files: Parameters<typeof loadSpecFiles>[0]): Promise<Specs> {
  const { specs, problems } = await loadSpecFiles(files);
  if (!specs) throw new Error(`the specs are not valid: ${problems[0]?.message}`);
  return specs;
}

const specs = await load(files);
const recordedPair = await recordFirstPair({ ...specs, pairs: specs.pairs.slice(0, 1) });
const renumber = (text: string, index: number) =>
  JSON.parse(text.replace(/(?<=[pP])0{7}/g, pairName(index).slice(1)));
const cases = specs.pairs.map((pair, index) => {
  const inputs = renumber(recordedPair.inputs, index);
  return {
    own: { ...specs, pairs: [pair] },
    actual: new Map(renumber(recordedPair.actual, index)) as ActualState,
    inputs: { ...inputs, accountIds: new Map(inputs.accountIds) } as ProofInputs,
  };
});

const resourcesOf = ({ pairs }: Specs) => desiredResources(pairs, [...kinds.values()]);
// A pass computes the desired resources once, for the plan and the proof.
const desiredByPair = cases.map(({ own }) => resourcesOf(own));
const WORK = [
  { name: 'read and checked', target: 2, work: async () => (await load(files)).pairs.length },
  {
    name: 'read and checked, with Defaults',
    target: undefined,
    work: async () => (await load(filesWithDefaults)).pairs.length,
  },
  {
    name: 'planned from memory',
    target: 3,
    work: () => {
      const plan = joinDrafts(cases.map(({ own, actual }) => planChanges(resourcesOf(own), actual, kinds)));
      if (plan.waves.length > 0) throw new Error('the pairs do not converge');
      return plan.unchanged;
    },
  },
  {
    name: 'proven from memory',
    target: undefined,
    // A pass keeps little of a finished proof in memory.
    work: () =>
      cases.reduce((sum, { own, actual, inputs }, index) => {
        const proofs = proveDesiredRules(own, desiredByPair[index] ?? [], actual, kinds, inputs);
        if (proofs.some(({ verdict }) => verdict !== 'proven')) throw new Error('a rule is not proven');
        return sum + proofs.length;
      }, 0),
  },
];

console.log(`| ${PAIRS} pairs | items | CPU | target |`);
console.log('| --- | ---: | ---: | ---: |');
const rows = [];
for (const { name, target, work } of WORK) {
  const runs = [];
  for (let run = 0; run < RUNS; run++) runs.push(await measureCpu<number>(work));
  const seconds = median(runs.map((run) => run.seconds));
  const things = runs[0]?.result ?? 0;
  console.log(
    `| ${name} | ${things} | ${seconds.toFixed(2)} s | ${target === undefined ? '' : `${target} s`} |`,
  );
  rows.push({ name, pairs: PAIRS, things, cpuS: seconds, targetS: target });
}
await saveResults('specs', rows);
