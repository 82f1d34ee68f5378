// The bundle of src/. It includes the dependencies, so that the package needs no node_modules. Each command is a dynamic
// import and thus its own chunk, so that commands without AWS load no SDK.
import { wholeClients } from './whole-clients.mjs';

/** Options for esbuild. */
export const BUNDLE = {
  entryPoints: ['src/main.ts', 'src/healthcheck.ts'],
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  mainFields: ['module', 'main'],
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
  plugins: [wholeClients],
  // CommonJS dependencies call require for Node's own modules, which an ES module does not have.
  banner: {
    js: "import { createRequire as replikeyRequire } from 'node:module'; const require = replikeyRequire(import.meta.url);",
  },
};
