// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is what variables look like
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { formatProblems } from '../../src/spec/format-problems.ts';
import { escapeReferences } from '../../src/spec/variables.ts';
import { changed, problemsOf, referring, specsOf, TAX, tax, together, VARIABLES } from './support.ts';

const STAGED = together(
  VARIABLES,
  tax(
    ['name: tax', `name: tax-${referring('stage')}`],
    ['bucket: acme-tax\n', `bucket: acme-${referring('stage')}-${referring('first')}\n`],
    ['Tax/', `Tax/\n      enabled: ${referring('paused')}\n      priority: "${referring('first')}"`],
  ),
);

describe('a value', () => {
  test('stands where its variable is named, in its own type where it stands alone', async () => {
    const { pairs } = await specsOf(STAGED);
    expect(pairs[0]).toMatchObject({
      name: 'tax-dev',
      source: { bucket: 'acme-dev-10' },
      rules: [{ prefix: 'Tax/', enabled: false, priority: 10 }],
    });
  });

  test('is that of --var before that of the environment, and this before the default', async () => {
    const environment = { REPLIKEY_FIRST: '7' };
    const first = async (given: object) =>
      (await specsOf(STAGED, given)).variables.find(({ name }) => name === 'first');
    expect(await first({})).toEqual({ name: 'first', value: 10, from: 'default' });
    expect(await first({ environment })).toEqual({
      name: 'first',
      value: 7,
      from: 'environment REPLIKEY_FIRST',
    });
    expect(await first({ environment, assignments: ['first=3'] })).toEqual({
      name: 'first',
      value: 3,
      from: '--var',
    });
  });

  test('stands where its variable is named by an escape, too', async () => {
    const yaml = together(VARIABLES, tax(['Tax/', '"\\x24{var.stage}/"']));
    expect((await specsOf(yaml)).pairs[0]?.rules[0]?.prefix).toBe('dev/');
  });

  test('may hold anything after the first equals sign, or nothing', async () => {
    const yaml = together(VARIABLES, tax(['Tax/', `"a${referring('team')}"`]));
    const prefix = async (one: string) =>
      (await specsOf(yaml, { assignments: [one] })).pairs[0]?.rules[0]?.prefix;
    expect(await prefix('team=x=y')).toBe('ax=y');
    expect(await prefix('team=')).toBe('a');
  });

  test('comes from the environment only under the name that a declaration gives', async () => {
    const yaml = together(VARIABLES, tax(['Tax/', `"${referring('team')}"`]));
    const [problem] = await problemsOf(yaml, { environment: { team: 'x', REPLIKEY_TEAM: 'x', TEAM: 'x' } });
    expect(problem?.message).toContain('has no value');
  });

  test('is told where it is used somewhere, and not otherwise', async () => {
    const { variables } = await specsOf(STAGED, { assignments: ['team=nobody', 'stage=prod'] });
    expect(variables).toEqual([
      { name: 'first', value: 10, from: 'default' },
      { name: 'paused', value: false, from: 'default' },
      { name: 'stage', value: 'prod', from: '--var' },
    ]);
    expect((await specsOf(TAX)).variables).toEqual([]);
  });

  test('leaves every place where it was written', async () => {
    const { pairs } = await specsOf(STAGED, { assignments: ['stage=prod'] });
    const line = STAGED.split('\n').findIndex((text) => text.includes('acme-$')) + 1;
    expect(pairs[0]?.positions['spec.source.bucket']).toEqual({ file: '<stdin>', line, column: 13 });
  });
});

describe('what is given and will not do', () => {
  const GIVEN: [name: string, given: { assignments?: string[]; environment?: Record<string, string> }][] = [
    ['a misspelt name', { assignments: ['stgae=prod'] }],
    ['a name that is like none', { assignments: ['Zürich=1'] }],
    ['no value', { assignments: ['stage'] }],
    ['the same twice', { assignments: ['team=a', 'stage=dev', 'team=b'] }],
    ['none of the values that are allowed', { assignments: ['team=a', 'stage=production'] }],
    ['a word for a number', { assignments: ['first=ten'] }],
    ['a number that would be written otherwise', { assignments: ['first=007'] }],
    ['yes for true', { assignments: ['paused=yes'] }],
    ['a word for a number in the environment', { environment: { REPLIKEY_FIRST: 'ten' } }],
    ['an empty text for a number in the environment', { environment: { REPLIKEY_FIRST: '' } }],
    ['another variable', { assignments: [`team=${referring('stage')}`] }],
    ['more than anyone says', { assignments: [`team=${'x'.repeat(1025)}`] }],
    ['several lines', { assignments: ['stage=dev\nprod', 'paused=1'] }],
  ];

  test('is told with its place, in the golden file', async () => {
    const said = await Promise.all(
      GIVEN.map(async ([name, given]) => ({ name, problems: await problemsOf(STAGED, given) })),
    );
    for (const { name, problems } of said) expect(problems.length, name).toBeGreaterThan(0);
    const text = said.map(({ name, problems }) => `### ${name}\n\n${formatProblems(problems)}\n`).join('\n');
    await expect(text).toMatchFileSnapshot('golden/given-variables.txt');
  });

  test('is told where no document declares anything, too', async () => {
    const [problem] = await problemsOf(TAX, { assignments: ['stage=dev'] });
    expect(problem).toMatchObject({
      position: { file: '--var', line: 1, column: 1 },
      hint: expect.stringContaining('kind: Variables'),
    });
  });
});

describe('a text', () => {
  const LITERAL: [written: string, meant: string][] = [
    ['$', '$'],
    ['$x ${x} $(x) {x} ${', '$x ${x} $(x) {x} ${'],
    ['$${x} $$', '$${x} $$'],
    ['${aws:username}/', '${aws:username}/'],
    ['$${var.stage}', '${var.stage}'],
    ['$$${var.stage}', '$${var.stage}'],
    ['$${var.', '${var.'],
    ['$${ var.x}', '${ var.x}'],
    ['${vary.stage} ${VAR.stage}', '${vary.stage} ${VAR.stage}'],
  ];

  test.each(LITERAL)('%j means %j', async (written, meant) => {
    const { pairs, variables } = await specsOf(tax(['Tax/', JSON.stringify(written)]));
    expect(pairs[0]?.rules[0]?.prefix).toBe(meant);
    expect(variables).toEqual([]);
  });

  test('means itself once it is made literal, whatever it holds', async () => {
    const piece = fc.constantFrom('$', '{', '}', 'var', '.', ' ', 'stage', '${var.stage}', '$${var.', 'x');
    await fc.assert(
      fc.asyncProperty(fc.array(piece), async (pieces) => {
        const text = `a${pieces.join('')}`;
        const { pairs } = await specsOf(
          together(VARIABLES, tax(['Tax/', JSON.stringify(escapeReferences(text))])),
        );
        expect(pairs[0]?.rules[0]?.prefix).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  test('that comes from a variable is not read again', async () => {
    const yaml = together(VARIABLES, tax(['Tax/', `"$${referring('team')}${referring('team')}"`]));
    const { pairs } = await specsOf(yaml, { assignments: ['team=$$'] });
    expect(pairs[0]?.rules[0]?.prefix).toBe(`${referring('team')}$$`);
  });
});

test('a spec whose values are moved into variables means the same', async () => {
  const values = (value: unknown): string[] =>
    typeof value === 'object' && value !== null
      ? Object.values(value).flatMap(values)
      : [JSON.stringify(value)];
  const spec = parse(tax(['Tax/', 'Tax/\n      enabled: false\n      priority: 3'])) as Record<
    string,
    unknown
  >;
  const { pairs } = await specsOf(stringify(spec));
  const leaves = values([spec.metadata, spec.spec]);
  expect(leaves.length).toBe(10);
  await fc.assert(
    fc.asyncProperty(fc.subarray(leaves.map((_, index) => index)), async (moved) => {
      let index = -1;
      const replaced = (value: unknown): unknown => {
        if (Array.isArray(value)) return value.map(replaced);
        if (typeof value === 'object' && value !== null)
          return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, replaced(one)]));
        index += 1;
        return moved.includes(index) ? referring(`v${index}`) : value;
      };
      const document = { ...spec, metadata: replaced(spec.metadata), spec: replaced(spec.spec) };
      const declared = moved.map((at) => {
        const value: unknown = JSON.parse(leaves[at] ?? '');
        return [`v${at}`, { type: typeof value, default: value }];
      });
      const variables = {
        apiVersion: 'replikey.dev/v1',
        kind: 'Variables',
        metadata: { name: 'moved' },
        spec: { variables: Object.fromEntries(declared) },
      };
      const found = await specsOf(together(stringify(document), stringify(variables)));
      expect(found.pairs.map(({ positions: _, ...pair }) => pair)).toEqual(
        pairs.map(({ positions: _, ...pair }) => pair),
      );
      expect(found.variables).toHaveLength(moved.length);
    }),
    { numRuns: 100 },
  );
});

describe('what is hostile', () => {
  const big = (text: string) => text.repeat(Math.floor((2 ** 20 - 2_000) / text.length));

  test.each([
    ['braces without end', '${'],
    ['dollars without end', '$'],
    ['spaces in what is none', '${ '],
    ['references that are not closed', '${var.'],
    ['references to nothing', '${var.nothing}'],
    ['references to something', referring('stage')],
  ])('%s: a megabyte gives fewer than five problems', async (_, text) => {
    const problems = await problemsOf(together(VARIABLES, tax(['Tax/', `"x${big(text)}"`])));
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.length).toBeLessThan(5);
  });

  test('ten thousand names that nobody declares, beside as many that somebody does', async () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `name${index}`);
    const yaml = together(
      changed(VARIABLES, [
        '    team',
        names
          .map((name) => `    ${name}: { type: string, default: x }\n`)
          .join('')
          .concat('    team'),
      ]),
      tax(['Tax/', `"${names.map((name) => referring(`un${name}`)).join('')}"`]),
    );
    // Comparing each reference with each name exceeds the timeout of the test.
    expect((await problemsOf(yaml)).length).toBe(100);
  });

  test.each(['constructor', 'toString', 'hasOwnProperty', 'valueOf'])(
    '%s is a name like any other',
    async (name) => {
      const yaml = together(
        changed(VARIABLES, ['    team', `    ${name}: { type: string, default: own }\n    team`]),
        tax(['Tax/', `"${referring(name)}"`]),
      );
      expect((await specsOf(yaml)).pairs[0]?.rules[0]?.prefix).toBe('own');
      const [problem] = await problemsOf(tax(['Tax/', `"${referring(name)}"`]));
      expect(problem?.message).toContain(`no document declares a variable "${name}"`);
    },
  );

  test('__proto__ is no name, and nothing comes of it', async () => {
    const yaml = changed(VARIABLES, ['    team', '    __proto__: { type: string, default: x }\n    team']);
    expect(formatProblems(await problemsOf(together(yaml, TAX)))).toContain('__proto__ cannot be a key');
    for (const one of ['__proto__=x', 'constructor.prototype=x'])
      expect((await problemsOf(STAGED, { assignments: [one] }))[0]?.message).toContain(
        'no document declares',
      );
    expect(({} as Record<string, unknown>).default).toBeUndefined();
  });

  test('a name from outside does not reach the terminal as a control character', async () => {
    const text = formatProblems(
      await problemsOf(STAGED, { assignments: ['\u001b[31m=\u202e', 'stage=\u001b[0m'] }),
    );
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });
});
