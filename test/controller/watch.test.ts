import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/controller/clock.ts';
import { type Watching, type Written, watchSpecs } from '../../src/controller/watch.ts';
import { fakeClock } from '../support/fake-clock.ts';

let folder: string;
let watching: Watching | undefined;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-watch-'));
});
afterEach(async () => {
  watching?.close();
  await rm(folder, { recursive: true, force: true });
});

const texts = ({ files }: Written) => files.map(({ bytes }) => Buffer.from(bytes).toString());

/** A volume as the kubelet writes it: files are links through `..data`, which one rename swaps. */
async function volume(root: string) {
  let count = 0;
  return async (text: string) => {
    const version = `..version-${count++}`;
    await mkdir(path.join(root, version));
    await writeFile(path.join(root, version, 'spec.yaml'), text);
    await symlink(version, path.join(root, '..data_tmp'));
    await rename(path.join(root, '..data_tmp'), path.join(root, '..data'));
    if (count === 1) await symlink('..data/spec.yaml', path.join(root, 'spec.yaml'));
  };
}

test('a volume whose link is swapped many times is read anew each time', async () => {
  const swap = await volume(folder);
  await swap('first: 1');
  const seen: string[] = [];
  const onChange = (written: Written) => seen.push(...texts(written));
  watching = await watchSpecs([folder], { clock: systemClock, everyMs: 50, onChange });
  expect(seen).toEqual(['first: 1']);
  for (let count = 2; count <= 10; count++) {
    await swap(`number: ${count}`);
    await vi.waitFor(() => expect(seen.at(-1)).toBe(`number: ${count}`), { timeout: 5_000, interval: 10 });
  }
  expect(seen).toHaveLength(10);
});

test('a notice of the system is not waited for: the clock is enough; and nothing is told where nothing changed', async () => {
  const clock = fakeClock();
  await writeFile(path.join(folder, 'a.yaml'), 'one');
  const seen: Written[] = [];
  watching = await watchSpecs([path.join(folder, 'a.yaml')], {
    clock,
    everyMs: 10_000,
    onChange: (written) => seen.push(written),
  });
  await clock.pass(30_000);
  expect(seen).toHaveLength(1);
  await writeFile(path.join(folder, 'a.yaml'), 'two');
  await vi.waitFor(async () => {
    await clock.pass(10_000);
    expect(seen.map(texts)).toEqual([['one'], ['two']]);
  });
});

test('a file that is being written is not told before it stays as it is: half of it may be a valid spec', async () => {
  const clock = fakeClock();
  const file = path.join(folder, 'a.yaml');
  await writeFile(file, 'rules: [one, two]');
  const seen: string[] = [];
  watching = await watchSpecs([file], {
    clock,
    everyMs: 80,
    onChange: (written) => seen.push(...texts(written)),
  });
  for (const piece of ['rules: [', 'rules: [one]', 'rules: [one, two, three]']) {
    await writeFile(file, piece);
    await clock.pass(80);
    // The look is through, and both that of every so often and that which is to confirm it are due.
    await vi.waitFor(() => expect(clock.pending).toBe(2));
    expect(seen).toEqual(['rules: [one, two]']);
  }
  await vi.waitFor(async () => {
    await clock.pass(100);
    expect(seen).toEqual(['rules: [one, two]', 'rules: [one, two, three]']);
  });
});

test('a folder that vanishes is told as a problem, and looked for again', async () => {
  await writeFile(path.join(folder, 'a.yaml'), 'one');
  const seen: Written[] = [];
  watching = await watchSpecs([folder], {
    clock: systemClock,
    everyMs: 20,
    onChange: (one) => seen.push(one),
  });
  await rm(folder, { recursive: true });
  await vi.waitFor(() => expect(seen.at(-1)?.problems[0]?.message).toContain('there is no such file'));
  await mkdir(folder);
  await writeFile(path.join(folder, 'a.yaml'), 'again');
  await vi.waitFor(() => expect(texts(seen.at(-1) as Written)).toEqual(['again']));
});

test('it can be told to look at once', async () => {
  const clock = fakeClock();
  await writeFile(path.join(folder, 'a.yaml'), 'one');
  const seen: Written[] = [];
  watching = await watchSpecs([folder], { clock, everyMs: 1e9, onChange: (one) => seen.push(one) });
  await writeFile(path.join(folder, 'a.yaml'), 'two');
  await watching.reload();
  expect(seen.map(texts)).toEqual([['one'], ['two']]);
});
