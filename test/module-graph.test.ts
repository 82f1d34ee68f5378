import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FOLDERS, renderArchitecture } from '../scripts/architecture.mjs';
import { allLocal, cyclesOf, folderImports, readSources } from '../scripts/source-graph.mjs';
import { files, folderOf, imports, sourceTextOf } from './support/imports.ts';

/* scripts/architecture.mjs declares the layers of src and the I/O of each folder. These tests hold the code to them. */

const folders = folderImports(imports);
const targetsOf = (folder: string): string[] => {
  const { code = [], types = [] } = folders.get(folder) ?? {};
  return [...code, ...types];
};
const layerOf = (folder: string): number => FOLDERS.get(folder)?.layer ?? Number.NaN;

/** Imports from one folder to another, each with its files. */
const crossImports = [...imports].flatMap(([file, fileImports]) =>
  allLocal(fileImports).flatMap((target) => (folderOf(target) === folderOf(file) ? [] : [{ file, target }])),
);

describe('docs/explanation/architecture.md', () => {
  const document = readFileSync('docs/explanation/architecture.md', 'utf8');
  const sources = readSources('src');

  test('drawing and tables are generated from the code: npm run generate', () => {
    expect(renderArchitecture(document, sources)).toBe(document);
  });

  test('a new import between folders changes the drawing or the table', () => {
    const changed = new Map([...sources, ['iam/added.ts', "import { EXIT } from '../errors.ts';\n"]]);
    expect(renderArchitecture(document, changed)).not.toBe(document);
  });

  test('a folder without a layer is refused', () => {
    expect(() => renderArchitecture(document, new Map([...sources, ['added/file.ts', '']]))).toThrow(
      'add to LAYERS in scripts/architecture.mjs: added',
    );
  });
});

test('module graph: no folder imports from a higher layer', () => {
  expect(crossImports.length).toBeGreaterThan(folders.size);
  expect(
    crossImports.filter(({ file, target }) => !(layerOf(folderOf(target)) >= layerOf(folderOf(file)))),
  ).toEqual([]);
});

test('module graph: no file and no folder is in an import cycle, types included', () => {
  expect(cyclesOf(folders.keys(), targetsOf)).toEqual([]);
  expect(cyclesOf(files, (file) => imports.get(file)?.local ?? [])).toEqual([]);
});

test('module graph: the sandbox imports only iam/, ARNs and the host check, and only cli/ imports it', () => {
  const shared = crossImports.filter(({ file }) => folderOf(file) === 'sandbox').map(({ target }) => target);
  const utilities = ['util/arn.ts', 'util/host-check.ts'];
  expect(shared.filter((target) => folderOf(target) !== 'iam' && !utilities.includes(target))).toEqual([]);
  expect([...folders.keys()].filter((folder) => targetsOf(folder).includes('sandbox'))).toEqual(['cli']);
  expect(targetsOf('iam')).toEqual([]);
});

const foldersWithIo = (io: string): string[] =>
  [...FOLDERS].flatMap(([name, folder]) => (folder.io === io ? [name] : []));

const filesOf = (folder: string): string[] =>
  files.filter((file) => folderOf(file) === folder && !FOLDERS.get(folder)?.ioFiles.includes(file));

const packagesOf = (file: string, pattern: RegExp): string[] =>
  (imports.get(file)?.packages ?? []).filter((name) => pattern.test(name));

test('module graph: core, iam, policy, proof, report and spec are declared without I/O', () => {
  expect(foldersWithIo('none')).toEqual(
    expect.arrayContaining(['core', 'iam', 'policy', 'proof', 'report', 'spec']),
  );
});

/* `fetch(aws, …)` is the member of a kind; every other call of `fetch` is the global function. */
test.each(foldersWithIo('none'))(
  'module graph: src/%s uses no I/O, clock, randomness or process',
  (folder) => {
    for (const file of filesOf(folder)) {
      expect(packagesOf(file, /^(node:(?!crypto|zlib|util|path)|@aws-sdk|@smithy|pino|p-)/), file).toEqual(
        [],
      );
      const effects =
        /\b(Date\.now|new Date\(\)|Math\.random|randomUUID|performance\.|process\.|(?<!\.)fetch\((?!\s*aws\b))/g;
      expect(sourceTextOf(file).match(effects), file).toBe(null);
    }
  },
);

test.each(foldersWithIo('AWS client'))(
  'module graph: src/%s calls AWS only through the AWS client',
  (folder) => {
    for (const file of filesOf(folder)) {
      expect(packagesOf(file, /^node:(?!crypto|zlib|util|stream)/), file).toEqual([]);
      expect(sourceTextOf(file).match(/\bnew \w+Client\(|(?<![.\w])fetch\((?!\s*aws\b)/g), file).toBe(null);
    }
  },
);
