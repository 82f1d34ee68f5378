// Bundles and runs the benchmarks of bench/. The bundle is necessary because Node 20 does not run TypeScript.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const requestedNames = process.argv.slice(2);
const files = (await readdir('bench')).filter((file) => file.endsWith('.ts'));
// These take long, and run only when named.
const LONG = ['soak.ts', 'rivals.ts'];
const selected =
  requestedNames.length === 0
    ? files.filter((file) => !LONG.includes(file))
    : files.filter((file) => requestedNames.includes(path.parse(file).name));
if (selected.length === 0)
  throw new Error(`unknown benchmark; use one of: ${files.map((file) => path.parse(file).name).join(', ')}`);
const folder = await mkdtemp(path.join(tmpdir(), 'replikey-bench-'));
try {
  await build({
    entryPoints: [
      ...selected.map((file) => path.join('bench', file)),
      // Programs that the benchmarks start.
      ...(await readdir('bench/processes')).map((file) => path.join('bench/processes', file)),
    ],
    outbase: 'bench',
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    mainFields: ['module', 'main'],
    banner: {
      js: "import { createRequire as replikeyRequire } from 'node:module'; const require = replikeyRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  for (const file of selected) {
    console.log(`## ${path.parse(file).name} (Node ${process.versions.node})\n`);
    await import(pathToFileURL(path.join(folder, file.replace(/\.ts$/, '.mjs'))).href);
  }
} finally {
  await rm(folder, { recursive: true });
}
