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
/** Imports a build script, which is JavaScript without types. */
const script = (name: string) => import(pathToFileURL(path.resolve('scripts', name)).href);

const DIST = path.dirname(MAIN);
let lock: { packages: Record<string, { integrity?: string; resolved?: string; hasInstallScript?: true }> };
/** Folders of all bundled packages, such as `node_modules/zod`, from the metafile of the bundler. */
let bundled: string[];

beforeAll(async () => {
  lock = await json('package-lock.json');
  const { BUNDLE } = await script('bundle.mjs');
  const { metafile } = await build({ ...BUNDLE, outdir: 'dist', write: false });
  // The sandbox bundles its own copy of some packages.
  const inputs = Object.keys(metafile?.inputs ?? {}).map((input) => input.replace(/^whole:/, ''));
  bundled = Object.keys(lock.packages).filter(
    (folder) => folder !== '' && inputs.some((input) => input.startsWith(`${folder}/`)),
  );
  // A nested package is a package of its own.
  const unlistedInputs = inputs.filter(
    (input) => input.includes('node_modules/') && !bundled.some((folder) => input.startsWith(`${folder}/`)),
  );
  expect(unlistedInputs).toEqual([]);
  expect(bundled.length).toBeGreaterThan(20);
});

describe('bundle', () => {
  test('the bill of materials lists every package with the checksum of the lock file', async () => {
    const { bomFormat, specVersion, components, metadata } = await json(path.join(DIST, 'sbom.cdx.json'));
    expect({ bomFormat, specVersion, name: metadata.component.name }).toEqual({
      bomFormat: 'CycloneDX',
      specVersion: '1.5',
      name: 'replikey',
    });
    const listed = components.map(({ purl, hashes }: { purl: string; hashes: { content: string }[] }) => [
      decodeURIComponent(purl),
      hashes.map(({ content }) => content),
    ]);
    const expected = await Promise.all(
      bundled.map(async (folder) => {
        const { name, version } = await json(path.join(folder, 'package.json'));
        const digest = lock.packages[folder]?.integrity?.replace('sha512-', '') ?? '';
        return [`pkg:npm/${name}@${version}`, [Buffer.from(digest, 'base64').toString('hex')]];
      }),
    );
    expect(listed.sort()).toEqual(expected.sort());
  });

  test('includes the licence texts of its packages, which are all permissive', async () => {
    const { packagesOf, withForbiddenLicence } = await script('packages.mjs');
    const packages = await packagesOf(bundled.map((folder) => `${folder}/index.js`));
    expect(packages).toHaveLength(bundled.length);
    expect(withForbiddenLicence(packages)).toEqual([]);
    const texts = await readFile(path.join(DIST, 'THIRD-PARTY-LICENSES.txt'), 'utf8');
    for (const { name, version, license } of packages)
      expect(texts).toContain(`\n${name} ${version} (${license})\n`);
    for (const license of new Set<string>(packages.map((entry: { license: string }) => entry.license)))
      expect(
        packages.some((entry: { license: string; text?: string }) => entry.license === license && entry.text),
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
  ])('rejects a package with the licence %j', async (license, message) => {
    const { packagesOf, withForbiddenLicence } = await script('packages.mjs');
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-licence-'));
    try {
      const inside = path.join(folder, 'node_modules/odd');
      await mkdir(inside, { recursive: true });
      await writeFile(
        path.join(inside, 'package.json'),
        JSON.stringify({ name: 'odd', version: '1.0.0', license }),
      );
      const packages = await packagesOf([`${inside}/lib/x.js`, `${inside}/index.js`]);
      expect(withForbiddenLicence(packages)).toEqual([`odd 1.0.0: ${message}`]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('its packages have pinned checksums and no install scripts', () => {
    for (const folder of bundled)
      expect({ folder, ...lock.packages[folder] }).toMatchObject({
        integrity: expect.stringMatching(/^sha512-/),
      });
    expect(bundled.filter((folder) => lock.packages[folder]?.hasInstallScript)).toEqual([]);
    // Packages come from the configured registry, not from a URL in the lock file.
    const withUrl = Object.entries(lock.packages).filter(([, entry]) => entry.resolved !== undefined);
    expect(withUrl.map(([folder]) => folder)).toEqual([]);
  });
});

describe('npm package', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'replikey-package-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('installs offline, without install scripts and without dependencies', async () => {
    const npm = (args: string[], cwd: string) =>
      run('npm', [...args, '--offline', '--no-audit', '--no-fund', '--no-update-notifier'], { cwd });
    const { stdout } = await npm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder], '.');
    const [{ filename }] = JSON.parse(stdout);
    await writeFile(path.join(folder, 'package.json'), '{ "private": true }');
    await npm(['install', '--foreground-scripts', `./${filename}`], folder);
    const { packages } = await json(path.join(folder, 'package-lock.json'));
    expect(Object.keys(packages)).toEqual(['', 'node_modules/replikey']);
    expect(packages['node_modules/replikey'].hasInstallScript).toBeUndefined();
    const { stdout: version } = await run(path.join(folder, 'node_modules/.bin/reconcile'), ['--version']);
    expect(version).toMatch(/^\d+\.\d+\.\d+/);
  });

  test('contains the bundle, its bill of materials and licences, and no tests, sources or settings', async () => {
    const { stdout } = await run('npm', ['pack', '--json', '--dry-run', '--ignore-scripts', '--offline']);
    const [{ files }] = JSON.parse(stdout);
    const paths: string[] = files.map((entry: { path: string }) => entry.path);
    for (const file of ['LICENSE', 'dist/main.js', 'dist/sbom.cdx.json', 'dist/THIRD-PARTY-LICENSES.txt'])
      expect(paths).toContain(file);
    const allowedPaths =
      /^(LICENSE|README\.md|package\.json|dist\/[\w.-]+|dist\/docs\/[\w/-]+\.md|man\/reconcile\.1|schema\/[\w.]+|specs\/[\w./-]+)$/;
    expect(paths.filter((file) => !allowedPaths.test(file))).toEqual([]);
  });
});
