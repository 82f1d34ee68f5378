// Bundles src/ into dist/: dependencies included, so that what ships needs no node_modules; commands that
// do not talk to AWS load no SDK, since every command body is a dynamic import and thus a chunk of its own.
import { rename, rm, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';
import { licencesOf } from './licences.mjs';

// Built aside and moved into place, so that a program that runs from dist/ meanwhile finds its chunks.
const aside = `dist.${process.pid}`;
const { metafile } = await build({
  entryPoints: ['src/main.ts'],
  outdir: aside,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  mainFields: ['module', 'main'],
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
  // CommonJS dependencies call require for Node's own modules, which an ES module does not have.
  banner: {
    js: "import { createRequire as replikeyRequire } from 'node:module'; const require = replikeyRequire(import.meta.url);",
  },
});
await writeFile(`${aside}/THIRD-PARTY-LICENSES.txt`, await licencesOf(Object.keys(metafile.inputs)));
await rm('dist', { recursive: true, force: true });
await rename(aside, 'dist');
