// Runs the benchmarks of bench/, bundled first: Node 20 does not run TypeScript by itself.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const named = process.argv.slice(2);
const files = (await readdir('bench')).filter((file) => file.endsWith('.ts'));
// These take their time, and are asked for by name.
const LONG = ['soak.ts', 'rivals.ts'];
const chosen =
  named.length === 0
    ? files.filter((file) => !LONG.includes(file))
    : files.filter((file) => named.includes(path.parse(file).name));
if (chosen.length === 0)
  throw new Error(
    `there is no such benchmark; known: ${files.map((file) => path.parse(file).name).join(', ')}`,
  );
const folder = await mkdtemp(path.join(tmpdir(), 'replikey-bench-'));
try {
  await build({
    entryPoints: [
      ...chosen.map((file) => path.join('bench', file)),
      // What they start beside themselves.
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
  for (const file of chosen) {
    console.log(`## ${path.parse(file).name} (Node ${process.versions.node})\n`);
    await import(pathToFileURL(path.join(folder, file.replace(/\.ts$/, '.mjs'))).href);
  }
} finally {
  await rm(folder, { recursive: true });
}
