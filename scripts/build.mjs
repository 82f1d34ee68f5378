// Makes dist/: the bundle, the licences of what is in it, and its bill of materials.
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';
import { BUNDLE } from './bundle.mjs';
import { licencesOf } from './licences.mjs';
import { packagesOf, unfitToShip } from './packages.mjs';
import { sbomOf } from './sbom.mjs';

const json = async (file) => JSON.parse(await readFile(file, 'utf8'));

// Built aside and moved into place, so that a program that runs from dist/ meanwhile finds its chunks.
const aside = `dist.${process.pid}`;
const { metafile } = await build({ ...BUNDLE, outdir: aside });
const packages = await packagesOf(Object.keys(metafile.inputs));
const unfit = unfitToShip(packages);
if (unfit.length > 0) {
  await rm(aside, { recursive: true });
  throw new Error(`not under a licence that may ship:\n${unfit.join('\n')}`);
}
const sbom = sbomOf(packages, await json('package.json'), await json('package-lock.json'));
await writeFile(`${aside}/THIRD-PARTY-LICENSES.txt`, licencesOf(packages));
await writeFile(`${aside}/sbom.cdx.json`, `${JSON.stringify(sbom, null, 2)}\n`);
await rm('dist', { recursive: true, force: true });
await rename(aside, 'dist');
