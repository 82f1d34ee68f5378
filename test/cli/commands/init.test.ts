import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { renderStarterSpec, STARTER_QUESTIONS, type StarterSpec } from '../../../src/spec/starter-spec.ts';
import { pairOf } from '../../spec/support.ts';
import { isInstalled, MAIN, runCli } from '../../support/cli.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-init-'));
});
afterEach(() => rm(folder, { recursive: true }));

const at = (...names: string[]) => path.join(folder, ...names);
const init = (...args: string[]) => runCli(['init', ...args], { cwd: folder });

const PAIR = ['--bucket', 'acme.books', '--region', 'eu-west-1', '--region', 'eu-north-1'];

describe('reconcile init with options', () => {
  it('writes a valid spec that plans and converges, and the schema for the editor', async () => {
    const result = await init(...PAIR, '--prefix', 'Ledgers/');
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(await readdir(at('specs'))).toEqual(['acme-books.yaml', 'replikey.schema.json']);
    expect(await readFile(at('specs/acme-books.yaml'), 'utf8')).toMatchInlineSnapshot(`
      "# yaml-language-server: $schema=replikey.schema.json
      # A pair of buckets. S3 replicates new objects of the source, and encrypts each side with its own key.
      # replikey creates buckets, keys and the role when absent. All other fields have safe defaults:
      # reconcile explain BucketReplication lists the fields.
      apiVersion: replikey.dev/v1
      kind: BucketReplication
      metadata:
        name: acme-books # unique; part of rule ids, tags, logs and metrics
      spec:
        source:
          bucket: acme.books
          region: eu-west-1
          key: alias/acme-books # an alias, or the ARN of a key, which replikey never changes
        destination:
          bucket: acme.books-replica
          region: eu-north-1
          key: alias/acme-books-replica # a key in the Region of this bucket
        rules:
          - prefix: Ledgers/ # the objects whose key begins with this, literally
      "
    `);
    expect(JSON.parse(await readFile(at('specs/replikey.schema.json'), 'utf8'))).toEqual(
      JSON.parse((await runCli(['schema'])).stdout),
    );

    expect(await runCli(['validate', 'specs'], { cwd: folder })).toMatchObject({ code: 0 });
    const applied = await runCli(['--once', 'specs', '--sandbox', '-o', 'json'], { cwd: folder });
    expect(JSON.parse(applied.stdout).left.summary).toMatchObject({ create: 0, update: 0, blocked: 0 });
  });

  it('prints the next command, quoted for a shell', async () => {
    const { stdout } = await init(`it's mine.yaml`, ...PAIR);
    const [, next = ''] = /^ {2}(reconcile --once .*)$/m.exec(stdout) ?? [];
    const run = spawnSync('sh', ['-c', `reconcile() { "${process.execPath}" "${MAIN}" "$@"; }; ${next}`], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(run).toMatchObject({ status: 0, stdout: expect.stringContaining('Converged') });
  });

  it('never overwrites an existing spec or schema', async () => {
    await mkdir(at('specs'));
    await writeFile(at('specs/acme-books.yaml'), 'mine');
    await writeFile(at('specs/replikey.schema.json'), '{}');
    for (const args of [PAIR, ['specs/acme-books.yaml', ...PAIR]])
      expect(await init(...args)).toMatchObject({
        code: 64,
        stdout: '',
        stderr: 'specs/acme-books.yaml already exists and was not changed: choose another file\n',
      });
    expect(await init('specs/other.yaml', ...PAIR)).toMatchObject({ code: 0 });
    expect(await readFile(at('specs/acme-books.yaml'), 'utf8')).toBe('mine');
    expect(await readFile(at('specs/replikey.schema.json'), 'utf8')).toBe('{}');
    expect(await readdir(at('specs'))).toHaveLength(3);
  });

  const arn = (region: string, account: string) =>
    `arn:aws:kms:${region}:${account}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
  test.each([
    [
      [],
      'not a terminal; missing required options: --bucket of the source, --region of the source, --region of the destination\n',
    ],
    [['--bucket', 'acme', '--region', 'us-east-1'], 'missing required options: --region of the destination'],
    [['--bucket', 'a'.repeat(60), ...PAIR.slice(2)], 'missing required options: --bucket of the destination'],
    [['--bucket', 'Acme_Books'], '--bucket Acme_Books: use 3 to 63 lower-case letters'],
    [['--bucket', 'acme', '--bucket', 'acme'], '--bucket acme: a bucket cannot replicate to itself'],
    [['--region', 'us-esat-1'], 'did you mean us-east-1?'],
    [['--region', 'us-east-1', '--region', 'cn-north-1'], 'us-east-1 is in aws'],
    [['--key', 'acme'], '--key acme: an alias begins with alias/'],
    [
      [...PAIR, '--key', arn('us-east-1', '111122223333')],
      'the key is in us-east-1, but its bucket is in eu-west-1',
    ],
    [['--prefix', '/Tax'], '--prefix /Tax: remove the leading slash'],
    [['--bucket', 'a1a', '--bucket', 'b1b', '--bucket', 'c1c'], 'too many --bucket options: use at most 2'],
    [['books.txt', ...PAIR], 'invalid file name books.txt: spec files end in .yaml or .yml'],
  ])('rejects %j', async (args, message) => {
    const { code, stdout, stderr } = await init(...args);
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
    expect(stderr).toContain(message);
    expect(await readdir(folder)).toEqual([]);
  });
});

/** Valid answers, some of which look like other YAML values. */
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const yamlLookalike = fc.constantFrom(
  'null',
  'true',
  'yes',
  '123',
  '0x1f',
  '1e3',
  '2026-01-01',
  '1.5',
  '1.e3',
);
const bucket = fc.oneof(yamlLookalike, fc.stringMatching(/^[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]$/));
const key = fc.oneof(fc.constant(undefined), fc.stringMatching(/^alias\/[a-zA-Z0-9:/_-]{1,20}$/));
const answers = fc
  .record({
    source: bucket,
    sourceRegion: fc.constantFrom('us-east-1', 'us-gov-west-1', 'cn-north-1'),
    sourceKey: key,
    destination: fc.oneof(fc.constant(undefined), bucket),
    destinationRegion: fc.constant(undefined),
    destinationKey: key,
    prefix: fc.oneof(
      fc.constantFrom('', `\${var.team}/`, `a$\${var.team}/`, '# a: [b'),
      fc.string({ unit: 'binary', maxLength: 20 }),
    ),
    name: fc.oneof(fc.constant(undefined), yamlLookalike, label),
  })
  .map((generated) => {
    const spec: Partial<StarterSpec> = {};
    for (const question of STARTER_QUESTIONS) {
      const answer = generated[question.key] ?? question.defaultAnswer(spec, 'us-east-1');
      if (answer === undefined || question.check(answer, spec) !== undefined) return undefined;
      spec[question.key] = answer;
    }
    return spec as StarterSpec;
  })
  .filter((spec) => spec !== undefined);

it('renderStarterSpec: keeps any valid answers unchanged', async () => {
  await fc.assert(
    fc.asyncProperty(answers, async (spec) => {
      const pair = await pairOf(renderStarterSpec(spec, 'replikey.schema.json'));
      expect(pair.name).toBe(spec.name);
      expect(pair.source).toMatchObject({ bucket: spec.source, region: spec.sourceRegion });
      expect(pair.destination).toMatchObject({ bucket: spec.destination, region: spec.destinationRegion });
      expect(pair.rules[0]?.prefix ?? '').toBe(spec.prefix);
    }),
    { numRuns: 300 },
  );
});

describe.skipIf(!isInstalled('script'))('reconcile init on a terminal (needs script)', () => {
  /** Returns the terminal output after these lines were typed; it includes the lines themselves. */
  function typeAnswers(lines: string[], ...args: string[]) {
    const run = spawnSync(
      'script',
      ['-qec', [process.execPath, MAIN, 'init', ...args].join(' '), '/dev/null'],
      {
        cwd: folder,
        encoding: 'utf8',
        input: lines.map((line) => `${line}\n`).join(''),
        env: { PATH: process.env.PATH, TERM: 'dumb', AWS_REGION: 'eu-central-1' },
        timeout: 20_000,
      },
    );
    return { code: run.status, output: run.stdout.replaceAll('\r', '') };
  }

  it('offers defaults, and repeats a question after an invalid answer, with the reason', async () => {
    const { code, output } = typeAnswers([
      '',
      'Not_A_Bucket',
      'acme-tax',
      '',
      '',
      'acme-tax',
      '',
      '',
      '',
      '',
      '',
      '',
    ]);
    expect(code).toBe(0);
    const questions = output.slice(output.indexOf('Source bucket: '), output.indexOf('\nNext'));
    expect(questions).toMatchInlineSnapshot(`
      "Source bucket:   a value is required
      Source bucket:   use 3 to 63 lower-case letters, digits, dots and hyphens
      Source bucket: Its Region [eu-central-1]: Its KMS key [alias/acme-tax]: Destination bucket [acme-tax-replica]:   a bucket cannot replicate to itself
      Destination bucket [acme-tax-replica]: Its Region [us-west-2]: Its KMS key [alias/acme-tax-replica]: Prefix of the objects to replicate [all objects]: Name of the spec [acme-tax]: File [specs/acme-tax.yaml]: Wrote specs/acme-tax.yaml; editors validate it with specs/replikey.schema.json.
      "
    `);
    expect((await pairOf(await readFile(at('specs/acme-tax.yaml'), 'utf8'))).destination).toMatchObject({
      bucket: 'acme-tax-replica',
      region: 'us-west-2',
    });
  });

  it('asks only for missing values, and for another file if the file exists', async () => {
    await writeFile(at('a.yaml'), 'mine');
    const options = ['--bucket', 'acme-tax', '--region', 'us-east-1', '--prefix', 'Tax/', '--name', 'tax'];
    const { code, output } = typeAnswers(['', '', 'us-east-2', '', 'a.yaml', 'b.yaml'], ...options);
    expect(code).toBe(0);
    expect(output).not.toMatch(/Source bucket|Prefix|Name/);
    expect(output).toContain('a.yaml already exists');
    expect(await readFile(at('b.yaml'), 'utf8')).toContain('region: us-east-2');
  });

  it('writes no file if the input ends early', async () => {
    expect(typeAnswers(['acme-tax', '\u0004']).output).toContain('incomplete answers: no file was written');
    expect(await readdir(folder)).toEqual([]);
  });
});
