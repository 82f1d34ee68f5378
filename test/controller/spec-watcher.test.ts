import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type SpecFiles, type SpecWatcher, watchSpecs } from '../../src/controller/spec-watcher.ts';
import { systemClock } from '../../src/util/clock.ts';
import { fakeClock } from '../support/fake-clock.ts';

let folder: string;
let watching: SpecWatcher | undefined;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-watch-'));
});
afterEach(async () => {
  watching?.close();
  await rm(folder, { recursive: true, force: true });
});

const texts = ({ files }: SpecFiles) => files.map(({ bytes }) => Buffer.from(bytes).toString());

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
  const onChange = (written: SpecFiles) => seen.push(...texts(written));
  watching = await watchSpecs([folder], { clock: systemClock, pollIntervalMs: 50, onChange });
  expect(seen).toEqual(['first: 1']);
  for (let count = 2; count <= 10; count++) {
    await swap(`number: ${count}`);
    await vi.waitFor(() => expect(seen.at(-1)).toBe(`number: ${count}`), { timeout: 5_000, interval: 10 });
  }
  expect(seen).toHaveLength(10);
});

describe('without waiting for the next look, it sees', () => {
  /** A watch that looks again only where the system gives notice. */
  async function noticing(...paths: string[]): Promise<() => string[]> {
    let last: SpecFiles | undefined;
    watching = await watchSpecs(paths, {
      clock: systemClock,
      pollIntervalMs: 1e9,
      onChange: (written) => {
        last = written;
      },
    });
    return () => (last ? texts(last) : []);
  }

  test('the worktrees that git-sync swaps, of which the old ones are taken away', async () => {
    const worktree = async (text: string) => {
      const hash = createHash('sha1').update(text).digest('hex');
      await mkdir(path.join(folder, '.worktrees', hash, 'specs'), { recursive: true });
      await writeFile(path.join(folder, '.worktrees', hash, 'specs', 'a.yaml'), text);
      const before = await readlink(path.join(folder, 'current')).catch(() => undefined);
      await symlink(path.join('.worktrees', hash), path.join(folder, 'next'));
      await rename(path.join(folder, 'next'), path.join(folder, 'current'));
      if (before !== undefined) await rm(path.join(folder, before), { recursive: true });
    };
    await worktree('first: 1');
    const seen = await noticing(path.join(folder, 'current', 'specs'));
    for (let count = 2; count <= 5; count++) {
      await worktree(`number: ${count}`);
      await vi.waitFor(() => expect(seen()).toEqual([`number: ${count}`]), 5_000);
    }
  });

  test('one file of a volume whose link is swapped', async () => {
    const swap = await volume(folder);
    await swap('first: 1');
    const seen = await noticing(path.join(folder, 'spec.yaml'));
    for (let count = 2; count <= 5; count++) {
      await swap(`number: ${count}`);
      await vi.waitFor(() => expect(seen()).toEqual([`number: ${count}`]), 5_000);
    }
  });

  test('a file that is replaced again and again, and one in a folder within', async () => {
    await mkdir(path.join(folder, 'deep', 'deeper'), { recursive: true });
    const inner = path.join(folder, 'deep', 'deeper', 'b.yaml');
    const outer = path.join(folder, 'a.yaml');
    await writeFile(outer, 'a: 1');
    await writeFile(inner, 'b: 1');
    const seen = await noticing(folder);
    for (let count = 2; count <= 4; count++)
      for (const [file, name] of [
        [outer, 'a'],
        [inner, 'b'],
      ] as const) {
        await writeFile(`${file}.new`, `${name}: ${count}`);
        await rename(`${file}.new`, file);
        await vi.waitFor(() => expect(seen()).toContain(`${name}: ${count}`), 5_000);
      }
  });

  test('a change, however much else goes on beside it', async () => {
    await writeFile(path.join(folder, 'a.yaml'), 'first: 1');
    const seen = await noticing(folder);
    const busy = setInterval(() => void writeFile(path.join(folder, 'noise.txt'), String(Date.now())), 10);
    try {
      await writeFile(path.join(folder, 'a.yaml'), 'second: 2');
      await vi.waitFor(() => expect(seen()).toEqual(['second: 2']), 5_000);
    } finally {
      clearInterval(busy);
    }
  });

  test('a folder that is put in the place of another', async () => {
    const specs = path.join(folder, 'specs');
    await mkdir(specs);
    await writeFile(path.join(specs, 'a.yaml'), 'first: 1');
    const seen = await noticing(specs);
    for (let count = 2; count <= 4; count++) {
      await rm(specs, { recursive: true });
      await vi.waitFor(() => expect(seen()).toEqual([]), 5_000);
      await mkdir(specs);
      await writeFile(path.join(specs, 'a.yaml'), `number: ${count}`);
      await vi.waitFor(() => expect(seen()).toEqual([`number: ${count}`]), 5_000);
    }
  });
});

test('a notice of the system is not waited for: the clock is enough; and nothing is told where nothing changed', async () => {
  const clock = fakeClock();
  await writeFile(path.join(folder, 'a.yaml'), 'one');
  const seen: SpecFiles[] = [];
  watching = await watchSpecs([path.join(folder, 'a.yaml')], {
    clock,
    pollIntervalMs: 10_000,
    onChange: (written) => seen.push(written),
  });
  await clock.advance(30_000);
  expect(seen).toHaveLength(1);
  await writeFile(path.join(folder, 'a.yaml'), 'two');
  await vi.waitFor(async () => {
    await clock.advance(10_000);
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
    pollIntervalMs: 80,
    onChange: (written) => seen.push(...texts(written)),
  });
  for (const piece of ['rules: [', 'rules: [one]', 'rules: [one, two, three]']) {
    await writeFile(file, piece);
    await clock.advance(80);
    // The look is through, and both that of every so often and that which is to confirm it are due.
    await vi.waitFor(() => expect(clock.pending).toBe(2));
    expect(seen).toEqual(['rules: [one, two]']);
  }
  await vi.waitFor(async () => {
    await clock.advance(100);
    expect(seen).toEqual(['rules: [one, two]', 'rules: [one, two, three]']);
  });
});

test('a folder that vanishes is told as a problem, and looked for again', async () => {
  await writeFile(path.join(folder, 'a.yaml'), 'one');
  const seen: SpecFiles[] = [];
  watching = await watchSpecs([folder], {
    clock: systemClock,
    pollIntervalMs: 20,
    onChange: (one) => seen.push(one),
  });
  await rm(folder, { recursive: true });
  await vi.waitFor(() => expect(seen.at(-1)?.problems[0]?.message).toContain('there is no such file'));
  await mkdir(folder);
  await writeFile(path.join(folder, 'a.yaml'), 'again');
  await vi.waitFor(() => expect(texts(seen.at(-1) as SpecFiles)).toEqual(['again']));
});

test('it can be told to look at once', async () => {
  const clock = fakeClock();
  await writeFile(path.join(folder, 'a.yaml'), 'one');
  const seen: SpecFiles[] = [];
  watching = await watchSpecs([folder], { clock, pollIntervalMs: 1e9, onChange: (one) => seen.push(one) });
  await writeFile(path.join(folder, 'a.yaml'), 'two');
  await watching.reload();
  expect(seen.map(texts)).toEqual([['one'], ['two']]);
});
