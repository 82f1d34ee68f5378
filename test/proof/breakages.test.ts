import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { Facts } from '../../src/core/facts.ts';
import { diagnose, diagnoseObject } from '../../src/doctor/diagnose.ts';
import { FINDING_CODES, type Finding, type FindingDefinition } from '../../src/proof/findings.ts';
import { fixCommands } from '../../src/proof/fix-commands.ts';
import type { RuleProof } from '../../src/proof/types.ts';
import type { ReplicationState } from '../../src/sandbox/state.ts';
import { propertyBudget } from '../support/property-budget.ts';
import { runCommands } from '../support/run-commands.ts';
import { BREAKAGES, type Breakage, HARMLESS, OBJECTS, PAIRS } from './breakages.ts';
import { type Break, type Pair, workingPair } from './breaking.ts';

const PAIR_NAMES = Object.keys(PAIRS) as (keyof typeof PAIRS)[];
const OBJECT_NAMES = Object.keys(OBJECTS) as (keyof typeof OBJECTS)[];

const USUAL_PAIR = 'in one account';
const USUAL_OBJECT = 'with a Bucket Key';
const KEY = 'Tax/2026.pdf';

const pairsByName = new Map<string, Promise<Pair>>();
afterAll(async () => {
  for (const pair of pairsByName.values()) await (await pair).world[Symbol.asyncDispose]();
});

test.each(PAIR_NAMES)(
  'unbroken pair %s: replicates every kind of object that the rule selects',
  async (name) => {
    const pair = await theWorkingPair(name);
    const [selected, skipped] = [true, false].map((wanted) =>
      OBJECT_NAMES.filter((object) => Boolean(isSelected(pair, object)) === wanted),
    );
    for (const object of selected ?? [])
      expect((await write(pair, object, `Tax/${object}`))?.status).toBe('COMPLETED');
    expect(await doctor(pair)).toMatchObject({ verdict: 'proven', findings: [] });
    for (const object of skipped ?? [])
      expect((await write(pair, object, `Tax/${object}`))?.status).toBeUndefined();
  },
);

describe.each(Object.entries(BREAKAGES))('%s', (_, rows) => {
  test.each(rows.map((row) => [titleOf(row), row] as const))('%s', (_, row) => checkBreakage(row));
});

describe('harmless change: the rule stays proven', () => {
  test.each(HARMLESS.map((row) => [row.when, row] as const))('%s', async (_, row) => {
    const pair = await theWorkingPair(row.pair ?? USUAL_PAIR);
    await row.breaks(pair);
    expect(await write(pair, row.object ?? USUAL_OBJECT, KEY)).toMatchObject({ status: 'COMPLETED' });
    expect(await doctor(pair)).toMatchObject({ verdict: 'proven' });
  });
});

/** Returns the rows that can be combined: applied by calls, corrected by fixes, and valid for any object key. */
const rowsOf = (name: keyof typeof PAIRS): Breakage[] =>
  Object.values(BREAKAGES)
    .flat()
    .filter(({ pair = USUAL_PAIR }) => pair === name)
    .filter(({ meanwhile, byHand, key }) => !meanwhile && byHand === undefined && key === undefined);

const combinedBreakages = fc.constantFrom(USUAL_PAIR, 'across accounts').chain((name) =>
  fc.record({
    name: fc.constant(name),
    rows: fc.subarray(rowsOf(name), { minLength: 2, maxLength: 3 }),
    object: fc.constantFrom('with tags', 'with tags, without a Bucket Key'),
  }),
);
const limits = propertyBudget(60, 6);

test(
  'several breakages: the doctor reports the cause that S3 encounters first, and its fixes correct all',
  limits.test,
  async () => {
    await fc.assert(
      fc.asyncProperty(combinedBreakages, async ({ name, rows, object }) => {
        const pair = await theWorkingPair(name);
        fc.pre(await canAllBreak(pair, rows));

        const outcome = await write(pair, object, KEY);
        const { client } = pair.world;
        const { proof } = await diagnoseObject(client, pair.source.bucket, KEY, {
          locations: pair.locations,
          now: Date.now,
        });
        const [first] = proof.taken.flatMap(({ findings }) => errorsOf(findings));
        // A rule that does not select the object gives no result.
        expect(first?.failureReason).toBe(outcome?.attempts[0]?.reason);

        await checkFixes(pair, object);
      }),
      limits.property,
    );
  },
);

/**
 * Applies the fixes that the doctor prints. Either the rule is then proven and S3 replicates, or each remaining error
 * names the step that needs a person.
 */
async function checkFixes(pair: Pair, object: keyof typeof OBJECTS): Promise<void> {
  // A changed rule may require further permissions.
  for (let round = 0; round < 2; round++) await fixErrors(pair);
  const { verdict, findings } = await doctor(pair);
  const errors = errorsOf(findings);
  if (errors.length > 0) {
    for (const { fixes, message } of errors) {
      expect(fixes).toEqual([]);
      expect(message).toContain('Manual step');
    }
    return;
  }
  expect(verdict).toBe('proven');
  expect(await write(pair, object, `${KEY}.again`)).toMatchObject({ status: 'COMPLETED' });
}

describe('breakages whose fixes depend on each other', () => {
  const rowsNamed = (...names: string[]): Breakage[] =>
    names.map((name) => {
      const row = Object.values(BREAKAGES)
        .flat()
        .find(({ when }) => when === name);
      if (!row) throw new Error(`no breakage is called "${name}"`);
      return row;
    });
  test.each([
    [
      'the replica key is in the Region of the source',
      'the destination bucket was recreated without versioning',
      'the source has Object Lock, and the destination does not',
    ],
    [
      'the rule no longer selects KMS-encrypted objects',
      'the destination bucket was recreated without versioning',
    ],
    ['the replica key does not exist', 'the destination bucket was recreated without versioning'],
    [
      'the context of the replica key is that of the other bucket',
      'the permissions boundary allows KMS but not S3',
    ],
  ])('%s, %s: are fixed together, or the doctor names the manual step', async (...names) => {
    const pair = await theWorkingPair(USUAL_PAIR);
    for (const { breaks } of rowsNamed(...names)) await breaks(pair);
    await write(pair, 'with tags', KEY);
    await checkFixes(pair, 'with tags');
  });

  test('a recreated destination has no default key: the finding about the replica key names the manual step', async () => {
    const pair = await theWorkingPair(USUAL_PAIR);
    const rows = rowsNamed(
      'the replica key is in the Region of the source',
      'the destination bucket was recreated without versioning',
    );
    for (const { breaks } of rows) await breaks(pair);
    await fixErrors(pair);
    expect(errorsOf((await doctor(pair)).findings)).toMatchObject([
      {
        code: 'RK1205',
        fixes: [],
        message: expect.stringContaining('choose a key in us-west-2 that may encrypt the replicas'),
      },
    ]);
  });
});

/** Some breakages exclude each other: one removes a resource that another changes. */
async function canAllBreak(pair: Pair, rows: readonly Breakage[]): Promise<boolean> {
  try {
    for (const { breaks } of rows) await breaks(pair);
    return true;
  } catch {
    return false;
  }
}

test('catalogue: contains every finding code with a failure reason', () => {
  const kinds: [string, FindingDefinition][] = Object.entries(FINDING_CODES);
  const failing = kinds.filter(([, kind]) => kind.severity === 'error' && kind.failureReason !== undefined);
  const coveredCodes = new Set<string>(
    Object.values(BREAKAGES).flatMap((rows) => rows.map(({ code }) => code)),
  );
  // A missing source bucket has no object that could fail.
  expect(failing.map(([code]) => code).filter((code) => !coveredCodes.has(code))).toEqual(['RK1101']);
});

function isSelected({ world: env }: Pair, object: keyof typeof OBJECTS): boolean | undefined {
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

async function checkBreakage(row: Breakage): Promise<void> {
  const { breaks, object = USUAL_OBJECT, key = KEY, code, passedOver, byHand } = row;
  const pair = await theWorkingPair(row.pair ?? USUAL_PAIR);
  if (row.meanwhile) pair.meanwhile = () => void breaks(pair);
  else {
    await breaks(pair);
    // The doctor reports the cause before any object fails.
    expect((await doctor(pair, 0)).findings.map((finding) => finding.code)).toContain(code);
  }

  // The result of S3.
  const outcome = await write(pair, object, key);
  expect(outcome?.status).toBe(passedOver ? undefined : 'FAILED');

  // The diagnosis of the doctor.
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

  // The result of the fixes.
  await fixErrors(pair);
  expect(await doctor(pair)).toMatchObject({ verdict: 'proven' });
  expect(await write(pair, object, `${key}.again`)).toMatchObject({ status: 'COMPLETED' });
}

/** Returns a pair that is created once and restored before each test. */
async function theWorkingPair(name: keyof typeof PAIRS): Promise<Pair> {
  const { yaml, prepare }: { yaml: string; prepare?: Break } = PAIRS[name];
  const pair = pairsByName.get(name) ?? workingPair(yaml, prepare);
  pairsByName.set(name, pair);
  const { restore } = await pair;
  restore();
  return pair;
}

/** Writes an object or a delete marker, and returns its replication state. */
async function write(
  { world: env, source }: Pair,
  object: keyof typeof OBJECTS,
  Key: string,
): Promise<ReplicationState | undefined> {
  const Bucket = source.bucket;
  const { client, sandbox } = env;
  await client.send(source.at, new PutObjectCommand({ Bucket, Key, Body: 'numbers', ...OBJECTS[object] }));
  if (object === 'a delete marker') await client.send(source.at, new DeleteObjectCommand({ Bucket, Key }));
  await sandbox.waitForReplication();
  return sandbox.store.bucket(Bucket)?.objects.get(Key)?.[0]?.replication;
}

const errorsOf = (findings: readonly Finding[]): Finding[] =>
  findings.filter(({ severity }) => severity === 'error');

/** Runs the commands that the doctor prints for all errors. */
async function fixErrors(pair: Pair): Promise<void> {
  const { findings, facts } = await doctor(pair);
  const fixes = errorsOf(findings).flatMap((finding) => finding.fixes);
  const commands = fixCommands(fixes, facts).map(({ command }) => command);
  await runCommands(pair.world.client, pair.locations, pair.source.at, commands);
}

async function doctor(
  { world: env, locations, source }: Pair,
  sample = 10,
): Promise<RuleProof & { facts: Facts }> {
  const { proofs, facts } = await diagnose(env.client, [source.bucket], {
    locations,
    sampleSize: sample,
    now: Date.now,
  });
  const [proof] = proofs;
  if (!proof) throw new Error('the bucket has no rule');
  return { ...proof, facts };
}
