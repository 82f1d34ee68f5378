/**
 * Counts the calls of each pass of a backfill, from its plan to its record, for source buckets with few and with many
 * objects; for a million, up to the plan that waits for an approval. The calls must not depend on the number of objects: S3 lists and counts them.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { createAwsClient } from '../src/aws/client.ts';
import { createSdkClients } from '../src/aws/sdk-clients.ts';
import { kinds } from '../src/kinds/index.ts';
import { reconcile } from '../src/reconcile/reconcile.ts';
import { startSandbox } from '../src/sandbox/server.ts';
import type { VersionState } from '../src/sandbox/state.ts';
import { loadSpecs } from '../src/spec/load.ts';
import type { Specs } from '../src/spec/types.ts';
import { ACCOUNT } from './support/pairs.ts';
import { saveResults } from './support/results.ts';

const SIZES = [10, 10_000, Number(process.env.OBJECTS ?? 1_000_000)];
const EAST = { region: 'us-east-1' };
const BUCKET = 'bench-backfill';
/** An instant after the objects of the benchmark; a spec may be a few minutes ahead. */
const before = new Date(Date.now() + 240_000).toISOString().replace(/\.\d+/, '');
const yaml = (prefix: string, backfill: string) => `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: backfill }
spec:
  source: { bucket: ${BUCKET}, region: us-east-1, key: alias/bench }
  destination: { bucket: ${BUCKET}-replica, region: us-west-2, key: alias/bench }
  rules: [{ name: all, prefix: ${prefix} }]
${backfill}`;

const rows = [];
for (const objects of SIZES) rows.push(await measure(objects));
console.table(rows);
await saveResults('backfill', rows);

async function parseYaml(text: string): Promise<Specs> {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-bench-backfill-'));
  try {
    await writeFile(path.join(folder, 'spec.yaml'), text);
    const { specs } = await loadSpecs([folder]);
    if (!specs) throw new Error('the spec is not valid');
    return specs;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Returns the number of calls of each pass, and the time of the plan that waits for an approval, in ms. */
async function measure(objects: number) {
  const sandbox = await startSandbox();
  const clients = createSdkClients([], {
    endpoint: sandbox.endpoint,
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'bench' },
  });
  const aws = createAwsClient({ clients, accounts: [], region: EAST.region });
  const pass = async (specs: Specs, allowedRisks: string[] = []) => {
    sandbox.log.reset();
    const startedAt = performance.now();
    await reconcile(specs, { kinds, aws, allowedRisks, dryRun: false, propagationTimeoutMs: 60_000 });
    const ms = Math.round(performance.now() - startedAt);
    await sandbox.waitForJobs();
    return { calls: sandbox.log.entries.length, ms };
  };
  await pass(await parseYaml(yaml('Other/', '')));
  const Key = 'Data/0';
  await aws.send(EAST, new PutObjectCommand({ Bucket: BUCKET, Key, Body: 'x' }));
  const bucket = sandbox.store.bucket(BUCKET);
  const version = bucket?.objects.get(Key)?.[0] as VersionState;
  for (let index = 1; index < objects; index += 1)
    bucket?.objects.set(`Data/${index}`, [{ ...version, key: `Data/${index}` }]);
  const specs = await parseYaml(yaml('Data/', `  backfill: { before: "${before}" }\n`));
  await pass(await parseYaml(yaml('Data/', '')));
  const created = await pass(specs);
  const waiting = await pass(specs);
  // The sandbox takes minutes to replicate a million objects.
  const runsJob = objects <= 100_000;
  const approved = runsJob ? await pass(specs, ['start-backfill']) : undefined;
  const recorded = runsJob ? await pass(specs) : undefined;
  const unchanged = runsJob ? await pass(specs) : undefined;
  clients.destroy();
  await sandbox.close();
  return {
    objects,
    created: created.calls,
    waiting: waiting.calls,
    approved: approved?.calls,
    recorded: recorded?.calls,
    unchanged: unchanged?.calls,
    'waiting, ms': waiting.ms,
  };
}
