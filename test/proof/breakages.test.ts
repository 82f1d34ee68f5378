import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { diagnose, diagnoseObject } from '../../src/doctor/diagnose.ts';
import { FINDING_CODES, type Finding, type FindingDefinition } from '../../src/proof/findings.ts';
import type { RuleProof } from '../../src/proof/types.ts';
import type { ReplicationState } from '../../src/sandbox/state.ts';
import { applyFixes } from '../support/apply-fix.ts';
import { propertyBudget } from '../support/property-budget.ts';
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

/** Rows that can go together: done by calls, healed by fixes, and striking objects of any name. */
const rowsOf = (name: keyof typeof PAIRS): Breakage[] =>
  Object.values(BREAKAGES)
    .flat()
    .filter(({ pair = USUAL_PAIR }) => pair === name)
    .filter(({ meanwhile, byHand, key }) => !meanwhile && byHand === undefined && key === undefined);

const someBreakages = fc.constantFrom(USUAL_PAIR, 'across accounts').chain((name) =>
  fc.record({
    name: fc.constant(name),
    rows: fc.subarray(rowsOf(name), { minLength: 2, maxLength: 3 }),
    object: fc.constantFrom('with tags', 'with tags, without a Bucket Key'),
  }),
);
const limits = propertyBudget(60, 6);

test(
  'of several breakages at once the doctor names that which S3 meets first, and its fixes heal them all',
  limits.test,
  async () => {
    await fc.assert(
      fc.asyncProperty(someBreakages, async ({ name, rows, object }) => {
        const pair = await theWorkingPair(name);
        fc.pre(await canAllBreak(pair, rows));

        const outcome = await write(pair, object, KEY);
        const { door } = pair.world;
        const { taken } = await diagnoseObject(door, pair.source.bucket, KEY, pair.atlas);
        const [first] = taken.flatMap(({ findings }) => errorsOf(findings));
        // A rule that does not take the object says nothing of what it would meet.
        expect(first?.failureReason).toBe(outcome?.attempts[0]?.reason);

        // A rule that is changed asks for permissions that it did not ask for before.
        for (let round = 0; round < 2; round++) await heal(pair);
        expect(await doctor(pair)).toMatchObject({ verdict: 'proven' });
        expect(await write(pair, object, `${KEY}.again`)).toMatchObject({ status: 'COMPLETED' });
      }),
      limits.property,
    );
  },
);

/** Some breakages exclude each other: what one takes away, another cannot change. */
async function canAllBreak(pair: Pair, rows: readonly Breakage[]): Promise<boolean> {
  try {
    for (const { breaks } of rows) await breaks(pair);
    return true;
  } catch {
    return false;
  }
}

test('the catalogue has every code that an object fails with', () => {
  const kinds: [string, FindingDefinition][] = Object.entries(FINDING_CODES);
  const failing = kinds.filter(([, kind]) => kind.severity === 'error' && kind.failureReason !== undefined);
  const told = new Set<string>(Object.values(BREAKAGES).flatMap((rows) => rows.map(({ code }) => code)));
  // In a bucket that does not exist there is no object.
  expect(failing.map(([code]) => code).filter((code) => !told.has(code))).toEqual(['RK1101']);
});

function takes({ world: env }: Pair, object: keyof typeof OBJECTS): boolean | undefined {
  const [rule] = env.specs.pairs[0]?.rules ?? [];
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
  else {
    await breaks(pair);
    // It is foreseen before any object fails of it.
    expect((await doctor(pair, 0)).findings.map((one) => one.code)).toContain(code);
  }

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
  if (byHand !== undefined) {
    expect(findings[0]?.fixes).toEqual([]);
    return;
  }

  // What its fixes make of it.
  await heal(pair);
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
  { world: env, source }: Pair,
  object: keyof typeof OBJECTS,
  Key: string,
): Promise<ReplicationState | undefined> {
  const Bucket = source.bucket;
  const { door, sandbox } = env;
  await door.send(source.at, new PutObjectCommand({ Bucket, Key, Body: 'numbers', ...OBJECTS[object] }));
  if (object === 'a delete marker') await door.send(source.at, new DeleteObjectCommand({ Bucket, Key }));
  await sandbox.waitForReplication();
  return sandbox.store.bucket(Bucket)?.objects.get(Key)?.[0]?.replication;
}

const errorsOf = (findings: readonly Finding[]): Finding[] =>
  findings.filter(({ severity }) => severity === 'error');

/** Carry out all fixes of errors, as the doctor prints them. */
async function heal(pair: Pair): Promise<void> {
  const { findings } = await doctor(pair);
  const fixes = errorsOf(findings).flatMap((one) => one.fixes);
  await applyFixes(pair.world.door, pair.atlas, fixes);
}

async function doctor({ world: env, atlas, source }: Pair, sample = 10): Promise<RuleProof> {
  const { proofs } = await diagnose(env.door, [source.bucket], {
    locations: atlas,
    sampleSize: sample,
    now: new Date(),
  });
  const [proof] = proofs;
  if (!proof) throw new Error('there is nothing to prove');
  return proof;
}
