// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of variables
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

describe('the value of a variable', () => {
  test('replaces references, and keeps its type where the reference is the whole value', async () => {
    const { pairs } = await specsOf(STAGED);
    expect(pairs[0]).toMatchObject({
      name: 'tax-dev',
      source: { bucket: 'acme-dev-10' },
      rules: [{ prefix: 'Tax/', enabled: false, priority: 10 }],
    });
  });

  test('comes from --var, else from the environment, else from the default', async () => {
    const environment = { REPLIKEY_FIRST: '7' };
    const first = async (variableInput: object) =>
      (await specsOf(STAGED, variableInput)).variables.find(({ name }) => name === 'first');
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

  test('replaces references that are written with an escape', async () => {
    const yaml = together(VARIABLES, tax(['Tax/', '"\\x24{var.stage}/"']));
    expect((await specsOf(yaml)).pairs[0]?.rules[0]?.prefix).toBe('dev/');
  });

  test('is the whole text after the first equals sign, also if empty', async () => {
    const yaml = together(VARIABLES, tax(['Tax/', `"a${referring('team')}"`]));
    const prefix = async (assignment: string) =>
      (await specsOf(yaml, { assignments: [assignment] })).pairs[0]?.rules[0]?.prefix;
    expect(await prefix('team=x=y')).toBe('ax=y');
    expect(await prefix('team=')).toBe('a');
  });

  test('comes only from an environment variable that the declaration names', async () => {
    const yaml = together(VARIABLES, tax(['Tax/', `"${referring('team')}"`]));
    const [problem] = await problemsOf(yaml, { environment: { team: 'x', REPLIKEY_TEAM: 'x', TEAM: 'x' } });
    expect(problem?.message).toContain('has no value');
  });

  test('is part of the result only if a document uses the variable', async () => {
    const { variables } = await specsOf(STAGED, { assignments: ['team=unused', 'stage=prod'] });
    expect(variables).toEqual([
      { name: 'first', value: 10, from: 'default' },
      { name: 'paused', value: false, from: 'default' },
      { name: 'stage', value: 'prod', from: '--var' },
    ]);
    expect((await specsOf(TAX)).variables).toEqual([]);
  });

  test('does not change positions', async () => {
    const { pairs } = await specsOf(STAGED, { assignments: ['stage=prod'] });
    const line = STAGED.split('\n').findIndex((text) => text.includes('acme-$')) + 1;
    expect(pairs[0]?.positions['spec.source.bucket']).toEqual({ file: '<stdin>', line, column: 13 });
  });
});

describe('invalid variable input', () => {
  const INPUTS: [
    name: string,
    variableInput: { assignments?: string[]; environment?: Record<string, string> },
  ][] = [
    ['a misspelt name', { assignments: ['stgae=prod'] }],
    ['an unknown name', { assignments: ['Zürich=1'] }],
    ['no value', { assignments: ['stage'] }],
    ['a variable that is set twice', { assignments: ['team=a', 'stage=dev', 'team=b'] }],
    ['a value that is not allowed', { assignments: ['team=a', 'stage=production'] }],
    ['a word instead of a number', { assignments: ['first=ten'] }],
    ['a number that changes as a string', { assignments: ['first=007'] }],
    ['yes instead of true', { assignments: ['paused=yes'] }],
    ['a word instead of a number in the environment', { environment: { REPLIKEY_FIRST: 'ten' } }],
    ['an empty string instead of a number in the environment', { environment: { REPLIKEY_FIRST: '' } }],
    ['a reference to another variable', { assignments: [`team=${referring('stage')}`] }],
    ['a value that is too long', { assignments: [`team=${'x'.repeat(1025)}`] }],
    ['several lines', { assignments: ['stage=dev\nprod', 'paused=1'] }],
  ];

  test('is reported with its position, as in the golden file', async () => {
    const results = await Promise.all(
      INPUTS.map(async ([name, variableInput]) => ({
        name,
        problems: await problemsOf(STAGED, variableInput),
      })),
    );
    for (const { name, problems } of results) expect(problems.length, name).toBeGreaterThan(0);
    const text = results
      .map(({ name, problems }) => `### ${name}\n\n${formatProblems(problems)}\n`)
      .join('\n');
    await expect(text).toMatchFileSnapshot('golden/variable-input.txt');
  });

  test('is reported if no document declares variables', async () => {
    const [problem] = await problemsOf(TAX, { assignments: ['stage=dev'] });
    expect(problem).toMatchObject({
      position: { file: '--var', line: 1, column: 1 },
      hint: expect.stringContaining('kind: Variables'),
    });
  });
});

describe('a string', () => {
  const LITERALS: [yaml: string, value: string][] = [
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

  test.each(LITERALS)('%j has the value %j', async (yaml, value) => {
    const { pairs, variables } = await specsOf(tax(['Tax/', JSON.stringify(yaml)]));
    expect(pairs[0]?.rules[0]?.prefix).toBe(value);
    expect(variables).toEqual([]);
  });

  test('keeps its literal value after escapeReferences', async () => {
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

  test('from a variable is not interpolated again', async () => {
    const yaml = together(VARIABLES, tax(['Tax/', `"$${referring('team')}${referring('team')}"`]));
    const { pairs } = await specsOf(yaml, { assignments: ['team=$$'] });
    expect(pairs[0]?.rules[0]?.prefix).toBe(`${referring('team')}$$`);
  });
});

test('interpolateVariables: gives the same result for values in variables', async () => {
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
    fc.asyncProperty(fc.subarray(leaves.map((_, index) => index)), async (movedIndexes) => {
      let index = -1;
      const replaceValues = (value: unknown): unknown => {
        if (Array.isArray(value)) return value.map(replaceValues);
        if (typeof value === 'object' && value !== null)
          return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, replaceValues(item)]));
        index += 1;
        return movedIndexes.includes(index) ? referring(`v${index}`) : value;
      };
      const document = { ...spec, metadata: replaceValues(spec.metadata), spec: replaceValues(spec.spec) };
      const declarations = movedIndexes.map((leafIndex) => {
        const value: unknown = JSON.parse(leaves[leafIndex] ?? '');
        return [`v${leafIndex}`, { type: typeof value, default: value }];
      });
      const variables = {
        apiVersion: 'replikey.dev/v1',
        kind: 'Variables',
        metadata: { name: 'moved' },
        spec: { variables: Object.fromEntries(declarations) },
      };
      const specs = await specsOf(together(stringify(document), stringify(variables)));
      expect(specs.pairs.map(({ positions: _, ...pair }) => pair)).toEqual(
        pairs.map(({ positions: _, ...pair }) => pair),
      );
      expect(specs.variables).toHaveLength(movedIndexes.length);
    }),
    { numRuns: 100 },
  );
});

describe('hostile input', () => {
  const big = (text: string) => text.repeat(Math.floor((2 ** 20 - 2_000) / text.length));

  test.each([
    ['braces', '${'],
    ['dollar signs', '$'],
    ['incomplete references with spaces', '${ '],
    ['unclosed references', '${var.'],
    ['references to an undeclared variable', '${var.nothing}'],
    ['references to a declared variable', referring('stage')],
  ])('a megabyte of %s gives fewer than five problems', async (_, text) => {
    const problems = await problemsOf(together(VARIABLES, tax(['Tax/', `"x${big(text)}"`])));
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.length).toBeLessThan(5);
  });

  test('ten thousand undeclared names among ten thousand declared ones give 100 problems', async () => {
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
    'a variable can have the name %s',
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

  test('__proto__ is rejected as a name, without an effect on prototypes', async () => {
    const yaml = changed(VARIABLES, ['    team', '    __proto__: { type: string, default: x }\n    team']);
    expect(formatProblems(await problemsOf(together(yaml, TAX)))).toContain('__proto__ cannot be a key');
    for (const assignment of ['__proto__=x', 'constructor.prototype=x'])
      expect((await problemsOf(STAGED, { assignments: [assignment] }))[0]?.message).toContain(
        'no document declares',
      );
    expect(({} as Record<string, unknown>).default).toBeUndefined();
  });

  test('control characters in the input are escaped in problems', async () => {
    const text = formatProblems(
      await problemsOf(STAGED, { assignments: ['\u001b[31m=\u202e', 'stage=\u001b[0m'] }),
    );
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });
});
