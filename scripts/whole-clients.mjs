// The sandbox reads the forms of all operations from the clients of the SDK, the program only those that it sends. With
// a copy of its own for the sandbox, what the program never sends is left out of what it loads at its start.
import { readFile } from 'node:fs/promises';
import path from 'node:path';

const SANDBOX = path.join('src', 'sandbox', 'protocol', 'operations.ts');
const NAMESPACE = 'whole';

/** A plugin for esbuild. */
export const wholeClients = {
  name: 'whole-clients',
  setup(build) {
    const copy = async ({ path: name, kind, resolveDir }) => {
      const found = await build.resolve(name, { kind, resolveDir, pluginData: NAMESPACE });
      return { path: path.relative('', found.path), namespace: NAMESPACE, sideEffects: false };
    };
    build.onResolve({ filter: /^@aws-sdk\/client-/ }, (args) =>
      args.importer.endsWith(SANDBOX) && args.pluginData !== NAMESPACE ? copy(args) : undefined,
    );
    build.onResolve({ filter: /^\./, namespace: NAMESPACE }, copy);
    build.onLoad({ filter: /.*/, namespace: NAMESPACE }, async ({ path: file }) => ({
      contents: await readFile(file, 'utf8'),
      resolveDir: path.resolve(path.dirname(file)),
      loader: file.endsWith('.json') ? 'json' : 'js',
    }));
  },
};
