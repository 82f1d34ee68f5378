/**
 * What is done without AWS, in CPU: ten thousand specs read, checked, planned and proven from memory. One pair converges
 * in the sandbox; what is read of it stands, under other names, for all.
 * SPECS says how many.
 */
import { createClients } from '../src/aws/clients.ts';
import { createDoor } from '../src/aws/door.ts';
import { desire } from '../src/core/desire.ts';
import { joined, planPart } from '../src/core/plan.ts';
import type { Actual } from '../src/core/resource.ts';
import { type Around, proveDeclared, readAround } from '../src/doctor/foreseen.ts';
import { kinds } from '../src/kinds/index.ts';
import { reconcile } from '../src/reconcile.ts';
import { startSandbox } from '../src/sandbox/server.ts';
import { loadFiles } from '../src/spec/load.ts';
import type { Specs } from '../src/spec/types.ts';
import { observe } from '../src/steps/observe.ts';
import { ACCOUNT, numbered, specOf } from './support/pairs.ts';
import { keep } from './support/results.ts';
import { median } from './support/run.ts';

const PAIRS = Number(process.env.SPECS ?? 10_000);
const RUNS = Number(process.env.RUNS ?? 3);

const files = Array.from({ length: PAIRS }, (_, index) => ({
  file: `${numbered(index)}.yaml`,
  bytes: Buffer.from(specOf(index)),
}));

/** Everything that is read of the first pair, as JSON. */
async function readOfOne(specs: Specs): Promise<{ actual: string; around: string }> {
  const sandbox = await startSandbox();
  const clients = createClients([], {
    endpoint: sandbox.endpoint,
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'bench' },
  });
  const door = createDoor({ clients, accounts: [], region: 'us-east-1' });
  await reconcile(specs, { kinds, door, allow: [], dryRun: false, waitMs: 10_000 });
  const actual = await observe(desire(specs.pairs, [...kinds.values()]), kinds, door);
  const around = await readAround(specs, door.sharing());
  clients.destroy();
  await sandbox.close();
  return {
    actual: JSON.stringify([...actual]),
    around: JSON.stringify({ ...around, accountIds: [...around.accountIds] }),
  };
}

/** Seconds of CPU, and what came of it. */
function cpu<T>(work: () => T): { seconds: number; result: T } {
  const before = process.cpuUsage();
  const result = work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (user + system) / 1e6, result };
}

function load(): Specs {
  const { specs, problems } = loadFiles(files);
  if (!specs) throw new Error(`the specs are not valid: ${problems[0]?.message}`);
  return specs;
}

const specs = load();
const one = await readOfOne({ ...specs, pairs: specs.pairs.slice(0, 1) });
const ofPair = (text: string, index: number) =>
  JSON.parse(text.replace(/(?<=[pP])0{7}/g, numbered(index).slice(1)));
const worlds = specs.pairs.map((pair, index) => {
  const around = ofPair(one.around, index);
  return {
    own: { ...specs, pairs: [pair] },
    actual: new Map(ofPair(one.actual, index)) as Actual,
    around: { ...around, accountIds: new Map(around.accountIds) } as Around,
  };
});

const resourcesOf = ({ pairs }: Specs) => desire(pairs, [...kinds.values()]);
// A pass wants things once, to plan them, and proves what comes of that.
const wanted = worlds.map(({ own }) => resourcesOf(own));
const WORK = [
  { name: 'read and checked', target: 2, work: () => load().pairs.length },
  {
    name: 'planned from memory',
    target: 3,
    work: () => {
      const plan = joined(worlds.map(({ own, actual }) => planPart(resourcesOf(own), actual, kinds)));
      if (plan.waves.length > 0) throw new Error('the pairs do not converge');
      return plan.unchanged;
    },
  },
  {
    name: 'proven from memory',
    target: undefined,
    // Of a proof that is made a pass keeps next to nothing.
    work: () =>
      worlds.reduce((sum, { own, actual, around }, index) => {
        const proofs = proveDeclared(own, wanted[index] ?? [], actual, kinds, around);
        if (proofs.some(({ verdict }) => verdict !== 'proven')) throw new Error('a rule is not proven');
        return sum + proofs.length;
      }, 0),
  },
];

console.log(`| ${PAIRS} pairs | things | CPU | target |`);
console.log('| --- | ---: | ---: | ---: |');
const rows = WORK.map(({ name, target, work }) => {
  const runs = Array.from({ length: RUNS }, () => cpu(work));
  const seconds = median(runs.map((run) => run.seconds));
  const things = runs[0]?.result ?? 0;
  console.log(
    `| ${name} | ${things} | ${seconds.toFixed(2)} s | ${target === undefined ? '' : `${target} s`} |`,
  );
  return { name, pairs: PAIRS, things, cpuS: seconds, targetS: target };
});
await keep('specs', rows);
