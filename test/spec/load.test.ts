import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { formatProblems } from '../../src/spec/format-problems.ts';
import { loadSpecs } from '../../src/spec/load.ts';
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

test('loadSpecs: rejects more than 20,000 files', async () => {
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
