#!/usr/bin/env node
/**
 * Writes the generated parts of docs/explanation/architecture.md: the table of folders, the drawing, and the table of imports.
 * `--check` writes nothing and fails when they are out of date. Part of `npm run generate`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { folderImports, importsByFile, readSources } from './source-graph.mjs';

const ROOT = path.join(import.meta.dirname, '..');
const DOCUMENT = path.join(ROOT, 'docs/explanation/architecture.md');

/**
 * The layers of src from the top, each with its folders and the files that are in none. A folder may import from its own
 * layer and from lower ones. `io`: `none`, `AWS client` (only through `src/aws/client.ts`) or `any`. `ioFiles`: the files of
 * the folder to which the limit does not apply.
 */
export const LAYERS = [
  {
    title: 'Entry points',
    folders: {
      'main.ts': { holds: 'start of the program: loads the command line and sets the exit code', io: 'any' },
      'healthcheck.ts': { holds: 'health check of the container image', io: 'any' },
      cli: {
        holds:
          'commands with their flags, help and output; loads the code of a command when the command runs',
        io: 'any',
      },
    },
  },
  {
    title: 'Controller',
    folders: {
      kubernetes: {
        holds:
          'API server client, reflectors, custom resources with their definitions, status and events, leases',
        io: 'any',
      },
      controller: {
        holds:
          'work queue, spec watcher, last known good specs, conditions, leader election, attribution of drift, failure events, metrics, status page',
        io: 'any',
      },
    },
  },
  {
    title: 'Output',
    folders: {
      report: {
        holds: 'plans, proofs and outcomes as text, Markdown, JSON and SARIF, with their schemas',
        io: 'none',
      },
      'log.ts': { holds: 'log on standard error', io: 'any' },
    },
  },
  {
    title: 'One pass',
    folders: {
      snapshot: {
        holds: 'recorded responses of AWS: record, replay, and the file that holds them',
        io: 'AWS client',
      },
      fleet: {
        holds: 'survey of all buckets of many accounts: findings, totals, and the difference to the last run',
        io: 'AWS client',
        ioFiles: ['fleet/journal.ts'],
      },
      script: { holds: 'a plan as a shell script of guarded AWS CLI calls', io: 'AWS client' },
      reconcile: {
        holds: 'pipeline of a pass: observe, plan, prove, guard, apply; deletion of orphans',
        io: 'AWS client',
      },
    },
  },
  {
    title: 'Parts of a pass',
    folders: {
      import: { holds: 'discovery of existing replication, and specs rendered from it', io: 'AWS client' },
      doctor: { holds: 'diagnosis of buckets as they are in AWS, without specs', io: 'AWS client' },
      prune: {
        holds: 'search for orphans of removed specs',
        io: 'AWS client',
      },
      canary: { holds: 'canaries: test objects written to observe replication', io: 'AWS client' },
      iac: {
        holds: 'plans, states and templates of other tools, mapped to facts and proven',
        io: 'none',
      },
      facts: {
        holds: 'facts for the proof, read from AWS or taken from files',
        io: 'AWS client',
        ioFiles: ['facts/from-files.ts'],
      },
    },
  },
  {
    title: 'AWS documents',
    folders: {
      kinds: { holds: 'one file for each AWS document that replikey manages', io: 'AWS client' },
      aws: {
        holds:
          'the AWS client: SDK clients, cache, batches, rate limits, retries, validated responses, errors',
        io: 'any',
      },
    },
  },
  {
    title: 'Decisions',
    folders: {
      proof: {
        holds:
          'proof that rules replicate: the requests of S3, the policies that decide them, findings and fixes',
        io: 'none',
      },
      policy: {
        holds: 'statements and policies that replication needs, and least-privilege policies',
        io: 'none',
      },
      core: {
        holds: 'resources, references, plan, waves, guard, risks, adoption, handover, facts as data',
        io: 'none',
      },
    },
  },
  {
    title: 'Foundations',
    folders: {
      sandbox: { holds: 'AWS emulator behind HTTP; imports nothing of the reconciler', io: 'any' },
      iam: { holds: 'policy evaluator, shared with the sandbox', io: 'none' },
      spec: {
        holds: 'YAML to pairs: parser, schema, variables, checks, problems with file, line and column',
        io: 'none',
        ioFiles: ['spec/files.ts'],
      },
      util: { holds: 'canonical JSON, escaping, clock, backoff, mutex, ARNs, files, host check', io: 'any' },
      'errors.ts': { holds: 'exit codes, and errors for the user', io: 'none' },
    },
  },
];

/** Folders with their layer, in the order of the layers. */
export const FOLDERS = new Map(
  LAYERS.flatMap(({ folders }, layer) =>
    Object.entries(folders).map(([name, folder]) => [name, { layer, ioFiles: [], ...folder }]),
  ),
);

const CODE = '-->';
const TYPES = '-.->';

/** Returns the arrows of the drawing, without those that follow from others. */
function drawnArrows(imports) {
  const arrows = [...imports].flatMap(([from, { code, types }]) => [
    ...code.map((to) => ({ from, by: CODE, to })),
    ...types.map((to) => ({ from, by: TYPES, to })),
  ]);
  const reaches = (from, to, ways, visited = new Set()) =>
    ways.some((way) => {
      if (way.from !== from || visited.has(way.to)) return false;
      return way.to === to || reaches(way.to, to, ways, visited.add(way.to));
    });
  return arrows.filter(({ from, by, to }) => {
    // Code implies types: an arrow of code follows from other code, an arrow of types from anything.
    const ways = arrows.filter((way) => by === TYPES || way.by === CODE);
    return !ways.some((way) => way.from === from && way.to !== to && reaches(way.to, to, ways));
  });
}

function drawing(imports) {
  const arrows = drawnArrows(imports);
  const names = [...FOLDERS.keys()];
  const arrowLine = (from, by) => {
    const targets = arrows.filter((arrow) => arrow.from === from && arrow.by === by).map(({ to }) => to);
    return targets.length === 0 ? [] : [`  ${from} ${by} ${targets.join(' & ')}`];
  };
  return [
    '```mermaid',
    'flowchart TD',
    ...LAYERS.flatMap(({ title, folders }, index) => [
      `  subgraph layer${index + 1} ["${title}"]`,
      ...Object.keys(folders).map((name) => `    ${name}`),
      '  end',
    ]),
    ...names.flatMap((name) => [...arrowLine(name, CODE), ...arrowLine(name, TYPES)]),
    '```',
  ].join('\n');
}

const quoted = (names) => names.map((name) => `\`${name}\``).join(', ');
const inOrder = (targets) => [...FOLDERS.keys()].filter((name) => targets.includes(name));

const importTable = (imports) =>
  [
    '| folder | imports | imports types alone |',
    '| --- | --- | --- |',
    ...[...FOLDERS.keys()].map((name) => {
      const { code, types } = imports.get(name);
      return `| \`${name}\` | ${quoted(inOrder(code)) || 'nothing'} | ${quoted(inOrder(types))} |`.replace(
        '|  |',
        '| |',
      );
    }),
  ].join('\n');

const ioText = ({ io, ioFiles }) =>
  ioFiles.length === 0 ? io : `${io}, except in ${quoted(ioFiles.map((file) => path.posix.basename(file)))}`;

const folderTable = () =>
  [
    '| folder | contents | I/O |',
    '| --- | --- | --- |',
    ...[...FOLDERS].map(([name, folder]) => `| \`src/${name}\` | ${folder.holds} | ${ioText(folder)} |`),
  ].join('\n');

/**
 * Returns the document with new generated parts.
 *
 * @throws Error when a folder has no layer, a layer names a folder that does not exist, or a marker is missing.
 */
export function renderArchitecture(document, sources) {
  const imports = folderImports(importsByFile(sources));
  const unplaced = [...imports.keys()].filter((name) => !FOLDERS.has(name));
  const missing = [...FOLDERS.keys()].filter((name) => !imports.has(name));
  if (unplaced.length > 0)
    throw new Error(`add to LAYERS in scripts/architecture.mjs: ${unplaced.join(', ')}`);
  if (missing.length > 0)
    throw new Error(`remove from LAYERS in scripts/architecture.mjs: ${missing.join(', ')}`);
  const parts = { folders: folderTable(), drawing: drawing(imports), imports: importTable(imports) };
  return Object.entries(parts).reduce((text, [name, part]) => {
    const [start, end] = [`<!-- generated: ${name} -->\n`, `<!-- end: ${name} -->`];
    const [from, to] = [text.indexOf(start), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`no markers for ${name} in docs/explanation/architecture.md`);
    return `${text.slice(0, from + start.length)}\n${part}\n${text.slice(to)}`;
  }, document);
}

if (process.argv[1] === import.meta.filename) {
  const document = readFileSync(DOCUMENT, 'utf8');
  const rendered = renderArchitecture(document, readSources(path.join(ROOT, 'src')));
  if (!process.argv.includes('--check')) writeFileSync(DOCUMENT, rendered);
  else if (rendered !== document) {
    console.error('docs/explanation/architecture.md is out of date: run npm run generate');
    process.exitCode = 1;
  }
}
