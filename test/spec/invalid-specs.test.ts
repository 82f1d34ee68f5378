import { describe, expect, test } from 'vitest';
import { formatProblems } from '../../src/spec/format-problems.ts';
import { INVALID_SPECS } from './invalid-specs.ts';
import { problemsOf } from './support.ts';

/** Input whose first problem is outside a document that looks like a spec: messages show none of its text. */
const NOT_QUOTED = new Set([
  'a string instead of a document',
  'a list instead of a document',
  'YAML 1.1',
  'an empty file',
  'only comments',
  'only empty documents',
]);

const results = await Promise.all(
  Object.entries(INVALID_SPECS).map(async ([name, yaml]) => ({
    name,
    yaml,
    problems: await problemsOf(yaml),
  })),
);

describe('validation', () => {
  test('reports the problems in the golden file', async () => {
    const text = results
      .map(({ name, problems }) => `### ${name}\n\n${formatProblems(problems)}\n`)
      .join('\n');
    await expect(text).toMatchFileSnapshot('golden/invalid-specs.txt');
  });

  test.each(results)('rejects $name, at an existing line and column', ({ name, yaml, problems }) => {
    expect(problems.length).toBeGreaterThan(0);
    const lines = yaml.split('\n');
    for (const { position, excerpt } of problems) {
      expect(lines[position.line - 1], `line ${position.line}`).toBeDefined();
      expect(position.column).toBeLessThanOrEqual((lines[position.line - 1] ?? '').length + 1);
      if (NOT_QUOTED.has(name)) expect(excerpt).toBeUndefined();
      else expect(excerpt).toContain('^');
    }
  });

  test('does not show messages of libraries', () => {
    const text = results.map(({ problems }) => formatProblems(problems)).join('\n');
    expect(text).not.toMatch(
      /invalid (input|option|type|key)|unrecognized|too (small|big)|undefined|\[object|zod/i,
    );
    expect(text).not.toMatch(/flow (map|seq)|block (map|seq)|implicit|scalar|compact|resolve/i);
  });

  test('gives every problem a fix, or the violated rule', () => {
    for (const { name, problems } of results) {
      for (const { message, hint } of problems) {
        expect(hint !== undefined || /^invalid .+: |expected /.test(message), `${name}: ${message}`).toBe(
          true,
        );
      }
    }
  });
});
