import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadSpecFiles } from '../../src/spec/load.ts';
import { TAX, tax } from './support.ts';

const bytes = (...values: (string | number[])[]): Uint8Array =>
  Buffer.concat(
    values.map((value) => (typeof value === 'string' ? Buffer.from(value) : Uint8Array.from(value))),
  );

const bomb = ['apiVersion: replikey.dev/v1\na: &a [x, x, x, x, x, x, x, x, x]\n']
  .concat(
    [...'bcdefghij'].map((name, index) => {
      const before = 'abcdefghij'.charAt(index);
      return `${name}: &${name} [${Array(9).fill(`*${before}`).join(', ')}]\n`;
    }),
  )
  .join('');

/** Hostile content, with the position, the message and the hint of its problem. */
const HOSTILE: [name: string, content: Uint8Array, position: string, message: RegExp, hint: RegExp][] = [
  ['a BOM', bytes([0xef, 0xbb, 0xbf], TAX), '1:1', /byte order mark/, /without/],
  ['a BOM in the middle', bytes(TAX, '---\n\uFEFF', TAX), '17:1', /byte order mark/, /without/],
  ['UTF-16', bytes([0xff, 0xfe], [...TAX].map((c) => `${c}\0`).join('')), '1:1', /UTF-16/, /UTF-8/],
  ['CRLF', bytes(TAX.replaceAll('\n', '\r\n')), '1:28', /carriage return/, /LF.*\.gitattributes/],
  ['a lone CR', bytes('a: b\rc: d\n'), '1:5', /carriage return/, /LF/],
  ['a NUL byte', bytes('a: b\n\0'), '2:1', /NUL/, /text file/],
  ['an executable', bytes([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0]), '1:8', /NUL/, /text file/],
  ['an escape sequence', bytes('a: \x1b[31mred\n'), '1:4', /control character U\+001B/, /remove/],
  ['Latin-1', bytes('# Steuer\nname: M', [0xfc], 'nchen\n'), '2:8', /not UTF-8/, /Latin-1/],
  ['truncated UTF-8', bytes('a: \uFFFD ', [0xe2, 0x82]), '1:6', /not UTF-8/, /UTF-8/],
  ['ten thousand brackets', bytes('['.repeat(10_000)), '1:65', /64 levels/, /bracket/],
  ['ten thousand mappings', bytes('{a: '.repeat(10_000)), '1:254', /64 levels/, /bracket/],
  ['ten thousand dashes', bytes('- '.repeat(10_000)), '1:128', /64 levels/, /bracket/],
  [
    'dashes that all close on one line',
    bytes('- '.repeat(300_000), '\nx: y\n'),
    '1:128',
    /64 levels/,
    /bracket/,
  ],
  ['ten thousand question marks', bytes('? '.repeat(10_000)), '1:128', /64 levels/, /bracket/],
  [
    'a thousand levels of indentation',
    bytes(Array.from({ length: 1000 }, (_, n) => `${' '.repeat(n)}a:\n`).join('')),
    '64:65',
    /64 levels/,
    /indentation/,
  ],
  ['nesting inside a valid spec', bytes(tax(['Tax/', '['.repeat(500)])), '15:75', /64 levels/, /bracket/],
  ['an alias bomb', bytes(bomb), '5:8', /more than 100 values/, /write the values out/],
  [
    'nested aliases',
    bytes(
      'apiVersion: replikey.dev/v1\n',
      Array.from({ length: 80 }, (_, n) => (n === 0 ? 'k0: &a0 x\n' : `k${n}: &a${n} [*a${n - 1}]\n`)).join(
        '',
      ),
    ),
    '16:12',
    /more than 100 values/,
    /write the values out/,
  ],
  [
    'thirty thousand duplicate keys',
    bytes('apiVersion: replikey.dev/v1\n', 'k: v\n'.repeat(30_000)),
    '3:1',
    /duplicate key/,
    /keep one/,
  ],
  [
    'two thousand documents',
    bytes('apiVersion: replikey.dev/v1\n---\n'.repeat(2000)),
    '2000:1',
    /1000 documents/,
    /split/,
  ],
  ['an unknown tag', bytes('a: !!python/object:os.system x\n'), '1:4', /tag is unknown/, /remove the tag/],
  [
    'a binary tag',
    bytes('apiVersion: replikey.dev/v1\na: !!binary aGk=\n'),
    '2:13',
    /tag is unknown/,
    /remove the tag/,
  ],
  ['YAML 1.1', bytes('%YAML 1.1\n---\na: no\n'), '1:1', /directives/, /1\.2/],
  [
    'a list of commas',
    bytes('[', ','.repeat(2 ** 20 - 2), ']'),
    '1:250000',
    /250000 YAML tokens/,
    /repeated/,
  ],
  ['half a million items', bytes('- \n'.repeat(300_000)), '83334:1', /250000 YAML tokens/, /split/],
  ['a mapping as a key', bytes('{a: b}: c\n'), '1:1', /key must be a string/, /quote/],
];

test.each(HOSTILE)('loadSpecFiles: reports %s as a problem', async (_, content, position, message, hint) => {
  const { problems, specs } = await loadSpecFiles([{ file: 'specs/x.yaml', bytes: content }]);
  const first = problems.find((problem) => message.test(problem.message));
  expect(first?.hint).toMatch(hint);
  expect(`${first?.position.line}:${first?.position.column}`).toBe(position);
  expect(specs).toBe(undefined);
});

test('loadSpecFiles: treats names of JavaScript properties as plain keys', async () => {
  const content = bytes(`${TAX}constructor: { prototype: { polluted: true } }\ntoString: x\n`);
  const { problems } = await loadSpecFiles([{ file: 'x.yaml', bytes: content }]);
  expect(problems.map(({ path: field, message }) => `${field}: ${message}`)).toEqual([
    'constructor: unknown field',
    'toString: unknown field',
  ]);
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});

test.each([
  [
    'a boolean',
    tax(['key: alias/acme-tax\n', 'key: { alias: alias/acme-tax, rotation: { toString: 1 } }\n']),
  ],
  [
    'an enum value',
    tax(['    region: us-west-2', '    region: us-west-2\n    storageClass: { toString: 1 }']),
  ],
])('loadSpecFiles: reports a mapping with its own toString in place of %s', async (_, text) => {
  const { problems } = await loadSpecFiles([{ file: 'x.yaml', bytes: bytes(text) }]);
  expect(problems.map(({ message }) => message)).toEqual([expect.stringContaining('found a mapping')]);
});

test('loadSpecFiles: reports 100 problems of a file, and the number of the remaining ones', async () => {
  const labels = Array.from({ length: 500 }, (_, n) => `    "bad ${n}": x\n`).join('');
  const content = bytes(tax(['name: tax', `name: tax\n  labels:\n${labels}`]));
  const { problems } = await loadSpecFiles([{ file: 'x.yaml', bytes: content }]);
  expect(problems).toHaveLength(101);
  expect(problems.at(-1)?.message).toBe('400 more problems in this file are not shown');
});

let folder: string;
let program: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-spec-'));
  program = path.join(folder, 'load.mjs');
  const entry = `
    import { existsSync, readFileSync } from 'node:fs';
    import { loadSpecs } from ${JSON.stringify(path.resolve('src/spec/load.ts'))};
    const [mode, ...rest] = process.argv.slice(2);
    const stop = new AbortController();
    if (mode === '--signal') {
      process.once('SIGTERM', () => stop.abort(new Error('stopped by SIGTERM')));
      setImmediate(() => process.stdout.write('loading\\n'));
    }
    const before = process.cpuUsage();
    try {
      const paths = mode.startsWith('--') ? rest : [mode, ...rest];
      const { problems } = await loadSpecs(paths, undefined, { signal: stop.signal });
      const messages = problems.map(({ message }) => message);
      const { user, system } = process.cpuUsage(before);
      // On Linux, maxRSS includes the memory of the process that started this one; VmHWM does not.
      const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
      const maxRssKb = Number(/VmHWM:\\s+(\\d+)/.exec(status)?.[1] ?? process.resourceUsage().maxRSS);
      const usage = { maxRssMb: maxRssKb / 1024, cpuS: (user + system) / 1e6, messages };
      process.stdout.write(JSON.stringify(mode === '--usage' ? usage : messages));
    } catch (error) {
      process.stdout.write(error.message + '\\n');
    }`;
  await build({
    stdin: { contents: entry, resolveDir: process.cwd(), loader: 'ts' },
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    logLevel: 'error',
  });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test('loadSpecs: survives nesting that aborts Node 20 inside the parser', async () => {
  // Only a process that has parsed before aborts. Therefore one process loads all shapes.
  const shapes = ['[', '{a: ', '- ', '? ', '[{a: ', '- - - ', '? - ', '!!x [', '&a [', '"a": ['].flatMap(
    (shape) => [
      shape.repeat(10_000),
      shape.repeat(60_000),
      `${shape.repeat(30_000)}\nx: y\n`,
      `a:\n  ${shape.repeat(20_000)}`,
    ],
  );
  const files = await Promise.all(
    shapes.map(async (shape, index) => {
      const file = path.join(folder, `deep-${index}.yaml`);
      await writeFile(file, shape);
      return file;
    }),
  );
  // An aborted process fails here with signal SIGABRT or code 134.
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...files]);
  const messages = JSON.parse(stdout) as string[];
  expect(messages).toHaveLength(shapes.length);
  expect(new Set(messages)).toEqual(new Set(['more than 64 levels of nesting']));
});

/** Shapes just below the limit of tokens, which are composed, and above it. The first lines make them specs. */
const HEADER = 'apiVersion: replikey.dev/v1\nkind: BucketReplication\n';
const COSTLY: [name: string, text: string][] = [
  ['commas', `[${','.repeat(2 ** 20 - 2)}]`],
  ['commas below the limit', `[${','.repeat(249_990)}]`],
  ['tags below the limit', '! '.repeat(124_990)],
  ['items below the limit of a spec', `${HEADER}x: [${'a,'.repeat(83_000)}]`],
  [
    'keys below the limit of a spec',
    `${HEADER}x: {${Array.from({ length: 41_000 }, (_, n) => `k${n}: ,`).join('')}}`,
  ],
];

test.each(COSTLY)(
  'loadSpecs: a file of %s needs less than 200 MB and 2 s of CPU time',
  { timeout: 120_000 },
  async (name, text) => {
    const file = path.join(folder, `${name.replaceAll(' ', '-')}.yaml`);
    await writeFile(file, text);
    const { stdout } = await promisify(execFile)(process.execPath, [program, '--usage', file]);
    const { maxRssMb, cpuS } = JSON.parse(stdout) as { maxRssMb: number; cpuS: number };
    expect(maxRssMb).toBeLessThan(200);
    expect(cpuS).toBeLessThan(2);
  },
);

test('loadSpecs: ten thousand files load within 400 MB', { timeout: 240_000 }, async () => {
  const many = path.join(folder, 'many');
  await mkdir(many);
  for (let index = 0; index < 10_000; index++) {
    const text = tax(
      ['name: tax', `name: t${index}`],
      ['bucket: acme-tax\n', `bucket: s-${index}\n`],
      ['acme-tax-replica\n', `r-${index}\n`],
    );
    await writeFile(path.join(many, `${index}.yaml`), text);
  }
  const { stdout } = await promisify(execFile)(process.execPath, [program, '--usage', many]);
  const { maxRssMb, messages } = JSON.parse(stdout) as { maxRssMb: number; messages: string[] };
  expect(messages).toEqual([]);
  expect(maxRssMb).toBeLessThan(400);
});

test('loadSpecs: SIGTERM during the load of many files stops it', { timeout: 120_000 }, async () => {
  const files = Array.from({ length: 40 }, () => path.join(folder, 'commas-below-the-limit.yaml'));
  const copies = await Promise.all(
    files.map(async (file, index) => {
      const copy = path.join(folder, `copy-${index}.yaml`);
      await copyFile(file, copy);
      return copy;
    }),
  );
  const child = spawn(process.execPath, [program, '--signal', ...copies], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // The program prints a line after the first yield of the load.
  child.stdout.once('data', () => child.kill('SIGTERM'));
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await once(child, 'close');
  expect(output).toBe('loading\nstopped by SIGTERM\n');
});

test('loadSpecs: reports files and folders without permission, and reads the others', async () => {
  const restrictedFolder = path.join(folder, 'secret');
  await mkdir(path.join(restrictedFolder, 'closed'), { recursive: true });
  await writeFile(path.join(restrictedFolder, 'a.yaml'), TAX);
  await writeFile(path.join(restrictedFolder, 'b.yaml'), 'apiVersion: replikey.dev/v1\nkind: Nothing\n');
  await chmod(folder, 0o755);
  await chmod(path.join(restrictedFolder, 'a.yaml'), 0);
  await chmod(path.join(restrictedFolder, 'closed'), 0);
  // Root can read every file. Therefore root runs the program as another user.
  const unprivileged = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const { stdout } = await promisify(execFile)(process.execPath, [program, restrictedFolder], {
    ...unprivileged,
    cwd: '/',
  });
  expect(JSON.parse(stdout)).toEqual([
    'cannot be read: permission denied',
    'expected BucketReplication, Account, Guardrails, Defaults or Variables, found "Nothing"',
    'cannot be read: permission denied',
  ]);
  await chmod(path.join(restrictedFolder, 'closed'), 0o755);
});
