import { afterAll, expect, vi } from 'vitest';

// Test files share a process, and its modules. This restores timers and environment after each file, and fails a file that changed
// the process otherwise: the result of a test must not depend on the files before it.
const folder = process.cwd();
const environment = { ...process.env };

afterAll(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
  const variables = new Set(Object.keys({ ...environment, ...process.env }));
  // Names alone: a value may be a secret.
  const changed = [...variables].filter((name) => process.env[name] !== environment[name]);
  expect({ folder: process.cwd(), changed }).toEqual({ folder, changed: [] });
});
