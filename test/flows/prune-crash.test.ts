import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pLimit from 'p-limit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RequestEntry } from '../../src/sandbox/admin-api.ts';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { stateOf } from '../support/state.ts';

const ACCOUNTS = ['main 111122223333', 'backup 444455556666']
  .map((one) => one.split(' '))
  .map(
    ([name, id]) =>
      `apiVersion: replikey.dev/v1\nkind: Account\nmetadata: { name: ${name} }\nspec: { id: "${id}", profile: ${name} }\n---\n`,
  )
  .join('');
const GIVEN = `${ACCOUNTS}${TAX_SPEC.replaceAll('region: ', 'account: main, region: ')}  role: { name: shared }\n`;
/** Two that are gone: one has a role of its own and a destination in another account, one shares the role of the other. */
const GONE = `apiVersion: replikey.dev/v1
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
const REMOVING = `${GIVEN}  policy: { deletion: Remove }\n`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-prune-'));
  // The access key tells the sandbox whose it is.
  const profiles = [
    ['main', '111122223333'],
    ['backup', '444455556666'],
  ].map(([name, id]) => `[${name}]\naws_access_key_id = ${id}\naws_secret_access_key = test\n`);
  await writeFile(path.join(folder, 'credentials'), profiles.join(''));
});
afterAll(() => rm(folder, { recursive: true }));

/** Kill the program with SIGKILL after every write of a pass that prunes, before its answer arrives, and run it again. */
it('what is left of specs goes in the end, whenever a run that takes it away was killed', {
  timeout: 120_000,
}, async () => {
  const undisturbed = await crashed();
  expect(undisturbed.writes).toEqual(
    [
      'DeleteBucketReplication',
      'DeleteBucketReplication',
      'PutKeyPolicy',
      'PutKeyPolicy',
      'PutKeyPolicy',
      'PutKeyPolicy',
      'DeleteBucketPolicy',
      'PutRolePolicy',
      'DeleteRolePolicy',
      'DeleteRole',
    ].sort(),
  );
  expect(JSON.stringify(undisturbed.state)).not.toMatch(/Vault\b|Books\b/);

  const limit = pLimit(3);
  const outcomes = await Promise.all(
    undisturbed.writes.map((_, index) =>
      limit(async () => ({ nth: index + 1, ...(await crashed(index + 1)) })),
    ),
  );
  for (const { nth, state, killed, again, unserved } of outcomes) {
    const name = `killed after write ${nth}`;
    expect(killed, name).toBe(true);
    // Between the two runs no rule goes on without the permissions that it uses.
    expect(unserved, name).toEqual([]);
    expect(again, name).toEqual([]);
    expect(state, name).toEqual(undisturbed.state);
  }
});

/** One run that is killed at its nth write (or not at all), and then one that is not. */
async function crashed(nth?: number) {
  let child: ChildProcess | undefined;
  let open = 0;
  let count = 0;
  let killed = false;
  const onCall = async (entry: RequestEntry, now: 'before' | 'after') => {
    if (!child) return;
    if (now === 'before') open += 1;
    if (now === 'after' && entry.write && entry.service !== 'sts' && ++count === nth) {
      killed = true;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    if (now === 'after') open -= 1;
  };
  await using testEnvironment = await testEnv(`${REMOVING}---\n${GONE}`, { onCall });
  const made = await testEnvironment.reconcile();
  expect(made.remaining?.waves).toEqual([]);
  testEnvironment.sandbox.log.reset();
  const first = await runCli(['--once', '--prune', '--max-removals', '50', '-'], {
    endpoint: testEnvironment.sandbox.endpoint,
    input: REMOVING,
    env: { AWS_SHARED_CREDENTIALS_FILE: path.join(folder, 'credentials') },
    onStart: (started) => {
      child = started;
    },
  });
  if (nth === undefined) expect(first).toMatchObject({ code: 0 });
  // What was in flight when it died is still carried out, as AWS would.
  while (open > 0) await new Promise((resolve) => setImmediate(resolve));
  child = undefined;
  const writes = testEnvironment.sandbox.log.entries
    .filter(({ write }) => write)
    .map(({ operation }) => operation);

  const state = JSON.stringify(stateOf(testEnvironment.sandbox));
  const unserved = ['vault', 'books'].filter(
    (spec) => state.includes(`"replikey/${spec}/`) && !servedAll(state, spec),
  );
  const second = await testEnvironment.reconcileWith(REMOVING, {
    prune: true,
    thresholds: { maxRemovals: 50 },
  });
  const again = second.remaining?.waves ?? second.plan.waves;
  return { state: stateOf(testEnvironment.sandbox), writes: writes.sort(), killed, again, unserved };
}

/** Whether every statement of a spec is in place: two in each policy of a key, and those of its role. */
function servedAll(state: string, spec: string): boolean {
  const name = spec.charAt(0).toUpperCase() + spec.slice(1);
  const count = (about: string) => state.split(`Replikey${about}${name}`).length - 1;
  return count('SourceKey') === 2 && count('DestinationKey') === 2 && count('SourceObjects') === 1;
}
