import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MAIN } from '../support/cli.ts';

const run = promisify(execFile);
const json = async (file: string) => JSON.parse(await readFile(file, 'utf8'));
/** What builds is JavaScript without types. */
const script = (name: string) => import(pathToFileURL(path.resolve('scripts', name)).href);

const DIST = path.dirname(MAIN);
let lock: { packages: Record<string, { integrity?: string; resolved?: string; hasInstallScript?: true }> };
/** `node_modules/zod`: the folders of all packages of which anything is bundled, as the bundler tells it. */
let bundled: string[];

beforeAll(async () => {
  lock = await json('package-lock.json');
  const { BUNDLE } = await script('bundle.mjs');
  const { metafile } = await build({ ...BUNDLE, outdir: 'dist', write: false });
  // The sandbox has a copy of its own of some.
  const inputs = Object.keys(metafile?.inputs ?? {}).map((input) => input.replace(/^whole:/, ''));
  bundled = Object.keys(lock.packages).filter(
    (folder) => folder !== '' && inputs.some((input) => input.startsWith(`${folder}/`)),
  );
  // A package within a package counts for itself.
  const strangers = inputs.filter(
    (input) => input.includes('node_modules/') && !bundled.some((folder) => input.startsWith(`${folder}/`)),
  );
  expect(strangers).toEqual([]);
  expect(bundled.length).toBeGreaterThan(20);
});

describe('what ships', () => {
  test('is named by the bill of materials, package by package, with the checksum of the lock file', async () => {
    const { bomFormat, specVersion, components, metadata } = await json(path.join(DIST, 'sbom.cdx.json'));
    expect({ bomFormat, specVersion, name: metadata.component.name }).toEqual({
      bomFormat: 'CycloneDX',
      specVersion: '1.5',
      name: 'replikey',
    });
    const named = components.map(({ purl, hashes }: { purl: string; hashes: { content: string }[] }) => [
      decodeURIComponent(purl),
      hashes.map(({ content }) => content),
    ]);
    const found = await Promise.all(
      bundled.map(async (folder) => {
        const { name, version } = await json(path.join(folder, 'package.json'));
        const digest = lock.packages[folder]?.integrity?.replace('sha512-', '') ?? '';
        return [`pkg:npm/${name}@${version}`, [Buffer.from(digest, 'base64').toString('hex')]];
      }),
    );
    expect(named.sort()).toEqual(found.sort());
  });

  test('has the text of its licences beside it, each of which is permissive', async () => {
    const { packagesOf, unfitToShip } = await script('packages.mjs');
    const packages = await packagesOf(bundled.map((folder) => `${folder}/index.js`));
    expect(packages).toHaveLength(bundled.length);
    expect(unfitToShip(packages)).toEqual([]);
    const texts = await readFile(path.join(DIST, 'THIRD-PARTY-LICENSES.txt'), 'utf8');
    for (const { name, version, license } of packages)
      expect(texts).toContain(`\n${name} ${version} (${license})\n`);
    for (const license of new Set<string>(packages.map((one: { license: string }) => one.license)))
      expect(
        packages.some((one: { license: string; text?: string }) => one.license === license && one.text),
        license,
      ).toBe(true);
  });

  test.each([
    [undefined, 'no licence'],
    ['UNLICENSED', '"UNLICENSED"'],
    ['SEE LICENSE IN LICENSE.md', '"SEE LICENSE IN LICENSE.md"'],
    ['GPL-3.0-only', '"GPL-3.0-only"'],
    ['AGPL-3.0', '"AGPL-3.0"'],
    ['(MIT AND GPL-2.0)', '"(MIT AND GPL-2.0)"'],
    [{ type: 'MIT' }, '{"type":"MIT"}'],
  ])('could not be a package with the licence %j: the build would fail', async (license, said) => {
    const { packagesOf, unfitToShip } = await script('packages.mjs');
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-licence-'));
    try {
      const inside = path.join(folder, 'node_modules/odd');
      await mkdir(inside, { recursive: true });
      await writeFile(
        path.join(inside, 'package.json'),
        JSON.stringify({ name: 'odd', version: '1.0.0', license }),
      );
      const packages = await packagesOf([`${inside}/lib/x.js`, `${inside}/index.js`]);
      expect(unfitToShip(packages)).toEqual([`odd 1.0.0: ${said}`]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('was installed without a script of anybody, from what the lock file pins', () => {
    for (const folder of bundled)
      expect({ folder, ...lock.packages[folder] }).toMatchObject({
        integrity: expect.stringMatching(/^sha512-/),
      });
    expect(bundled.filter((folder) => lock.packages[folder]?.hasInstallScript)).toEqual([]);
    // From a registry, whichever: nothing comes from an address of its own.
    const addressed = Object.entries(lock.packages).filter(([, one]) => one.resolved !== undefined);
    expect(addressed.map(([folder]) => folder)).toEqual([]);
  });
});

describe('the package', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'replikey-package-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('installs without network, runs no script, and brings nothing but itself', async () => {
    const npm = (args: string[], cwd: string) =>
      run('npm', [...args, '--offline', '--no-audit', '--no-fund', '--no-update-notifier'], { cwd });
    const { stdout } = await npm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder], '.');
    const [{ filename }] = JSON.parse(stdout);
    await writeFile(path.join(folder, 'package.json'), '{ "private": true }');
    await npm(['install', '--foreground-scripts', `./${filename}`], folder);
    const { packages } = await json(path.join(folder, 'package-lock.json'));
    expect(Object.keys(packages)).toEqual(['', 'node_modules/replikey']);
    expect(packages['node_modules/replikey'].hasInstallScript).toBeUndefined();
    const { stdout: said } = await run(path.join(folder, 'node_modules/.bin/reconcile'), ['--version']);
    expect(said).toMatch(/^\d+\.\d+\.\d+/);
  });

  test('holds the bundle, its bill of materials and its licences, and neither tests, sources nor settings', async () => {
    const { stdout } = await run('npm', ['pack', '--json', '--dry-run', '--ignore-scripts', '--offline']);
    const [{ files }] = JSON.parse(stdout);
    const paths: string[] = files.map((one: { path: string }) => one.path);
    for (const file of ['LICENSE', 'dist/main.js', 'dist/sbom.cdx.json', 'dist/THIRD-PARTY-LICENSES.txt'])
      expect(paths).toContain(file);
    const kinds =
      /^(LICENSE|README\.md|package\.json|dist\/[\w.-]+|man\/reconcile\.1|schema\/[\w.]+|specs\/[\w./-]+)$/;
    expect(paths.filter((file) => !kinds.test(file))).toEqual([]);
  });
});
