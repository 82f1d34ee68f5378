// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is what variables look like
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

/** A pair without its positions. */
const meant = ({ positions: _, ...pair }: BucketReplication) => pair;

describe('a pair that takes defaults', () => {
  test('is as if their fields were written in it', async () => {
    const pair = await pairOf(together(HOUSE, SHORT));
    expect(meant(pair)).toEqual(
      meant(await pairOf(tax(['alias/acme-tax\n', '{ alias: alias/acme-tax, rotation: true }\n']))),
    );
  });

  test('has its own say, field by field', async () => {
    const house = changed(HOUSE, ['  rules:', '  role: { tags: { team: tax, cost: low } }\n  rules:']);
    const own = `${SHORT}  destination: { region: eu-west-1, storageClass: GLACIER }\n  role: { tags: { team: own } }\n`;
    expect(await pairOf(together(house, own))).toMatchObject({
      source: { bucket: 'acme-tax', region: 'us-east-1' },
      destination: { bucket: 'acme-tax-replica', region: 'eu-west-1', storageClass: 'GLACIER' },
      role: { tags: { team: 'own', cost: 'low' } },
    });
  });

  test('has lists of its own as a whole', async () => {
    const { rules } = await pairOf(together(HOUSE, `${SHORT}  rules: [{ prefix: A/ }, { prefix: B/ }]\n`));
    expect(rules.map(({ prefix }) => prefix)).toEqual(['A/', 'B/']);
  });

  test('is said by one document, wherever that stands', async () => {
    const files = [SHORT, HOUSE].map((text, index) => ({ file: `${index}.yaml`, bytes: Buffer.from(text) }));
    const there = loadSpecFiles(files).specs?.pairs.map(meant);
    expect(there).toHaveLength(1);
    expect(loadSpecFiles(files.toReversed()).specs?.pairs.map(meant)).toEqual(there);
  });

  test('takes nothing that it does not name', async () => {
    expect(meant(await pairOf(together(HOUSE, TAX)))).toEqual(meant(await pairOf(TAX)));
  });

  test('can take them by the name that a variable gives', async () => {
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

/** What defaults say of a key or a role, what the pair says, and what comes of it. */
const MERGED: [defaults: string, own: string, merged: object][] = [
  ['key: { rotation: true }', 'key: alias/own', { key: { alias: 'alias/own', rotation: true } }],
  ['key: alias/theirs', 'key: { rotation: true }', { key: { alias: 'alias/theirs', rotation: true } }],
  ['key: alias/theirs', 'key: alias/own', { key: { alias: 'alias/own' } }],
  [
    'key: { alias: alias/theirs, bucketKey: false }',
    'key: alias/own',
    { key: { alias: 'alias/own' }, bucketKey: false },
  ],
  [
    'key: { alias: alias/theirs }',
    'key: arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
    { key: { arn: 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab' } },
  ],
  [
    'key: arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
    'key: { alias: alias/own, rotation: true }',
    { key: { alias: 'alias/own', rotation: true } },
  ],
];

test.each(MERGED)('%s and %s are one key', async (defaults, own, merged) => {
  const { source } = await pairOf(
    together(
      changed(HOUSE, ['key: { rotation: true }', defaults]),
      changed(SHORT, ['key: alias/acme-tax', own]),
    ),
  );
  const { key, bucketKey } = source;
  expect({ key, bucketKey }).toEqual({ bucketKey: true, ...merged });
});

test('a role by name takes the place of one by ARN, and the other way round', async () => {
  const arn = 'arn:aws:iam::111122223333:role/theirs';
  const role = async (defaults: string, own: string) =>
    (await pairOf(together(`${HOUSE}  role: { ${defaults} }\n`, `${SHORT}  role: { ${own} }\n`))).role;
  expect(await role(`arn: "${arn}"`, 'name: own')).toEqual({ name: 'own' });
  expect(await role('name: theirs', `arn: "${arn}"`)).toEqual({ arn });
  expect(await role('name: theirs', 'path: /own/')).toEqual({ name: 'theirs', path: '/own/' });
});

test('each value has the place where it is written', () => {
  const { specs } = loadSpecFiles([
    { file: 'house.yaml', bytes: Buffer.from(HOUSE) },
    { file: 'tax.yaml', bytes: Buffer.from(SHORT) },
  ]);
  const place = (path: string) => {
    const { file, line, column } = specs?.pairs[0]?.positions[path] ?? {};
    return `${file}:${line}:${column}`;
  };
  expect(place('spec.source')).toBe('tax.yaml:7:3');
  expect(place('spec.source.bucket')).toBe('tax.yaml:8:13');
  expect(place('spec.source.key')).toBe('tax.yaml:9:10');
  expect(place('spec.source.key.alias')).toBe('tax.yaml:9:10');
  expect(place('spec.source.key.rotation')).toBe('house.yaml:5:49');
  expect(place('spec.destination')).toBe('house.yaml:6:3');
  expect(place('spec.rules[0].prefix')).toBe('house.yaml:11:15');
});

test('what is missing is missing in the pair', () => {
  const { problems } = loadSpecFiles([
    { file: 'house.yaml', bytes: Buffer.from(changed(HOUSE, ['    region: us-west-2\n', ''])) },
    { file: 'tax.yaml', bytes: Buffer.from(SHORT) },
  ]);
  expect(problems.map(({ position, path }) => `${position.file}:${position.line} ${path}`)).toEqual([
    'tax.yaml:5 spec.destination.region',
  ]);
});

test('defaults that are wrong are told once, however many pairs take them, and hide nothing else', async () => {
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

test('defaults that nobody takes are judged all the same', async () => {
  expect(await problemsOf(together(HOUSE, TAX))).toEqual([]);
  const problems = await problemsOf(together(changed(HOUSE, ['us-east-1', 'mars']), TAX));
  expect(problems.map(({ path }) => path)).toEqual(['spec.source.region']);
});

test('a spec that is divided between a pair and defaults in any way means the same', async () => {
  const whole = parse(
    tax(
      ['alias/acme-tax\n', '{ alias: alias/acme-tax, rotation: true, rotationPeriodInDays: 180 }\n'],
      [
        '  rules:',
        '  role: { name: r, path: /r/, tags: { a: b, c: d } }\n  policy: { adopt: Never, deletion: Remove }\n  rules:',
      ],
    ),
  ) as { spec: Record<string, unknown> };
  const written = meant(await pairOf(stringify(whole)));

  /** Each field goes to one side, or in part to either. */
  const divided = (value: unknown, sides: Iterator<number>): [unknown, unknown] => {
    const side = sides.next().value ?? 0;
    if (side === 0) return [value, undefined];
    if (side === 1) return [undefined, value];
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [value, value];
    const parts = Object.entries(value).map(([key, one]) => [key, ...divided(one, sides)] as const);
    const part = (index: 1 | 2) =>
      Object.fromEntries(parts.flatMap((one) => (one[index] === undefined ? [] : [[one[0], one[index]]])));
    return [part(1), part(2)];
  };

  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(2), { minLength: 60, maxLength: 60 }), async (sides) => {
      const [own, shared] = divided(whole.spec, [2, ...sides][Symbol.iterator]()) as object[];
      const pair = { ...whole, spec: { defaults: 'house', ...own } };
      const defaults = { ...(parse(HOUSE) as object), spec: shared };
      expect(meant(await pairOf(together(stringify(pair), stringify(defaults))))).toEqual(written);
    }),
    { numRuns: 200 },
  );
});

test('defaults that would stand for more than memory holds are refused', { timeout: 60_000 }, async () => {
  const tags = Array.from({ length: 20_000 }, (_, index) => `      t${index}: x\n`).join('');
  const house = `${HOUSE}  role:\n    tags:\n${tags}`;
  const pairs = Array.from({ length: 200 }, (_, index) =>
    changed(SHORT, ['name: tax', `name: tax-${index}`]),
  );
  const problems = await problemsOf(together(house, ...pairs));
  expect(problems).toHaveLength(1);
  expect(problems[0]?.message).toBe('all specs together take more than 1,000,000 values from Defaults');
});

test('keys that mean something to JavaScript are only keys in defaults, too', async () => {
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
