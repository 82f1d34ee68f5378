// The sandbox uses the schemas of all operations of the SDK clients, the rest of the program only those that it sends. The
// sandbox gets its own copy of the clients, so that tree shaking removes unused operations from the other one.
import { readFile } from 'node:fs/promises';
import path from 'node:path';

const SANDBOX = path.join('src', 'sandbox', 'protocol', 'operations.ts');
const NAMESPACE = 'whole';

/** Plugin for esbuild. */
export const wholeClients = {
  name: 'whole-clients',
  setup(build) {
    const copy = async ({ path: name, kind, resolveDir }) => {
      const resolved = await build.resolve(name, { kind, resolveDir, pluginData: NAMESPACE });
      return { path: path.relative('', resolved.path), namespace: NAMESPACE, sideEffects: false };
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
