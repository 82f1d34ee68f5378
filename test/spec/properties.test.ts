import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { formatProblems } from '../../src/spec/format-problems.ts';
import { loadSpecs } from '../../src/spec/load.ts';

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
  .filter((value) => !/^\/|[\p{Cc}\p{Cs}\uFEFF\uFFFE\uFFFF]/u.test(value));
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

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

/** Valid documents, as a user could write them. */
const document = fc.record({
  apiVersion: fc.constant('replikey.dev/v1'),
  kind: fc.constant('BucketReplication'),
  metadata: fc.record({ name: label, labels: optional(fc.dictionary(label, label, { maxKeys: 3 })) }),
  spec: fc
    .record({
      source: fc.record({ bucket, region, key }),
      destination: fc.record({
        bucket,
        region,
        key,
        storageClass: optional(fc.constantFrom('STANDARD_IA', 'GLACIER')),
      }),
      role: optional(fc.record({ name: fc.stringMatching(/^[\w+=,.@-]{1,64}$/) })),
      rules: fc.uniqueArray(
        fc.tuple(filter, optional(fc.nat(2 ** 31 - 1)), optional(fc.boolean()), optional(fc.constant(true))),
        { minLength: 1, maxLength: 5, selector: ([, priority]) => priority ?? {} },
      ),
      policy: optional(fc.record({ adopt: fc.constantFrom('IfCompatible', 'Always', 'Never') })),
    })
    .filter(({ source, destination }) => source.bucket !== destination.bucket)
    .filter(({ source, destination }) => JSON.stringify(source.key) !== JSON.stringify(destination.key)),
});

const documentWithRules = document.map((value) => ({
  ...value,
  spec: {
    ...value.spec,
    rules: value.spec.rules.map(([filterFields, priority, enabled, metrics]) => ({
      ...filterFields,
      priority,
      enabled,
      metrics,
    })),
  },
}));

test('loadSpecs: accepts every valid document, with the same result in every style of YAML', async () => {
  await fc.assert(
    fc.asyncProperty(documentWithRules, async (value) => {
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
