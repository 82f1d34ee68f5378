import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { dynamicImportsOf, files, folderOf, imports, sourceTextOf } from './support/imports.ts';

/*
 * docs/architecture.md says what each room of src may do: a room is a folder, or a file that lies in none. Its tables and
 * its drawing are read here, and held against the code. An import is an arrow, as mermaid has it: solid for code, dotted
 * where types alone are taken.
 */
const document = readFileSync('docs/architecture.md', 'utf8');
const CODE = '-->';
const TYPES = '-.->';

const folders = [...new Set(files.map(folderOf))].sort();
const inCode = folders.flatMap(arrowsFrom).sort();
const inTable = rowsOf('Who imports whom').flatMap(([from = '', code = '', types = '']) => [
  ...quoted(code).map((to) => `${quoted(from)} ${CODE} ${to}`),
  ...quoted(types).map((to) => `${quoted(from)} ${TYPES} ${to}`),
]);
const drawing = /```mermaid\n(.*?)```/s.exec(document)?.[1] ?? '';

function arrowsFrom(room: string): string[] {
  const own = files.filter((file) => folderOf(file) === room);
  const others = (targets: readonly string[]) =>
    [...new Set(targets.map(folderOf))].filter((to) => to !== room);
  const code = others(own.flatMap(codeFor));
  const types = others(own.flatMap(typesFor));
  return [
    ...code.map((to) => `${room} ${CODE} ${to}`),
    ...types.filter((to) => !code.includes(to)).map((to) => `${room} ${TYPES} ${to}`),
  ];
}

function codeFor(file: string): string[] {
  return [...(imports.get(file)?.local ?? []), ...dynamicImportsOf(file)];
}

function typesFor(file: string): string[] {
  return imports.get(file)?.types ?? [];
}

/** The rows of the table under a heading, without its head. */
function rowsOf(heading: string): string[][] {
  const [, section = ''] = document.split(`## ${heading}\n`);
  const lines = (section.split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('|'));
  return lines.slice(2).map((line) => line.slice(1, -1).split('|'));
}

/** What stands in backticks; `src/core` is the room `core`. */
function quoted(cell: string): string[] {
  return [...cell.matchAll(/`(?:src\/)?([^`]+)`/g)].map(([, name = '']) => name);
}

/** The layers of the drawing from above, each with its boxes. */
const layers = [...drawing.matchAll(/^ {2}subgraph .*?\n(.*?)^ {2}end$/gms)].map(([, inside = '']) => [
  ...new Set(inside.split(/\s+|-->|-\.->|&/).filter((word) => word !== '')),
]);

/** `a --> b --> c & d` is three arrows. */
const drawn = drawing.split('\n').flatMap((line) => {
  const [first = '', ...rest] = line.trim().split(/ (-->|-\.->) /);
  const ends = rest.flatMap((to, index) =>
    index % 2 === 0 ? [] : [{ from: rest[index - 2] ?? first, by: rest[index - 1], to }],
  );
  return ends.flatMap(({ from, by, to }) => to.split(' & ').map((one) => `${from} ${by} ${one}`));
});

/** Where arrows lead from a room, directly or by way of others. */
function reached(from: string, arrows: readonly string[], seen = new Set<string>()): Set<string> {
  for (const to of arrows.filter((arrow) => arrow.startsWith(`${from} `)).map(endOf)) {
    if (!seen.has(to)) reached(to, arrows, seen.add(to));
  }
  return seen;
}

const startOf = (arrow: string): string => arrow.split(' ')[0] ?? '';
const endOf = (arrow: string): string => arrow.split(' ')[2] ?? '';

/** The arrows that follow from no others: one of code from a way along code, one of types from any way. */
function needed(arrows: readonly string[]): string[] {
  const ofCode = arrows.filter((arrow) => arrow.includes(` ${CODE} `));
  return arrows.filter((arrow) => {
    const ways = ofCode.includes(arrow) ? ofCode : arrows;
    const beside = ways.filter((other) => other !== arrow && startOf(other) === startOf(arrow));
    return !beside.some((other) => reached(endOf(other), ways).has(endOf(arrow)));
  });
}

const missingIn = (there: readonly string[], from: readonly string[]) =>
  from.filter((one) => !there.includes(one));

/** The files for which an arrow stands. */
const behind = (arrow: string): string[] =>
  files.filter(
    (file) =>
      folderOf(file) === startOf(arrow) &&
      [...codeFor(file), ...typesFor(file)].some((target) => folderOf(target) === endOf(arrow)),
  );

test('no folder imports what the table does not allow', () => {
  expect(inCode.length).toBeGreaterThan(folders.length);
  const strangers = missingIn(inTable, inCode);
  expect(strangers.map((arrow) => `${arrow} (${behind(arrow).join(', ')})`)).toEqual([]);
});

test('the table allows nothing that no folder does', () => {
  expect(missingIn(inCode, inTable)).toEqual([]);
  expect(rowsOf('Who imports whom').flatMap(([from = '']) => quoted(from))).toEqual(layers.flat());
});

test('every folder is a box of the drawing, and every box a folder', () => {
  expect(layers.flat().sort()).toEqual(folders);
});

test('the drawing has every import that follows from no others, and no arrow besides', () => {
  expect(drawn.sort()).toEqual(needed(inCode));
});

test('no arrow of the drawing leads to a layer above', () => {
  const layerOf = (room: string) => layers.findIndex((layer) => layer.includes(room));
  expect(drawn.filter((arrow) => layerOf(endOf(arrow)) < layerOf(startOf(arrow)))).toEqual([]);
});

test('no folder imports itself by way of others', () => {
  expect(folders.filter((room) => reached(room, inCode).has(room))).toEqual([]);
});

test('the sandbox knows nothing of the reconciler, and the command line alone starts it', () => {
  expect(inCode.filter((arrow) => arrow.startsWith('sandbox '))).toEqual([
    `sandbox ${CODE} http`,
    `sandbox ${CODE} iam`,
  ]);
  expect(inCode.filter((arrow) => arrow.endsWith(' sandbox'))).toEqual([`cli ${CODE} sandbox`]);
  expect(inCode.filter((arrow) => /^(iam|http) /.test(arrow))).toEqual([]);
});

/** Folders by what the document says of their I/O. */
const roomsThat = (may: string): string[] =>
  rowsOf('The rooms').flatMap(([name = '', , io = '']) => (io.trim() === may ? quoted(name) : []));

test('the document tells what every folder holds', () => {
  expect(
    rowsOf('The rooms')
      .flatMap(([name = '']) => quoted(name))
      .sort(),
  ).toEqual(folders);
  expect(roomsThat('no')).toEqual(expect.arrayContaining(['core', 'iam', 'proof', 'report']));
});

test.each(roomsThat('no'))('src/%s does no I/O, and has no clock, no chance, and no process', (name) => {
  for (const file of files.filter((one) => folderOf(one) === name)) {
    const io = /^(node:(?!crypto|zlib|util)|@aws-sdk|@smithy|pino|p-)/;
    expect(
      imports.get(file)?.packages.filter((one) => io.test(one)),
      file,
    ).toEqual([]);
    const effects = /\b(Date\.now|new Date\(\)|Math\.random|randomUUID|performance\.|process\.|fetch\()/g;
    expect(sourceTextOf(file).match(effects), file).toBe(null);
  }
});

test.each(roomsThat('through the door alone'))('src/%s reaches the world through the door alone', (name) => {
  for (const file of files.filter((one) => folderOf(one) === name)) {
    const io = /^node:(?!crypto|zlib|util)/;
    expect(
      imports.get(file)?.packages.filter((one) => io.test(one)),
      file,
    ).toEqual([]);
    expect(sourceTextOf(file).match(/\bnew \w+Client\(|\bfetch\(/g), file).toBe(null);
  }
});
