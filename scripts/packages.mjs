// The packages that a bundle was made from.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Licences that ask for no more than to be passed on with the code. */
const PERMISSIVE = new Set(['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT']);

/** Every package among these input files: its folder, name, version, licence, and the text of that where there is one. */
export async function packagesOf(inputs) {
  const folders = new Set(inputs.flatMap((input) => packageFolder(input) ?? []));
  return Promise.all([...folders].sort().map(describe));
}

/** What may not ship, and why: `name 1.0.0: GPL-3.0`. */
export const unfitToShip = (packages) =>
  packages
    .filter(({ license }) => !PERMISSIVE.has(license))
    .map(({ name, version, license }) => `${name} ${version}: ${JSON.stringify(license) ?? 'no licence'}`);

/** `node_modules/a/node_modules/@b/c/dist/x.js` lies in the package at `node_modules/a/node_modules/@b/c`. */
function packageFolder(input) {
  return input.replace(/^whole:/, '').match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0];
}

async function describe(folder) {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file && (await readFile(join(folder, file), 'utf8')).trim();
  return { folder, name, version, license, text };
}
