import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readSpecFiles } from '../../src/spec/files.ts';
import { formatProblems } from '../../src/spec/format-problems.ts';
import { loadSpecFiles, loadSpecs } from '../../src/spec/load.ts';
import { type Clock, systemClock } from '../../src/util/clock.ts';
import { TAX, tax } from './support.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'replikey-load-'));
});

afterEach(() => rm(root, { recursive: true, force: true }));

const at = (...parts: string[]) => path.join(root, ...parts);

async function write(name: string, content: string | Uint8Array): Promise<void> {
  await mkdir(path.dirname(at(name)), { recursive: true });
  await writeFile(at(name), content);
}

/** A spec with its own name and buckets. */
const spec = (name: string) =>
  tax(
    ['name: tax', `name: ${name}`],
    ['bucket: acme-tax\n', `bucket: ${name}-source\n`],
    ['acme-tax-replica\n', `${name}-replica\n`],
  );

const namesIn = async (...paths: string[]) => {
  const { specs, problems } = await loadSpecs(paths);
  return specs ? specs.pairs.map(({ name }) => name) : formatProblems(problems).replaceAll(root, '');
};

const problemsIn = async (...paths: string[]) =>
  (await loadSpecs(paths)).problems.map(
    ({ position, message }) => `${position.file.replace(root, '')}: ${message}`,
  );

test('loadSpecs: reads a folder recursively and sorted, without dot-files and other files', async () => {
  await write('b/two.yml', spec('two'));
  await write('b/Z.yaml', spec('z'));
  await write('a.yaml', spec('a'));
  await write('.hidden.yaml', 'not: a spec');
  await write('.git/config.yaml', 'not: a spec');
  await write('b/readme.md', '# not a spec');
  expect(await namesIn(root)).toEqual(['a', 'z', 'two']);
});

test('loadSpecs: reads all documents of a file, and ignores empty ones', async () => {
  await write('all.yaml', `---\n${spec('a')}---\n---\n# nothing here\n---\n${spec('b')}...\n`);
  expect(await loadSpecs([at('all.yaml')])).toMatchObject({ files: 1, documents: 2 });
  expect(await namesIn(at('all.yaml'))).toEqual(['a', 'b']);
});

test('loadSpecs: expands globs within folders and across them', async () => {
  await write('eu/a.yaml', spec('a'));
  await write('eu/deep/b.yaml', spec('b'));
  await write('us/c1.yaml', spec('c'));
  await write('us/c10.yaml', spec('d'));
  expect(await namesIn(at('*/*.yaml'))).toEqual(['a', 'c', 'd']);
  expect(await namesIn(at('**/*.yaml'))).toEqual(['a', 'b', 'c', 'd']);
  expect(await namesIn(at('us/c?.yaml'))).toEqual(['c']);
  expect(await problemsIn(at('*.yaml'))).toEqual(['/*.yaml: no *.yaml or *.yml file matches']);
});

test('loadSpecs: reads standard input for a dash', async () => {
  const { specs } = await loadSpecs(['-'], async () => TAX);
  expect(specs?.pairs.map(({ name }) => name)).toEqual(['tax']);
  const { problems } = await loadSpecs(['-'], async () => 'x'.repeat(2 ** 20 + 1));
  expect(formatProblems(problems)).toBe(
    '<stdin>:1:1  the file is larger than 1 MiB\n  → split it into several files',
  );
});

test('loadSpecs: reads a file once, even if several paths and links lead to it', async () => {
  await write('real/a.yaml', spec('a'));
  await symlink(at('real'), at('linked'));
  await symlink(at('real/a.yaml'), at('b.yaml'));
  expect(await namesIn(root, at('real'), at('real/a.yaml'), at('linked'))).toEqual(['a']);
});

test('loadSpecs: reads the files of a mounted Kubernetes ConfigMap', async () => {
  await write('..2026/a.yaml', spec('a'));
  await symlink('..2026', at('..data'));
  await symlink('..data/a.yaml', at('a.yaml'));
  expect(await namesIn(root)).toEqual(['a']);
});

/** Publishes a version of all files as git-sync does: a swap of the link `current`, then removal of the old version. */
function publish(version: number, names: readonly string[]): void {
  const folder = at('.worktrees', String(version), 'specs');
  mkdirSync(folder, { recursive: true });
  for (const name of names) writeFileSync(path.join(folder, `${name}.yaml`), `${name}: ${version}`);
  symlinkSync(path.join('.worktrees', String(version)), at('next'));
  renameSync(at('next'), at('current'));
  rmSync(at('.worktrees', String(version - 1)), { recursive: true, force: true });
}

/** A clock whose timers are due immediately. */
const immediateClock: Clock = {
  ...systemClock,
  schedule(_, callback) {
    const timer = setImmediate(callback);
    return () => clearImmediate(timer);
  },
};

/** Reads files, and calls back before each folder and file that is read, with the number of the call. */
async function readWithHook(paths: readonly string[], beforeAccess: (count: number) => void) {
  const { signal } = new AbortController();
  let count = 0;
  signal.throwIfAborted = () => beforeAccess(++count);
  const { files, problems } = await readSpecFiles(paths, { clock: immediateClock, signal });
  return {
    texts: files.map(({ bytes }) => Buffer.from(bytes).toString()),
    messages: problems.map(({ message }) => message),
    count,
  };
}

const VERSIONED = ['a', 'b', 'c'];

test.each([
  ['a folder', ['current/specs']],
  ['files', VERSIONED.map((name) => `current/specs/${name}.yaml`)],
  ['a glob', ['current/specs/*.yaml']],
])(
  'readSpecFiles: git-sync swaps worktrees while %s is read: reads all files of one version',
  async (_, names) => {
    publish(1, VERSIONED);
    const paths = names.map((name) => at(name));
    const undisturbed = await readWithHook(paths, () => {});
    let version = 1;
    for (let swapAt = 1; swapAt <= undisturbed.count; swapAt++) {
      const { texts, messages } = await readWithHook(paths, (count) => {
        if (count === swapAt) publish(++version, VERSIONED);
      });
      expect({ messages, texts }).toEqual({
        messages: [],
        texts: VERSIONED.map((name) => `${name}: ${version}`),
      });
    }
  },
);

test('readSpecFiles: the link of a ConfigMap is swapped during a read: reads all files of one version', async () => {
  const swap = (version: number) => {
    mkdirSync(at(`..v${version}`));
    for (const name of VERSIONED) writeFileSync(at(`..v${version}`, `${name}.yaml`), `${name}: ${version}`);
    symlinkSync(`..v${version}`, at('..next'));
    renameSync(at('..next'), at('..data'));
    rmSync(at(`..v${version - 1}`), { recursive: true, force: true });
  };
  swap(1);
  for (const name of VERSIONED) await symlink(`..data/${name}.yaml`, at(`${name}.yaml`));
  const undisturbed = await readWithHook([root], () => {});
  let version = 1;
  for (let swapAt = 1; swapAt <= undisturbed.count; swapAt++) {
    const { texts, messages } = await readWithHook([root], (count) => {
      if (count === swapAt) swap(++version);
    });
    expect({ messages, texts }).toEqual({
      messages: [],
      texts: VERSIONED.map((name) => `${name}: ${version}`),
    });
  }
});

test('readSpecFiles: a file is added, changed or removed during a read: reads the final files', async () => {
  const changes: [change: () => void, texts: string[]][] = [
    [() => writeFileSync(at('0.yaml'), 'added'), ['added', 'a', 'b']],
    [() => writeFileSync(at('a.yaml'), 'changed'), ['added', 'changed', 'b']],
    [() => rmSync(at('0.yaml')), ['changed', 'b']],
  ];
  await write('a.yaml', 'a');
  await write('b.yaml', 'b');
  for (const [change, expected] of changes) {
    // The first call precedes the first listing, the second one the read of the first file.
    const { texts } = await readWithHook([root], (count) => {
      if (count === 3) change();
    });
    expect(texts).toEqual(expected);
  }
});

test('readSpecFiles: a file changes during each of 10 reads: reports it, and returns no file', async () => {
  await write('a.yaml', 'a');
  await write('b.yaml', 'b');
  const { texts, messages } = await readWithHook([root], (count) => writeFileSync(at('a.yaml'), `a${count}`));
  expect(messages).toEqual(['the files changed during each of 10 reads']);
  expect(texts).toEqual([]);
});

test('loadSpecs: does not follow symbolic links that lead out of the paths', async () => {
  await write('specs/a.yaml', spec('a'));
  await write('outside/b.yaml', spec('b'));
  await write('outside/readme.md', '');
  await symlink(at('outside/b.yaml'), at('specs/b.yaml'));
  await symlink(at('outside'), at('specs/more'));
  await symlink(at('outside/readme.md'), at('specs/readme.md'));
  expect(await problemsIn(at('specs'))).toEqual([
    '/specs/b.yaml: the symbolic link leads out of the folder, and is not followed',
    '/specs/more: the symbolic link leads out of the folder, and is not followed',
  ]);
  expect(await namesIn(at('specs'), at('outside'))).toEqual(['a', 'b']);
  // A path on the command line may be a link.
  await symlink(at('outside'), at('linked'));
  expect(await namesIn(at('linked'))).toEqual(['b']);
  expect(await namesIn(at('specs/b.yaml'))).toEqual(['b']);
});

test('loadSpecs: with requireComplete, reports dangling links and subfolders without specs', async () => {
  await write('a.yaml', spec('a'));
  await write('team/deep/b.yaml', spec('b'));
  await write('docs/readme.md', '');
  await mkdir(at('unmounted/deep'), { recursive: true });
  await mkdir(at('team/empty'));
  await mkdir(at('.cache'));
  await symlink('absent', at('link'));
  expect(await namesIn(root)).toEqual(['a', 'b']);
  const { problems } = await loadSpecs([root], undefined, { requireComplete: true });
  const message =
    'the folder contains no *.yaml or *.yml file, and --prune would remove what its specs declared';
  expect(problems.map((problem) => `${problem.position.file.replace(root, '')}: ${problem.message}`)).toEqual(
    [
      `/docs: ${message}`,
      '/link: no such file or folder',
      `/team/empty: ${message}`,
      `/unmounted: ${message}`,
    ],
  );
});

test('loadSpecs: rejects more than 20,000 folders', { timeout: 120_000 }, async () => {
  const names = Array.from({ length: 20_001 }, (_, index) => at('many', String(index)));
  await mkdir(at('many'));
  for (const batch of [names.slice(0, 10_000), names.slice(10_000)])
    await Promise.all(batch.map((name) => mkdir(name)));
  await write('many/a.yaml', spec('a'));
  expect(await problemsIn(at('many'))).toEqual([
    expect.stringMatching(/^\/many\/\d+: the paths contain more than 20000 folders$/),
  ]);
});

test('loadSpecs: an aborted signal stops the load', async () => {
  await write('a.yaml', spec('a'));
  await expect(
    loadSpecs([root], undefined, { signal: AbortSignal.abort(new Error('stopped')) }),
  ).rejects.toThrow('stopped');
});

test('loadSpecFiles: a signal that aborts during the load stops it', async () => {
  const files = Array.from({ length: 2_000 }, (_, index) => ({
    file: `${index}.yaml`,
    bytes: Buffer.from(spec(`p${index}`)),
  }));
  const stop = new AbortController();
  const loading = loadSpecFiles(files, { signal: stop.signal });
  // The load takes hundreds of milliseconds, and yields every 20 ms.
  setImmediate(() => stop.abort(new Error('stopped')));
  await expect(loading).rejects.toThrow('stopped');
});

test('loadSpecs: reports symbolic links that form a loop, and reads the other files', async () => {
  await write('a.yaml', 'apiVersion: replikey.dev/v1\nkind: Nothing\n');
  await symlink('.', at('self'));
  await mkdir(at('sub'));
  await symlink('..', at('sub/up'));
  await symlink('loop.yaml', at('loop.yaml'));
  await symlink('absent.yaml', at('dangling.yaml'));
  expect(await problemsIn(root)).toEqual([
    '/a.yaml: expected BucketReplication, Account, Guardrails, Defaults or Variables, found "Nothing"',
    '/dangling.yaml: no such file or folder',
    '/loop.yaml: the symbolic links form a loop',
    '/self: the symbolic link points to one of its parent folders',
    '/sub/up: the symbolic link points to one of its parent folders',
  ]);
});

test('loadSpecs: rejects a FIFO and a device, without a wait', async () => {
  execFileSync('mkfifo', [at('pipe.yaml')]);
  expect(await problemsIn(at('pipe.yaml'), '/dev/zero', root)).toEqual([
    '/dev/zero: not a regular file',
    '/pipe.yaml: not a regular file',
  ]);
});

test('loadSpecs: reports large, empty and missing files and folders', async () => {
  await write('large.yaml', 'x'.repeat(10 * 2 ** 20));
  await write('limit.yaml', `${TAX}${'#'.repeat(2 ** 20 - TAX.length)}`);
  await write('empty.yaml', '');
  await mkdir(at('nothing'));
  await write('file', '');
  expect(await problemsIn(at('large.yaml'))).toEqual(['/large.yaml: the file is larger than 1 MiB']);
  expect(await problemsIn(at('limit.yaml'))).toEqual([]);
  expect(await problemsIn(at('empty.yaml'))).toEqual(['/empty.yaml: the file is empty']);
  expect(await problemsIn(at('nothing'))).toEqual(['/nothing: the folder contains no *.yaml or *.yml file']);
  expect(await problemsIn(at('missing.yaml'))).toEqual(['/missing.yaml: no such file or folder']);
  expect(await problemsIn(at('file/x.yaml'))).toEqual([
    '/file/x.yaml: a part of the path is a file, not a folder',
  ]);
});

test('loadSpecs: rejects more than 20,000 files', { timeout: 120_000 }, async () => {
  await mkdir(at('many'));
  const names = Array.from({ length: 20_001 }, (_, index) => `${index}.yaml`);
  for (const batch of [names.slice(0, 10_000), names.slice(10_000)])
    await Promise.all(batch.map((name) => writeFile(at('many', name), '')));
  const problems = await problemsIn(at('many'));
  expect(problems).toContain('/many: the paths contain more than 20000 spec files');
});

test('loadSpecs: reports a problem if there is no path or no spec', async () => {
  expect(await problemsIn()).toEqual(['.: no BucketReplication found']);
});

test('loadSpecs: reports the problems of all files together, sorted by position', async () => {
  await write('b.yaml', '');
  await write('a.yaml', tax(['region: us-east-1', 'region: mars'], ['Tax/', '/Tax']));
  await write('c.yaml', tax(['kind: BucketReplication', 'kind: Nothing']));
  expect(await problemsIn(root)).toEqual([
    '/a.yaml: invalid Region "mars": use a Region name such as us-east-1',
    '/a.yaml: invalid prefix "/Tax": remove the leading slash; S3 compares prefixes literally, and no key begins with a slash unless its writer included one',
    '/b.yaml: the file is empty',
    '/c.yaml: expected BucketReplication, Account, Guardrails, Defaults or Variables, found "Nothing"',
  ]);
});

test('loadSpecs: reports other problems beside an invalid field', async () => {
  await write('a.yaml', tax(['region: us-east-1', 'region: mars'], ['Tax/', 'Tax/\n      priority: 1']));
  await write(
    'b.yaml',
    tax(
      ['us-west-2', 'us-west-2\n    storageClas: GLACIER'],
      ['Tax/', 'Ledgers/\n      priority: 1\n      enabled: maybe'],
      ['alias/acme-tax\n', 'alias/other\n'],
    ),
  );
  expect(await problemsIn(root)).toEqual([
    '/a.yaml: invalid Region "mars": use a Region name such as us-east-1',
    `/b.yaml: the BucketReplication tax is already declared at ${root}/a.yaml:4:9`,
    `/b.yaml: the key of bucket acme-tax is alias/other here, but alias/acme-tax at ${root}/a.yaml:9:10`,
    '/b.yaml: unknown field',
    `/b.yaml: priority 1 is already used at ${root}/a.yaml:16:17`,
    '/b.yaml: expected true or false, found "maybe"',
  ]);
});

test('loadSpecs: reports an invalid field once, without problems that follow from it', async () => {
  const yaml = tax(
    ['us-east-1', 'mars'],
    ['bucket: acme-tax-replica\n', 'buckt: acme-tax\n'],
    ['alias/acme-tax\n', 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab\n'],
    ['prefix: Tax/', 'filter: { tags: { tier: 1 } }\n      deleteMarkerReplication: true'],
  );
  await write('a.yaml', yaml);
  expect(await problemsIn(root)).toEqual([
    '/a.yaml: invalid Region "mars": use a Region name such as us-east-1',
    '/a.yaml: unknown field',
    '/a.yaml: expected a string, found the number 1',
  ]);
});

test('loadSpecFiles: a backfill may be 5 minutes ahead of the clock of this machine', async () => {
  const text = tax(['  rules:', '  backfill: { before: "2026-12-01T00:05:00Z" }\n  rules:']);
  const load = async (now: string) => {
    const { problems } = await loadSpecFiles([{ file: 'spec.yaml', bytes: Buffer.from(text) }], {
      nowMs: Date.parse(now),
    });
    return problems.map(({ path: field }) => field);
  };
  expect(await load('2026-12-01T00:00:00Z')).toEqual([]);
  expect(await load('2026-11-30T23:59:59Z')).toEqual(['spec.backfill.before']);
});
