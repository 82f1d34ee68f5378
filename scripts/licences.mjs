// The licences of the packages that a bundle was made from.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The text that must go with the bundle: every package among these input files, with its licence. */
export async function licencesOf(inputs) {
  const folders = new Set(inputs.flatMap((input) => packageFolder(input) ?? []));
  const packages = await Promise.all([...folders].sort().map(describe));
  return ['replikey contains code of the packages below.', ...packages].join(`\n\n${'-'.repeat(80)}\n\n`);
}

/** `node_modules/a/node_modules/@b/c/dist/x.js` lies in the package at `node_modules/a/node_modules/@b/c`. */
function packageFolder(input) {
  return input.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0];
}

async function describe(folder) {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const title = `${name} ${version} (${license})`;
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  return file ? `${title}\n\n${(await readFile(join(folder, file), 'utf8')).trim()}` : title;
}
