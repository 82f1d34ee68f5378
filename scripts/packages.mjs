// The packages that a bundle was made from.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Licences whose only condition is that their text accompanies the code. */
const PERMISSIVE = new Set(['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT']);

/** Returns the packages of these input files: folder, name, version, licence, and the licence text if it exists. */
export async function packagesOf(inputs) {
  const folders = new Set(inputs.flatMap((input) => packageFolder(input) ?? []));
  return Promise.all([...folders].sort().map(describe));
}

/** Returns the packages whose licence is not permissive: `name 1.0.0: GPL-3.0`. */
export const withForbiddenLicence = (packages) =>
  packages
    .filter(({ license }) => !PERMISSIVE.has(license))
    .map(({ name, version, license }) => `${name} ${version}: ${JSON.stringify(license) ?? 'no licence'}`);

/** `node_modules/a/node_modules/@b/c/dist/x.js` belongs to the package in `node_modules/a/node_modules/@b/c`. */
function packageFolder(input) {
  return input.replace(/^whole:/, '').match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0];
}

async function describe(folder) {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file && (await readFile(join(folder, file), 'utf8')).trim();
  return { folder, name, version, license, text };
}
