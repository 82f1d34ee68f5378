import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, describe, expect, test } from 'vitest';
import { examine } from '../../src/doctor/examine.ts';
import { CODES, type FindingKind } from '../../src/proof/codes.ts';
import type { RuleProof } from '../../src/proof/types.ts';
import type { ReplicationState } from '../../src/sandbox/state.ts';
import { applyFixes } from '../support/apply-fix.ts';
import { BREAKAGES, type Breakage, HARMLESS, OBJECTS, PAIRS } from './breakages.ts';
import { type Break, type Pair, workingPair } from './breaking.ts';

const PAIR_NAMES = Object.keys(PAIRS) as (keyof typeof PAIRS)[];
const OBJECT_NAMES = Object.keys(OBJECTS) as (keyof typeof OBJECTS)[];

const USUAL_PAIR = 'in one account';
const USUAL_OBJECT = 'with a Bucket Key';
const KEY = 'Tax/2026.pdf';

const made = new Map<string, Promise<Pair>>();
afterAll(async () => {
  for (const pair of made.values()) await (await pair).world[Symbol.asyncDispose]();
});

test.each(PAIR_NAMES)('a pair %s works, whatever is written', async (name) => {
  const pair = await theWorkingPair(name);
  for (const object of OBJECT_NAMES) {
    const status = takes(pair, object) ? 'COMPLETED' : undefined;
    expect((await write(pair, object, `Tax/${object}`))?.status).toBe(status);
  }
  expect(await doctor(pair)).toMatchObject({ verdict: 'proven', findings: [] });
});

describe.each(Object.entries(BREAKAGES))('%s', (_, rows) => {
  test.each(rows.map((row) => [titleOf(row), row] as const))('%s', (_, row) => isNamedAndHealed(row));
});

describe('no alarm is raised where', () => {
  test.each(HARMLESS.map((row) => [row.when, row] as const))('%s', async (_, row) => {
    const pair = await theWorkingPair(row.pair ?? USUAL_PAIR);
    await row.breaks(pair);
    expect(await write(pair, row.object ?? USUAL_OBJECT, KEY)).toMatchObject({ status: 'COMPLETED' });
    expect(await doctor(pair)).toMatchObject({ verdict: 'proven' });
  });
});

test('the catalogue has every code that an object fails with', () => {
  const kinds: [string, FindingKind][] = Object.entries(CODES);
  const failing = kinds.filter(([, kind]) => kind.severity === 'error' && kind.failureReason !== undefined);
  const told = new Set<string>(Object.values(BREAKAGES).flatMap((rows) => rows.map(({ code }) => code)));
  // In a bucket that does not exist there is no object.
  expect(failing.map(([code]) => code).filter((code) => !told.has(code))).toEqual(['RK1101']);
});

function takes({ world }: Pair, object: keyof typeof OBJECTS): boolean | undefined {
  const [rule] = world.specs.pairs[0]?.rules ?? [];
  if (object === 'a delete marker') return rule?.deleteMarkerReplication;
  return (
    rule?.sseKmsEncryptedObjects ||
    !('ServerSideEncryption' in OBJECTS[object]) ||
    object === 'encrypted by S3 itself'
  );
}

function titleOf({ when, pair, object }: Breakage): string {
  return [when, pair && `(a pair ${pair})`, object && `(an object ${object})`].filter(Boolean).join(' ');
}

async function isNamedAndHealed(row: Breakage): Promise<void> {
  const { breaks, object = USUAL_OBJECT, key = KEY, code, passedOver, byHand } = row;
  const pair = await theWorkingPair(row.pair ?? USUAL_PAIR);
  if (row.meanwhile) pair.meanwhile = () => void breaks(pair);
  else await breaks(pair);

  // What S3 makes of it.
  const outcome = await write(pair, object, key);
  expect(outcome?.status).toBe(passedOver ? undefined : 'FAILED');

  // What the doctor says of it.
  const { verdict, findings } = await doctor(pair);
  expect(findings[0]).toMatchObject({ code });
  if (!passedOver) {
    expect(findings[0]?.failureReason).toBe(outcome?.attempts[0]?.reason);
    expect(verdict).toBe('broken');
  }
  const fixes = findings.filter(({ severity }) => severity === 'error').flatMap((one) => one.fixes);
  if (byHand !== undefined) {
    expect(findings[0]?.fixes).toEqual([]);
    return;
  }

  // What its fixes make of it.
  await applyFixes(pair.world.door, pair.atlas, fixes);
  expect(await doctor(pair)).toMatchObject({ verdict: 'proven' });
  expect(await write(pair, object, `${key}.again`)).toMatchObject({ status: 'COMPLETED' });
}

/** A pair is made once, and put back before each test. */
async function theWorkingPair(name: keyof typeof PAIRS): Promise<Pair> {
  const { yaml, prepare }: { yaml: string; prepare?: Break } = PAIRS[name];
  const pair = made.get(name) ?? workingPair(yaml, prepare);
  made.set(name, pair);
  const { restore } = await pair;
  restore();
  return pair;
}

/** Write an object, or a delete marker over one, and see what became of it. */
async function write(
  { world, source }: Pair,
  object: keyof typeof OBJECTS,
  Key: string,
): Promise<ReplicationState | undefined> {
  const Bucket = source.bucket;
  const { door, sandbox } = world;
  await door.send(source.at, new PutObjectCommand({ Bucket, Key, Body: 'numbers', ...OBJECTS[object] }));
  if (object === 'a delete marker') await door.send(source.at, new DeleteObjectCommand({ Bucket, Key }));
  await sandbox.replicated();
  return sandbox.store.bucket(Bucket)?.objects.get(Key)?.[0]?.replication;
}

async function doctor({ world, atlas, source }: Pair): Promise<RuleProof> {
  const { proofs } = await examine(world.door, [source.bucket], { atlas, sample: 10, now: new Date() });
  const [proof] = proofs;
  if (!proof) throw new Error('there is nothing to prove');
  return proof;
}
