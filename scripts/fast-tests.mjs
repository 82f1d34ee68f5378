/**
 * Selects the tests of `npm run test:fast`: those that start no process and no server, and are not long property tests. The
 * imports of a test decide. test/support/fast-setup.ts fails a fast test that starts a process or a server.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { importsOf } from './source-graph.mjs';

/** Folders whose tests are slow, regardless of their imports. */
const SLOW_FOLDERS = ['test/faults/', 'test/flows/', 'test/fuzz/'];
/** Packages that start a process, or take seconds. */
const SLOW_PACKAGE =
  /^(?:node:)?(?:child_process|cluster|worker_threads)$|^(?:esbuild|playwright-core|@cloud-copilot\/.*)$/;
/** Code that starts a server, or watches files. */
const SLOW_CODE = /\.listen\(|^import \{[^}]*\bwatch\b[^}]*\} from 'node:fs';/m;

/**
 * Returns the reason why a test is slow: the file that makes it slow, and its import or call. Undefined for a fast test.
 * `sources`: texts of all files by path. Dynamic imports in src do not count, because the command line imports all of src that way.
 */
export function slowReason(test, sources) {
  const folder = SLOW_FOLDERS.find((prefix) => test.startsWith(prefix));
  if (folder) return `is in ${folder}`;
  const reached = new Set([test]);
  for (const file of reached) {
    const text = sources.get(file);
    if (text === undefined) continue;
    const { local, dynamic, packages } = importsOf(file, text);
    const name = packages.find((specifier) => SLOW_PACKAGE.test(specifier));
    if (name) return `${file} imports ${name}`;
    if (SLOW_CODE.test(text)) return `${file} starts a server or watches files`;
    for (const target of [...local, ...(file.startsWith('src/') ? [] : dynamic)]) reached.add(target);
  }
  return undefined;
}

/** Returns the paths of the fast tests of a checkout, sorted. */
export function fastTests(root) {
  const sources = new Map(
    ['bench', 'scripts', 'src', 'test'].flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => /\.(?:ts|mjs|mts)$/.test(file))
        .map((file) => path.posix.join(folder, file.replaceAll(path.sep, '/')))
        .map((file) => [file, readFileSync(path.join(root, file), 'utf8')]),
    ),
  );
  return [...sources.keys()]
    .filter((file) => file.endsWith('.test.ts') && slowReason(file, sources) === undefined)
    .sort();
}
