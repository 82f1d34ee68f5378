import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { fastTests, slowReason } from '../scripts/fast-tests.mjs';

const reasonOf = (test: string, texts: Record<string, string>) =>
  slowReason(test, new Map(Object.entries(texts)));

test.each<[name: string, texts: Record<string, string>, reason: string | undefined]>([
  [
    'a test of pure code',
    { 'test/a.test.ts': "import { a } from '../src/a.ts';\n", 'src/a.ts': '' },
    undefined,
  ],
  [
    'a server that an import of an import starts',
    {
      'test/a.test.ts': "import { testEnv } from './env.ts';\n",
      'test/env.ts': "import { start } from '../src/server.ts';\n",
      'src/server.ts': 'server.listen(0);\n',
    },
    'src/server.ts starts a server or watches files',
  ],
  [
    'a process',
    { 'test/a.test.ts': "import { spawn } from 'node:child_process';\n" },
    'test/a.test.ts imports node:child_process',
  ],
  [
    'a process in a script',
    {
      'test/a.test.ts': "import { a } from '../scripts/a.mjs';\n",
      'scripts/a.mjs': "import { spawn } from 'node:child_process';\n",
    },
    'scripts/a.mjs imports node:child_process',
  ],
  [
    'a watched file',
    { 'test/a.test.ts': "import { type FSWatcher, watch } from 'node:fs';\n" },
    'test/a.test.ts starts a server or watches files',
  ],
  [
    'a server that the command line loads on demand',
    {
      'test/a.test.ts': "import { a } from '../src/a.ts';\n",
      'src/a.ts': "const b = await import('./b.ts');\n",
      'src/b.ts': 'server.listen(0);\n',
    },
    undefined,
  ],
])('slowReason: %s', (_, texts, reason) => {
  expect(reasonOf('test/a.test.ts', texts)).toBe(reason);
});

test('slowReason: flows, faults and fuzz tests are slow by their folder', () => {
  expect(reasonOf('test/flows/a.test.ts', { 'test/flows/a.test.ts': '' })).toBe('is in test/flows/');
});

test('fastTests: lists a unit test, and not this file, which imports node:child_process', () => {
  expect(spawn).toBeTypeOf('function');
  const fast = fastTests('.');
  expect(fast).toContain('test/core/plan.test.ts');
  expect(fast).not.toContain('test/fast-tests.test.ts');
  expect(fast).not.toContain('test/flows/call-budget.test.ts');
});
