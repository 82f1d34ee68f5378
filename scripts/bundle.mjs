// How src/ becomes one program: dependencies included, so that what ships needs no node_modules; commands that
// do not talk to AWS load no SDK, since every command body is a dynamic import and thus a chunk of its own.
import { wholeClients } from './whole-clients.mjs';

/** For esbuild. */
export const BUNDLE = {
  entryPoints: ['src/main.ts'],
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
