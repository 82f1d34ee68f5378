import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pLimit from 'p-limit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RequestEntry } from '../../src/sandbox/admin-api.ts';
import { createObjectTraffic, isObjectCall, type ObjectTraffic } from '../faults/object-traffic.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { runCli } from '../support/cli.ts';
import { parseSpecs, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { stateOf } from '../support/state.ts';

const ACCOUNTS = ['main 111122223333', 'backup 444455556666']
  .map((account) => account.split(' '))
  .map(
    ([name, id]) =>
      `apiVersion: replikey.dev/v1\nkind: Account\nmetadata: { name: ${name} }\nspec: { id: "${id}", profile: ${name} }\n---\n`,
  )
  .join('');
const DECLARED = `${ACCOUNTS}${TAX_SPEC.replaceAll('region: ', 'account: main, region: ')}  role: { name: shared }\n`;
/** Two removed specs: one with its own role and a destination in another account, one with the shared role. */
const REMOVED = `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: vault }
spec:
  source: { bucket: acme-vault, region: us-east-1, account: main, key: alias/acme-vault }
  destination: { bucket: acme-vault-backup, region: us-west-2, account: backup, key: alias/acme-vault-backup }
  rules: [{ prefix: "" }]
  policy: { deletion: Remove }
---
apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: books }
spec:
  source: { bucket: acme-books, region: us-east-1, account: main, key: alias/acme-tax }
  destination: { bucket: acme-tax-replica, region: us-west-2, account: main, key: alias/acme-tax-replica }
  role: { name: shared }
  rules: [{ prefix: "" }]
  policy: { deletion: Remove }
`;
const REMOVING = `${DECLARED}  policy: { deletion: Remove }\n`;

const BEFORE = `${REMOVING}---\n${REMOVED}`;

let folder: string;
/** Restores the state after a run with all specs. */
let restore: ReturnType<typeof checkpoint>;
beforeAll(async () => {
  await using env = await testEnv(BEFORE);
  expect((await env.reconcile()).remaining?.waves).toEqual([]);
  restore = checkpoint(env.sandbox.store);
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-prune-'));
  // The sandbox derives the account from the access key.
  const profiles = [
    ['main', '111122223333'],
    ['backup', '444455556666'],
  ].map(([name, id]) => `[${name}]\naws_access_key_id = ${id}\naws_secret_access_key = test\n`);
  await writeFile(path.join(folder, 'credentials'), profiles.join(''));
});
afterAll(() => rm(folder, { recursive: true }));

const WITHOUT_DRAIN = ['--drain', '0s', '--allow', 'lose-in-flight'];
const KEY_POLICIES = Array<string>(4).fill('PutKeyPolicy');

/** Kills the program with SIGKILL after every write of a prune, before its response arrives. Then runs it again. */
it.each([
  {
    drain: 'without a drain',
    options: WITHOUT_DRAIN,
    passes: 1,
    writes: [
      ...['DeleteBucketReplication', 'DeleteBucketReplication'],
      ...KEY_POLICIES,
      ...['DeleteBucketPolicy', 'PutRolePolicy', 'DeleteRolePolicy', 'DeleteRole'],
      // A second write removes from policies that other specs share what the first one retained.
      ...['PutKeyPolicy', 'PutKeyPolicy', 'PutRolePolicy'],
    ],
  },
  {
    drain: 'with a drain',
    options: [],
    passes: 2,
    writes: [
      ...['PutBucketReplication', 'PutBucketReplication'],
      ...KEY_POLICIES,
      ...['PutBucketPolicy', 'PutRolePolicy', 'PutRolePolicy'],
      // The second pass runs after the drain.
      ...['DeleteBucketReplication', 'DeleteBucketReplication'],
      ...KEY_POLICIES,
      ...['DeleteBucketPolicy', 'PutRolePolicy', 'DeleteRolePolicy', 'DeleteRole'],
    ],
  },
])(
  'prune: $drain, removes all orphans and loses no object after a SIGKILL at any write and a second run',
  {
    timeout: 600_000,
  },
  async ({ options, passes, writes }) => {
    const reference = await runWithKill({ options, passes });
    expect(reference.writes).toEqual(writes.sort());
    expect(reference.written).toBeGreaterThan(writes.length);
    expect(reference.lostObjects).toEqual([]);
    expect(JSON.stringify(reference.state)).not.toMatch(/Vault\b|Books\b/);

    const limit = pLimit(3);
    const outcomes = await Promise.all(
      reference.writes.map((_, index) =>
        limit(async () => ({ nth: index + 1, ...(await runWithKill({ options, passes, nth: index + 1 })) })),
      ),
    );
    for (const { nth, state, killed, remainingWaves, specsWithoutPermissions, lostObjects } of outcomes) {
      const name = `killed after write ${nth}`;
      expect(killed, name).toBe(true);
      // Between the two runs no rule lacks the permissions that it uses.
      expect(specsWithoutPermissions, name).toEqual([]);
      expect(remainingWaves, name).toEqual([]);
      expect(lostObjects, name).toEqual([]);
      expect(state, name).toEqual(reference.state);
    }
  },
);

interface KillOptions {
  /** Options of the command line. */
  options: string[];
  /** The passes of a prune; the drain ends between them. */
  passes: number;
  nth?: number;
}

const AFTER_DRAIN_MS = 20 * 60_000;

/** Runs a prune, kills it at its nth write if given, and runs it again. */
async function runWithKill({ options, passes, nth }: KillOptions) {
  let child: ChildProcess | undefined;
  let open = 0;
  let count = 0;
  let killed = false;
  let traffic: ObjectTraffic | undefined;
  const onCall = async (entry: RequestEntry, phase: 'before' | 'after') => {
    if (!child || isObjectCall(entry)) return;
    if (phase === 'before') open += 1;
    await traffic?.onCall(entry, phase);
    if (phase === 'after' && entry.write && entry.service !== 'sts' && ++count === nth) {
      killed = true;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    if (phase === 'after') open -= 1;
  };
  const time = { offsetMs: 0 };
  const clock = () => Date.now() + time.offsetMs;
  await using env = await testEnv(BEFORE, { onCall, clock });
  restore(env.sandbox.store);
  const { sandbox, specs, client } = env;
  traffic = createObjectTraffic({
    sandbox,
    client: () => client,
    before: specs,
    after: await parseSpecs(REMOVING),
    replicate: () => sandbox.waitForReplication(),
  });
  const specsWithoutPermissions: string[] = [];
  for (let pass = 1; pass <= passes && !killed; pass++) {
    if (pass > 1) time.offsetMs += AFTER_DRAIN_MS;
    const args = ['--once', '--prune', '--allow', 'remove-pair', '--max-removals', '50', ...options, '-'];
    const result = await runCli(args, {
      endpoint: env.sandbox.endpoint,
      input: REMOVING,
      env: { AWS_SHARED_CREDENTIALS_FILE: path.join(folder, 'credentials') },
      onStart: (started) => {
        child = started;
      },
    });
    if (nth === undefined) expect(result).toMatchObject({ code: 0 });
    // The sandbox still executes the calls that were in flight, as AWS would.
    while (open > 0) await new Promise((resolve) => setImmediate(resolve));
    child = undefined;
    const state = JSON.stringify(stateOf(env.sandbox));
    specsWithoutPermissions.push(
      ...['vault', 'books'].filter((spec) => hasEnabledRule(env, spec) && !hasAllPermissions(state, spec)),
    );
  }
  const writes = env.sandbox.log.entries
    .filter((entry) => entry.write && !isObjectCall(entry))
    .map(({ operation }) => operation);

  await traffic.write();
  const pruneAgain = async () => {
    const outcome = await env.reconcileWith(REMOVING, {
      prune: true,
      thresholds: { maxRemovals: 50 },
      allowedRisks: passes === 1 ? ['lose-in-flight', 'remove-pair'] : ['remove-pair'],
      ...(passes === 1 && { drainMs: 0 }),
    });
    return outcome.remaining?.waves ?? outcome.plan.waves;
  };
  let remainingWaves = await pruneAgain();
  for (let pass = 1; pass < passes; pass++) {
    expect(remainingWaves).toEqual([]);
    time.offsetMs += AFTER_DRAIN_MS;
    remainingWaves = await pruneAgain();
  }
  traffic.endOfChange();
  await traffic.write();
  return {
    state: stateOf(env.sandbox),
    written: traffic.written(),
    lostObjects: traffic.losses(),
    writes: writes.sort(),
    killed,
    remainingWaves,
    specsWithoutPermissions,
  };
}

const hasEnabledRule = ({ sandbox }: TestEnv, spec: string): boolean =>
  [...sandbox.store.buckets()].some(({ replication }) =>
    replication?.Rules?.some(({ ID, Status }) => Status === 'Enabled' && ID?.startsWith(`replikey/${spec}/`)),
  );

/** Whether every statement of a spec exists: two for each key, and those of its role. */
function hasAllPermissions(state: string, spec: string): boolean {
  const name = spec.charAt(0).toUpperCase() + spec.slice(1);
  const count = (subject: string) => state.split(`Replikey${subject}${name}`).length - 1;
  return count('SourceKey') === 2 && count('DestinationKey') === 2 && count('SourceObjects') === 1;
}
