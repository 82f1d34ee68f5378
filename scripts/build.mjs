// Builds dist/: the bundle, the pages of the documentation that the controller serves, the licences of the packages, and the
// bill of materials.
import { cp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';
import { BUNDLE } from './bundle.mjs';
import { licencesOf } from './licences.mjs';
import { packagesOf, withForbiddenLicence } from './packages.mjs';
import { sbomOf } from './sbom.mjs';

const json = async (file) => JSON.parse(await readFile(file, 'utf8'));

// Builds in a temporary folder and moves it, so that a program that runs from dist/ meanwhile finds its chunks.
const buildFolder = `dist.${process.pid}`;
const { metafile } = await build({ ...BUNDLE, outdir: buildFolder });
const packages = await packagesOf(Object.keys(metafile.inputs));
const forbidden = withForbiddenLicence(packages);
if (forbidden.length > 0) {
  await rm(buildFolder, { recursive: true });
  throw new Error(`packages with a licence that is not permissive:\n${forbidden.join('\n')}`);
}
const sbom = sbomOf(packages, await json('package.json'), await json('package-lock.json'));
await writeFile(`${buildFolder}/THIRD-PARTY-LICENSES.txt`, licencesOf(packages));
await writeFile(`${buildFolder}/sbom.cdx.json`, `${JSON.stringify(sbom, null, 2)}\n`);
for (const folder of ['how-to', 'reference/findings'])
  await cp(`docs/${folder}`, `${buildFolder}/docs/${folder}`, { recursive: true });
await rm('dist', { recursive: true, force: true });
await rename(buildFolder, 'dist');
