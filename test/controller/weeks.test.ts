import { DeleteBucketReplicationCommand } from '@aws-sdk/client-s3';
import { expect, test, vi } from 'vitest';
import { controlling } from '../support/controlling.ts';
import { aWorld, TAX } from '../support/world.ts';

const HOUR = 3_600_000;
const BOOKS = TAX.replaceAll('tax', 'books').replace('Tax/', 'Books/');

test('three simulated weeks: drift is found and healed within an interval, nothing else is written or said, nothing is kept', async () => {
  await using world = await aWorld();
  const { controller, clock, lines, idle } = controlling(world, { intervalMs: 12 * HOUR, workers: 2 });
  const written = (tax: string) => ({
    files: [tax, BOOKS].map((text, index) => ({ file: `specs/${index}.yaml`, bytes: Buffer.from(text) })),
    problems: [],
  });
  const conditions = (name: string) => controller.status().pairs.find((one) => one.name === name)?.conditions;

  controller.update(written(TAX));
  await idle();
  const logged = lines.length;
  world.sandbox.log.reset();
  let changes = 0;
  for (let day = 1; day <= 21; day++) {
    // On every third day somebody changes something by hand; on every seventh the spec changes; on the fifth AWS throttles.
    if (day % 3 === 0) {
      await world.door.send(
        { region: 'us-east-1' },
        new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }),
      );
      changes += 2;
    }
    if (day % 7 === 0) {
      controller.update(
        written(TAX.replace('prefix: Tax/', `prefix: Tax/\n      metrics: ${day % 2 === 0}`)),
      );
      await idle();
      changes += 1;
    }
    if (day % 5 === 0) world.sandbox.knobs.faults = [{ match: '*', nth: 1, times: 3, what: 'throttle' }];
    for (let round = 0; round < 2; round++) {
      await clock.pass(12 * HOUR);
      await idle();
      if (day % 3 === 0 && round === 0)
        await vi.waitFor(() => expect(conditions('tax')?.Drifted.reason).toBe('Healed'), { timeout: 5_000 });
    }
    for (const name of ['tax', 'books'])
      expect(conditions(name)?.Ready, `day ${day}`).toMatchObject({ status: 'True' });
    // What is due later is one look for each pair, and what is being said; not more with the days.
    expect(clock.pending).toBeLessThanOrEqual(6);
  }
  const writes = world.sandbox.log.entries.filter(({ write }) => write);
  expect(writes.length).toBeLessThanOrEqual(changes);
  expect(new Set(writes.map(({ operation }) => operation))).toEqual(
    new Set(['DeleteBucketReplication', 'PutBucketReplication']),
  );
  expect(lines.length - logged).toBeLessThan(changes * 4);
  expect(controller.status().pairs[0]?.changes.length).toBeLessThanOrEqual(10);
  await controller.drain();
  expect(clock.pending).toBe(0);
}, 120_000);
