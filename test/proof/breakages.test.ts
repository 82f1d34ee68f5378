import { DeleteObjectCommand, PutObjectCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { atlasOf } from '../../src/doctor/atlas.ts';
import { examine } from '../../src/doctor/examine.ts';
import { CODES, type FindingKind } from '../../src/proof/codes.ts';
import type { RuleProof } from '../../src/proof/types.ts';
import type { VersionState } from '../../src/sandbox/state.ts';
import { carryOut } from '../support/fix.ts';
import { aWorld, type World } from '../support/world.ts';
import { BREAKAGES, type ObjectSort } from './breakages.ts';

/**
 * The proof is held against the outcome: a pair that works is broken in one way, an object fails, and what the doctor
 * says first must be why; then its fixes are carried out as they are printed, and the next object replicates.
 */
describe('a pair that is broken so that', () => {
  test.concurrent.each(
    BREAKAGES.map((one) => ({ ...one, object: one.object ?? ('with a Bucket Key' as const) })),
  )('$name ($object)', async ({ breaks, code, object, across, noFix, silent, meanwhile }) => {
    await using world = await aWorld(across ? ACROSS : PAIR);
    await world.reconcile();
    const write = writer(world, object);
    expect((await write('Tax/2025.pdf'))?.replication?.status, 'before').toBe('COMPLETED');
    if (!meanwhile) await breaks(world);
    const version = await write('Tax/2026.pdf', meanwhile && breaks);
    expect(version?.replication?.status, 'broken').toBe(silent ? undefined : 'FAILED');

    const proof = await diagnosed(world);
    const [first] = proof.findings;
    expect(first?.code, first?.message).toBe(code);
    const { failureReason } = CODES[code] as FindingKind;
    if (!silent) expect(version?.replication?.attempts[0]?.reason).toBe(failureReason);

    const fixes = errorsOf(proof).flatMap((one) => one.fixes);
    if (noFix !== undefined) {
      expect(fixes, noFix).toEqual([]);
      return;
    }
    await carryOut(world, fixes);
    // A rule that is changed asks for permissions that it did not ask for before.
    await carryOut(
      world,
      errorsOf(await diagnosed(world)).flatMap((one) => one.fixes),
    );
    const healed = await write('Tax/2027.pdf');
    expect(healed?.replication?.status, JSON.stringify(healed?.replication)).toBe('COMPLETED');
    expect((await diagnosed(world)).verdict).toBe('proven');
  });
});

test('the catalogue names every code that an object can fail with, and is long', () => {
  const failing = Object.entries(CODES as Record<string, FindingKind>)
    .filter(([, { severity, failureReason }]) => severity === 'error' && failureReason !== undefined)
    .map(([code]) => code);
  const told = new Set<string>(BREAKAGES.map(({ code }) => code));
  // Without its bucket, its configuration or its key there is no object to look at.
  expect(failing.filter((code) => !told.has(code))).toEqual(['RK1001', 'RK1101', 'RK1202']);
  expect(BREAKAGES.length).toBeGreaterThanOrEqual(60);
});

const errorsOf = ({ findings }: RuleProof) => findings.filter(({ severity }) => severity === 'error');

/** What the doctor says of the rule. */
async function diagnosed({ door, specs }: World): Promise<RuleProof> {
  const atlas = atlasOf(specs, 'us-east-1');
  const { proofs } = await examine(door, ['acme-tax'], { atlas, sample: 20, now: new Date() });
  const [proof] = proofs;
  if (!proof) throw new Error('the doctor said nothing');
  return proof;
}

/** Writes an object of a sort, or deletes one, and waits until S3 has nothing left to do. */
function writer(world: World, sort: ObjectSort) {
  const { door, sandbox, specs } = world;
  const at = { region: 'us-east-1', ...(specs.accounts.length > 0 ? { account: 'main' } : {}) };
  const how: Partial<Record<ObjectSort, Partial<PutObjectCommandInput>>> = {
    'without a Bucket Key': { BucketKeyEnabled: false },
    'encrypted by S3 alone': { ServerSideEncryption: 'AES256' },
    'with tags': { Tagging: 'a=b' },
  };
  return async (
    Key: string,
    meanwhile?: (world: World) => Promise<unknown>,
  ): Promise<VersionState | undefined> => {
    if (meanwhile) sandbox.knobs.replicationDelayMs = 300;
    await door.send(at, new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'numbers', ...how[sort] }));
    await meanwhile?.(world);
    await sandbox.replicated();
    sandbox.knobs.replicationDelayMs = 0;
    if (sort === 'a delete marker') await door.send(at, new DeleteObjectCommand({ Bucket: 'acme-tax', Key }));
    await sandbox.replicated();
    return sandbox.store.bucket('acme-tax')?.objects.get(Key)?.[0];
  };
}

const spec = (source: string, destination: string) => `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: tax }
spec:
  source: { bucket: acme-tax, region: us-east-1, key: alias/acme-tax${source} }
  destination: { bucket: acme-tax-replica, region: us-west-2, key: alias/acme-tax-replica${destination} }
  role: { name: replikey-acme-tax }
  rules:
    - { name: tax, prefix: Tax/, deleteMarkerReplication: true }
`;
const account = (name: string, id: string) => `apiVersion: replikey.dev/v1
kind: Account
metadata: { name: ${name} }
spec: { id: "${id}", profile: ${name} }
---
`;
const PAIR = spec('', '');
const ACROSS = `${account('main', '111122223333')}${account('backup', '444455556666')}${spec(', account: main', ', account: backup')}`;
