import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadFiles, loadSpecs } from '../../src/spec/load.ts';
import { formatProblems } from '../../src/spec/report.ts';
import { MAIN, TAX, together } from './support.ts';

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/);
const bucket = fc
  .stringMatching(/^[a-wyz0-9][a-z0-9-]{1,40}[a-r0-9]$/)
  .filter(
    (name) => !name.startsWith('sthree-') && !name.startsWith('amzn-s3-demo-') && !name.endsWith('--ol'),
  );
const region = fc.constantFrom('us-east-1', 'eu-central-1', 'ap-southeast-3', 'il-central-1');
const alias = fc.stringMatching(/^alias\/[b-zA-Z0-9:/_-]{1,40}$/);
const text = fc
  .string({ unit: 'grapheme', maxLength: 30 })
  .filter((value) => !/^\/|[\p{Cc}\p{Cs}\uFEFF]/u.test(value));
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const filter = fc.oneof(
  fc.record({ prefix: text }),
  fc.record({ filter: fc.record({ prefix: text }) }),
  fc.record({ filter: fc.record({ tags: fc.dictionary(label, text, { minKeys: 1, maxKeys: 10 }) }) }),
);

const key = fc.oneof(
  alias,
  fc.record({ alias, rotation: fc.boolean() }),
  fc.record({ alias, bucketKey: fc.boolean() }),
);

/** Documents as a person could write them, each right by itself. */
const document = fc.record({
  apiVersion: fc.constant('replikey.dev/v1'),
  kind: fc.constant('BucketReplication'),
  metadata: fc.record({ name: label, labels: maybe(fc.dictionary(label, label, { maxKeys: 3 })) }),
  spec: fc
    .record({
      source: fc.record({ bucket, region, key }),
      destination: fc.record({
        bucket,
        region,
        key,
        storageClass: maybe(fc.constantFrom('STANDARD_IA', 'GLACIER')),
      }),
      role: maybe(fc.record({ name: fc.stringMatching(/^[\w+=,.@-]{1,64}$/) })),
      rules: fc.uniqueArray(
        fc.tuple(filter, maybe(fc.nat(2 ** 31 - 1)), maybe(fc.boolean()), maybe(fc.constant(true))),
        { minLength: 1, maxLength: 5, selector: ([, priority]) => priority ?? {} },
      ),
      policy: maybe(fc.record({ adopt: fc.constantFrom('IfCompatible', 'Always', 'Never') })),
    })
    .filter(({ source, destination }) => source.bucket !== destination.bucket)
    .filter(({ source, destination }) => JSON.stringify(source.key) !== JSON.stringify(destination.key)),
});

const written = document.map((value) => ({
  ...value,
  spec: {
    ...value.spec,
    rules: value.spec.rules.map(([which, priority, enabled, metrics]) => ({
      ...which,
      priority,
      enabled,
      metrics,
    })),
  },
}));

test('whatever is right is accepted, and means the same in every style of YAML', async () => {
  await fc.assert(
    fc.asyncProperty(written, async (value) => {
      const styles = [
        stringify(value),
        stringify(value, { collectionStyle: 'flow' }),
        stringify(value, { defaultStringType: 'QUOTE_DOUBLE', indent: 4 }),
        JSON.stringify(value),
      ];
      const pairs = await Promise.all(
        styles.map(async (yaml) => {
          const { specs, problems } = await loadSpecs(['-'], async () => yaml);
          expect(formatProblems(problems)).toBe('');
          const [{ positions: _, ...pair } = { positions: {} }] = specs?.pairs ?? [];
          return pair;
        }),
      );
      for (const pair of pairs) expect(pair).toEqual(pairs[0]);
      expect(pairs[0]).toMatchObject({ name: value.metadata.name });
      expect(new Set((pairs[0] as { rules: { name: string }[] }).rules.map(({ name }) => name)).size).toBe(
        value.spec.rules.length,
      );
    }),
    { numRuns: 100 },
  );
});

/** What people and machines do to files: bytes changed, put in, taken out, doubled. */
const mutation = fc.record({
  at: fc.nat(),
  length: fc.nat(12),
  insert: fc.oneof(
    fc.uint8Array({ maxLength: 4 }),
    fc
      .constantFrom(
        '\t',
        '\r',
        '"',
        "'",
        '{',
        '[',
        ']',
        '- ',
        ': ',
        '&a ',
        '*a',
        '<<: ',
        '!!x ',
        '|',
        '\n',
        '---\n',
        '\u202E',
        '%',
        '#',
        '? ',
      )
      .map((inserted) => Buffer.from(inserted)),
  ),
  twice: fc.boolean(),
});

const VALID = Buffer.from(together(TAX, MAIN));

function mutate(
  bytes: Uint8Array,
  { at, length, insert, twice }: { at: number; length: number; insert: Uint8Array; twice: boolean },
) {
  const start = at % (bytes.length + 1);
  const cut = bytes.subarray(start, start + length);
  return Buffer.concat([
    bytes.subarray(0, start),
    insert,
    ...(twice ? [cut, cut] : []),
    bytes.subarray(start + length),
  ]);
}

test('whatever becomes of the bytes of a file, nothing is thrown, and every problem has a place in it', () => {
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
      const bytes = mutations.reduce<Uint8Array>(mutate, VALID);
      const { problems } = loadFiles([{ file: 'x.yaml', bytes }]);
      const lines = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes).split('\n');
      for (const { position, message } of problems) {
        expect(position.file).toBe('x.yaml');
        expect(position.line).toBeGreaterThanOrEqual(1);
        expect(position.line).toBeLessThanOrEqual(lines.length);
        expect(position.column).toBeGreaterThanOrEqual(1);
        expect(position.column).toBeLessThanOrEqual((lines[position.line - 1] ?? '').length + 1);
        expect(message).not.toBe('');
      }
    }),
    { numRuns: 3000 },
  );
});

test('nothing that is written in a spec reaches the terminal as a control or direction character', () => {
  const evil = fc.constantFrom(
    '\u001b[31m',
    '\u202e',
    '\u2066',
    '\u0007',
    '\u009b',
    '\u2028',
    '::error::',
    '\u{e0041}',
    '\u00ad',
  );
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), evil, fc.string(), (before, between, after) => {
      const value = JSON.stringify(before + between + after);
      const yaml = TAX.replace('us-east-1', value).replace('name: tax', `name: tax\n  ${value}: 1`);
      const { problems } = loadFiles([{ file: `::error::${between}.yaml`, bytes: Buffer.from(yaml) }]);
      const text = formatProblems(problems);
      expect(problems.length).toBeGreaterThan(0);
      expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      expect(text).not.toMatch(/^(::|##\[)/m);
    }),
  );
});
