#!/usr/bin/env node
/**
 * Runs the command line from its source: `npm run dev -- ARGS`. Bundles src/ as a release does, but readable and with source
 * maps, and runs it in this process, so that signals, exit codes and a debugger need no forwarding.
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, stop } from 'esbuild';
import { BUNDLE } from './bundle.mjs';

const root = path.join(import.meta.dirname, '..');
const outdir = path.join(root, 'dist.dev');
await build({ ...BUNDLE, absWorkingDir: root, outdir, minify: false, sourcemap: 'linked', keepNames: true });
await stop();
process.setSourceMapsEnabled(true);
const main = path.join(outdir, 'main.js');
process.argv[1] = main;
await import(pathToFileURL(main).href);
