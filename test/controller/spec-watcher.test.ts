import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type SpecFiles, type SpecWatcher, watchSpecs } from '../../src/controller/spec-watcher.ts';
import { systemClock } from '../../src/util/clock.ts';
import { fakeClock } from '../support/fake-clock.ts';

let folder: string;
let watcher: SpecWatcher | undefined;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-watch-'));
});
afterEach(async () => {
  watcher?.close();
  await rm(folder, { recursive: true, force: true });
});

const texts = ({ files }: SpecFiles) => files.map(({ bytes }) => Buffer.from(bytes).toString());

/** Creates a volume as the kubelet writes it: files are links through `..data`, which one rename swaps. */
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

test('watchSpecs: the link of a volume is swapped repeatedly: reads each version', async () => {
  const swap = await volume(folder);
  await swap('first: 1');
  const received: string[] = [];
  const onChange = (specFiles: SpecFiles) => void received.push(...texts(specFiles));
  watcher = await watchSpecs([folder], { clock: systemClock, pollIntervalMs: 50, onChange });
  expect(received).toEqual(['first: 1']);
  for (let count = 2; count <= 10; count++) {
    await swap(`number: ${count}`);
    await vi.waitFor(() => expect(received.at(-1)).toBe(`number: ${count}`), {
      timeout: 5_000,
      interval: 10,
    });
  }
  expect(received).toHaveLength(10);
});

describe('watchSpecs without polling', () => {
  /** Starts a watcher that reads only after file system events. */
  async function watchEvents(...paths: string[]): Promise<() => string[]> {
    let latest: SpecFiles | undefined;
    watcher = await watchSpecs(paths, {
      clock: systemClock,
      pollIntervalMs: 1e9,
      onChange: (specFiles) => {
        latest = specFiles;
      },
    });
    return () => (latest ? texts(latest) : []);
  }

  test('git-sync swaps worktrees and deletes the old ones: reads each version', async () => {
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
    const latestTexts = await watchEvents(path.join(folder, 'current', 'specs'));
    for (let count = 2; count <= 5; count++) {
      await worktree(`number: ${count}`);
      await vi.waitFor(() => expect(latestTexts()).toEqual([`number: ${count}`]), 5_000);
    }
  });

  test('a single file of a volume whose link is swapped: reads each version', async () => {
    const swap = await volume(folder);
    await swap('first: 1');
    const latestTexts = await watchEvents(path.join(folder, 'spec.yaml'));
    for (let count = 2; count <= 5; count++) {
      await swap(`number: ${count}`);
      await vi.waitFor(() => expect(latestTexts()).toEqual([`number: ${count}`]), 5_000);
    }
  });

  test('files are replaced repeatedly, also in a subfolder: reads each version', async () => {
    await mkdir(path.join(folder, 'deep', 'deeper'), { recursive: true });
    const inner = path.join(folder, 'deep', 'deeper', 'b.yaml');
    const outer = path.join(folder, 'a.yaml');
    await writeFile(outer, 'a: 1');
    await writeFile(inner, 'b: 1');
    const latestTexts = await watchEvents(folder);
    for (let count = 2; count <= 4; count++)
      for (const [file, name] of [
        [outer, 'a'],
        [inner, 'b'],
      ] as const) {
        await writeFile(`${file}.new`, `${name}: ${count}`);
        await rename(`${file}.new`, file);
        await vi.waitFor(() => expect(latestTexts()).toContain(`${name}: ${count}`), 5_000);
      }
  });

  test('another file changes constantly: reads the changed spec', async () => {
    await writeFile(path.join(folder, 'a.yaml'), 'first: 1');
    const latestTexts = await watchEvents(folder);
    const noise = setInterval(() => void writeFile(path.join(folder, 'noise.txt'), String(Date.now())), 10);
    try {
      await writeFile(path.join(folder, 'a.yaml'), 'second: 2');
      await vi.waitFor(() => expect(latestTexts()).toEqual(['second: 2']), 5_000);
    } finally {
      clearInterval(noise);
    }
  });

  test('a folder is replaced: reads the new folder', async () => {
    const specs = path.join(folder, 'specs');
    await mkdir(specs);
    await writeFile(path.join(specs, 'a.yaml'), 'first: 1');
    const latestTexts = await watchEvents(specs);
    for (let count = 2; count <= 4; count++) {
      await rm(specs, { recursive: true });
      await vi.waitFor(() => expect(latestTexts()).toEqual([]), 5_000);
      await mkdir(specs);
      await writeFile(path.join(specs, 'a.yaml'), `number: ${count}`);
      await vi.waitFor(() => expect(latestTexts()).toEqual([`number: ${count}`]), 5_000);
    }
  });
});

test('watchSpecs: no file system event: polling detects a change, and reports nothing without a change', async () => {
  const clock = fakeClock();
  await writeFile(path.join(folder, 'a.yaml'), 'first');
  const received: SpecFiles[] = [];
  watcher = await watchSpecs([path.join(folder, 'a.yaml')], {
    clock,
    pollIntervalMs: 10_000,
    onChange: (specFiles) => void received.push(specFiles),
  });
  await clock.advance(30_000);
  expect(received).toHaveLength(1);
  await writeFile(path.join(folder, 'a.yaml'), 'second');
  await vi.waitFor(async () => {
    await clock.advance(10_000);
    expect(received.map(texts)).toEqual([['first'], ['second']]);
  });
});

test('watchSpecs: a file is being written: reports it only when it is stable', async () => {
  const clock = fakeClock();
  const file = path.join(folder, 'a.yaml');
  await writeFile(file, 'rules: [one, two]');
  const received: string[] = [];
  watcher = await watchSpecs([file], {
    clock,
    pollIntervalMs: 80,
    onChange: (specFiles) => void received.push(...texts(specFiles)),
  });
  for (const piece of ['rules: [', 'rules: [one]', 'rules: [one, two, three]']) {
    await writeFile(file, piece);
    await clock.advance(80);
    // The read is complete; the next poll and the confirming read are scheduled.
    await vi.waitFor(() => expect(clock.pending).toBe(2));
    expect(received).toEqual(['rules: [one, two]']);
  }
  await vi.waitFor(async () => {
    await clock.advance(100);
    expect(received).toEqual(['rules: [one, two]', 'rules: [one, two, three]']);
  });
});

describe('watchSpecs: a file that loses content', () => {
  const RULES = 'apiVersion: replikey.dev/v1\nspec:\n  rules:\n    - prefix: a/\n    - prefix: b/\n';

  /** Starts a watcher of a.yaml and b.yaml on a fake clock that polls only when the test advances it. */
  async function watchRules() {
    const clock = fakeClock();
    await writeFile(path.join(folder, 'a.yaml'), RULES);
    await writeFile(path.join(folder, 'b.yaml'), 'b: 1');
    const received: string[][] = [];
    watcher = await watchSpecs([folder], {
      clock,
      pollIntervalMs: 1_000,
      onChange: (specFiles) => void received.push(texts(specFiles)),
    });
    /** Advances the clock while a change waits, and waits until the next poll and the next read are scheduled. */
    const advance = async (ms: number) => {
      await clock.advance(ms);
      await vi.waitFor(() => expect(clock.pending).toBe(2));
    };
    const untilReceived = (...expected: string[]) =>
      vi.waitFor(async () => {
        await clock.advance(100);
        expect(received.at(-1)).toEqual(expected);
      });
    return { received, advance, untilReceived };
  }

  test.each<[string, (file: string) => Promise<void>, string[]]>([
    [
      'becomes smaller',
      (file) => writeFile(file, RULES.replace('    - prefix: b/\n', '')),
      [RULES.replace('    - prefix: b/\n', ''), 'b: 1'],
    ],
    [
      'has fewer rules and more bytes',
      (file) => writeFile(file, RULES.replace('    - prefix: b/', '    # prefix: bbbbbbbb/')),
      [RULES.replace('    - prefix: b/', '    # prefix: bbbbbbbb/'), 'b: 1'],
    ],
    [
      'is invalid after its first rule',
      (file) => writeFile(file, RULES.replace('    - prefix: b/', '    - prefix: "bbbbbbbbbbbb')),
      [RULES.replace('    - prefix: b/', '    - prefix: "bbbbbbbbbbbb'), 'b: 1'],
    ],
    ['disappears', (file) => rm(file), ['b: 1']],
  ])('%s: is reported after 2 seconds without a change', async (_, change, expected) => {
    const { received, advance, untilReceived } = await watchRules();
    await change(path.join(folder, 'a.yaml'));
    await advance(1_000);
    await advance(900);
    expect(received).toEqual([[RULES, 'b: 1']]);
    await untilReceived(...expected);
    expect(received).toHaveLength(2);
  });

  test('is complete again within 2 seconds: reports only the complete file', async () => {
    const { received, advance, untilReceived } = await watchRules();
    const file = path.join(folder, 'a.yaml');
    const complete = RULES.replace('b/', 'c/');
    await writeFile(file, '');
    await advance(1_000);
    await writeFile(file, complete.slice(0, -20));
    await advance(500);
    await writeFile(file, complete);
    await untilReceived(complete, 'b: 1');
    expect(received).toEqual([
      [RULES, 'b: 1'],
      [complete, 'b: 1'],
    ]);
  });

  test('is reported immediately by reload, because its caller has written all files', async () => {
    const { received } = await watchRules();
    await rm(path.join(folder, 'a.yaml'));
    await watcher?.reload();
    expect(received.at(-1)).toEqual(['b: 1']);
  });
});

test('watchSpecs: a folder disappears: reports a problem, and reads the folder again when it exists', async () => {
  await writeFile(path.join(folder, 'a.yaml'), 'first');
  const received: SpecFiles[] = [];
  watcher = await watchSpecs([folder], {
    clock: systemClock,
    pollIntervalMs: 20,
    onChange: (specFiles) => void received.push(specFiles),
  });
  await rm(folder, { recursive: true });
  await vi.waitFor(() => expect(received.at(-1)?.problems[0]?.message).toContain('no such file or folder'));
  await mkdir(folder);
  await writeFile(path.join(folder, 'a.yaml'), 'again');
  await vi.waitFor(() => expect(texts(received.at(-1) as SpecFiles)).toEqual(['again']));
});

test('watchSpecs: reload reads a change immediately', async () => {
  const clock = fakeClock();
  await writeFile(path.join(folder, 'a.yaml'), 'first');
  const received: SpecFiles[] = [];
  watcher = await watchSpecs([folder], {
    clock,
    pollIntervalMs: 1e9,
    onChange: (specFiles) => void received.push(specFiles),
  });
  await writeFile(path.join(folder, 'a.yaml'), 'second');
  await watcher.reload();
  expect(received.map(texts)).toEqual([['first'], ['second']]);
});
