// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of variables
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadSpecFiles } from '../../src/spec/load.ts';
import type { BucketReplication } from '../../src/spec/types.ts';
import {
  changed,
  HOUSE,
  pairOf,
  pairsOf,
  problemsOf,
  SHORT,
  TAX,
  tax,
  together,
  VARIABLES,
} from './support.ts';

/** Returns a pair without its positions. */
const withoutPositions = ({ positions: _, ...pair }: BucketReplication) => pair;

describe('a pair that uses Defaults', () => {
  test('inherits their fields', async () => {
    const pair = await pairOf(together(HOUSE, SHORT));
    expect(withoutPositions(pair)).toEqual(
      withoutPositions(
        await pairOf(tax(['alias/acme-tax\n', '{ alias: alias/acme-tax, rotation: true }\n'])),
      ),
    );
  });

  test('overrides single fields', async () => {
    const house = changed(HOUSE, ['  rules:', '  role: { tags: { team: tax, cost: low } }\n  rules:']);
    const pair = `${SHORT}  destination: { region: eu-west-1, storageClass: GLACIER }\n  role: { tags: { team: own } }\n`;
    expect(await pairOf(together(house, pair))).toMatchObject({
      source: { bucket: 'acme-tax', region: 'us-east-1' },
      destination: { bucket: 'acme-tax-replica', region: 'eu-west-1', storageClass: 'GLACIER' },
      role: { tags: { team: 'own', cost: 'low' } },
    });
  });

  test('overrides lists as a whole', async () => {
    const { rules } = await pairOf(together(HOUSE, `${SHORT}  rules: [{ prefix: A/ }, { prefix: B/ }]\n`));
    expect(rules.map(({ prefix }) => prefix)).toEqual(['A/', 'B/']);
  });

  test('gives the same result for any order of the files', async () => {
    const files = [SHORT, HOUSE].map((text, index) => ({ file: `${index}.yaml`, bytes: Buffer.from(text) }));
    const pairs = (await loadSpecFiles(files)).specs?.pairs.map(withoutPositions);
    expect(pairs).toHaveLength(1);
    expect((await loadSpecFiles(files.toReversed())).specs?.pairs.map(withoutPositions)).toEqual(pairs);
  });

  test('inherits nothing without spec.defaults', async () => {
    expect(withoutPositions(await pairOf(together(HOUSE, TAX)))).toEqual(withoutPositions(await pairOf(TAX)));
  });

  test('can name the Defaults with a variable', async () => {
    const pair = await pairOf(
      together(
        changed(VARIABLES, ['[dev, prod]', '[house, other]'], ['default: dev', 'default: house']),
        changed(
          HOUSE,
          ['name: house', 'name: "${var.stage}"'],
          ['rotation: true', 'rotation: "${var.paused}"'],
        ),
        changed(SHORT, ['defaults: house', 'defaults: ${var.stage}']),
      ),
    );
    expect(pair.source).toMatchObject({ region: 'us-east-1', key: { rotation: false } });
  });
});

/** The key in Defaults, the key in the pair, and the merged key. */
const MERGED: [defaults: string, pair: string, merged: object][] = [
  ['key: { rotation: true }', 'key: alias/own', { key: { alias: 'alias/own', rotation: true } }],
  ['key: alias/shared', 'key: { rotation: true }', { key: { alias: 'alias/shared', rotation: true } }],
  ['key: alias/shared', 'key: alias/own', { key: { alias: 'alias/own' } }],
  [
    'key: { alias: alias/shared, bucketKey: false }',
    'key: alias/own',
    { key: { alias: 'alias/own' }, bucketKey: false },
  ],
  [
    'key: { alias: alias/shared }',
    'key: arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
    { key: { arn: 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab' } },
  ],
  [
    'key: arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
    'key: { alias: alias/own, rotation: true }',
    { key: { alias: 'alias/own', rotation: true } },
  ],
];

test.each(MERGED)(
  'applyDefaults: merges %s in Defaults with %s in the pair',
  async (defaults, pair, merged) => {
    const { source } = await pairOf(
      together(
        changed(HOUSE, ['key: { rotation: true }', defaults]),
        changed(SHORT, ['key: alias/acme-tax', pair]),
      ),
    );
    const { key, bucketKey } = source;
    expect({ key, bucketKey }).toEqual({ bucketKey: true, ...merged });
  },
);

test('applyDefaults: replaces a role by ARN with a role by name, and the reverse', async () => {
  const arn = 'arn:aws:iam::111122223333:role/shared';
  const role = async (defaults: string, pair: string) =>
    (await pairOf(together(`${HOUSE}  role: { ${defaults} }\n`, `${SHORT}  role: { ${pair} }\n`))).role;
  expect(await role(`arn: "${arn}"`, 'name: own')).toEqual({ name: 'own' });
  expect(await role('name: shared', `arn: "${arn}"`)).toEqual({ arn });
  expect(await role('name: shared', 'path: /own/')).toEqual({ name: 'shared', path: '/own/' });
});

test('applyDefaults: keeps the position of each value', async () => {
  const { specs } = await loadSpecFiles([
    { file: 'house.yaml', bytes: Buffer.from(HOUSE) },
    { file: 'tax.yaml', bytes: Buffer.from(SHORT) },
  ]);
  const positionAt = (path: string) => {
    const { file, line, column } = specs?.pairs[0]?.positions[path] ?? {};
    return `${file}:${line}:${column}`;
  };
  expect(positionAt('spec.source')).toBe('tax.yaml:7:3');
  expect(positionAt('spec.source.bucket')).toBe('tax.yaml:8:13');
  expect(positionAt('spec.source.key')).toBe('tax.yaml:9:10');
  expect(positionAt('spec.source.key.alias')).toBe('tax.yaml:9:10');
  expect(positionAt('spec.source.key.rotation')).toBe('house.yaml:5:49');
  expect(positionAt('spec.destination')).toBe('house.yaml:6:3');
  expect(positionAt('spec.rules[0].prefix')).toBe('house.yaml:11:15');
});

test('applyDefaults: reports a missing field in the pair', async () => {
  const { problems } = await loadSpecFiles([
    { file: 'house.yaml', bytes: Buffer.from(changed(HOUSE, ['    region: us-west-2\n', ''])) },
    { file: 'tax.yaml', bytes: Buffer.from(SHORT) },
  ]);
  expect(problems.map(({ position, path }) => `${position.file}:${position.line} ${path}`)).toEqual([
    'tax.yaml:5 spec.destination.region',
  ]);
});

test('applyDefaults: reports problems of Defaults once for all pairs, and the other problems too', async () => {
  const house = changed(HOUSE, ['us-east-1', 'mars'], ['rules:', 'rulez:']);
  const pairs = Array.from({ length: 20 }, (_, index) =>
    changed(SHORT, ['name: tax', `name: tax-${index}`], ['bucket: acme-tax', `bucket: acme-tax-${index}`]),
  );
  const problems = await problemsOf(
    together(house, ...pairs, tax(['Tax/', '/Tax'], ['name: tax', 'name: other'])),
  );
  expect(problems.map(({ path }) => path)).toEqual([
    'spec.source.region',
    'spec.rulez',
    'spec.rules[0].prefix',
  ]);
});

test('applyDefaults: validates Defaults that no pair uses', async () => {
  expect(await problemsOf(together(HOUSE, TAX))).toEqual([]);
  const problems = await problemsOf(together(changed(HOUSE, ['us-east-1', 'mars']), TAX));
  expect(problems.map(({ path }) => path)).toEqual(['spec.source.region']);
});

test('applyDefaults: gives the same result for every split of a spec between pair and Defaults', async () => {
  const whole = parse(
    tax(
      ['alias/acme-tax\n', '{ alias: alias/acme-tax, rotation: true, rotationPeriodInDays: 180 }\n'],
      [
        '  rules:',
        '  role: { name: r, path: /r/, tags: { a: b, c: d } }\n  policy: { adopt: Never, deletion: Remove }\n  rules:',
      ],
    ),
  ) as { spec: Record<string, unknown> };
  const expected = withoutPositions(await pairOf(stringify(whole)));

  /** Splits a value: each field goes to the pair, to the Defaults, or in parts to both. */
  const split = (value: unknown, sides: Iterator<number>): [unknown, unknown] => {
    const side = sides.next().value ?? 0;
    if (side === 0) return [value, undefined];
    if (side === 1) return [undefined, value];
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [value, value];
    const parts = Object.entries(value).map(([key, item]) => [key, ...split(item, sides)] as const);
    const part = (index: 1 | 2) =>
      Object.fromEntries(
        parts.flatMap((item) => (item[index] === undefined ? [] : [[item[0], item[index]]])),
      );
    return [part(1), part(2)];
  };

  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(2), { minLength: 60, maxLength: 60 }), async (sides) => {
      const [pairSpec, sharedSpec] = split(whole.spec, [2, ...sides][Symbol.iterator]()) as object[];
      const pair = { ...whole, spec: { defaults: 'house', ...pairSpec } };
      const defaults = { ...(parse(HOUSE) as object), spec: sharedSpec };
      expect(withoutPositions(await pairOf(together(stringify(pair), stringify(defaults))))).toEqual(
        expected,
      );
    }),
    { numRuns: 200 },
  );
});

test('applyDefaults: rejects more than 1,000,000 inherited values', { timeout: 60_000 }, async () => {
  const tags = Array.from({ length: 20_000 }, (_, index) => `      t${index}: x\n`).join('');
  const house = `${HOUSE}  role:\n    tags:\n${tags}`;
  const pairs = Array.from({ length: 60 }, (_, index) => changed(SHORT, ['name: tax', `name: tax-${index}`]));
  const problems = await problemsOf(together(house, ...pairs));
  expect(problems).toHaveLength(1);
  expect(problems[0]?.message).toBe('the specs inherit more than 1,000,000 values from Defaults in total');
});

test('applyDefaults: treats names of JavaScript properties as plain keys', async () => {
  const pairs = await pairsOf(
    together(
      `${HOUSE}  role: { tags: { constructor: x, toString: "y" } }\n`,
      `${SHORT}  role: { tags: { valueOf: z } }\n`,
    ),
  );
  expect(pairs[0]?.role).toMatchObject({ tags: { constructor: 'x', toString: 'y', valueOf: 'z' } });
  const [problem] = await problemsOf(
    together(changed(HOUSE, ['region', '__proto__: { polluted: 1 }, region']), SHORT),
  );
  expect(problem?.message).toBe('__proto__ cannot be a key');
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
});
