import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pythonEnvironment } from '../support/python.ts';
import { type Pass, pass } from './pass.ts';
import { type Emulator, startEmulator } from './server.ts';

const moto = pythonEnvironment('moto');

describe.skipIf(moto.missing)(`specs/tax.yaml on moto${moto.missing ? `: ${moto.missing}` : ''}`, () => {
  let emulator: Emulator;
  let first: Pass;

  beforeAll(async () => {
    emulator = await startEmulator({
      program: moto.program('moto_server'),
      args: (port) => ['--host', '127.0.0.1', '--port', String(port)],
      health: '/moto-api/',
    });
    first = await pass(emulator, '--once');
  }, 120_000);
  afterAll(() => emulator?.[Symbol.asyncDispose]());

  it('creates everything that moto supports, and reports the rule settings that moto dropped', () => {
    expect(first.code).toBe(1);
    expect(first.results).toMatchObject({ applied: 12, failed: 1 });
    expect(first.failures).toEqual([
      {
        id: 's3.replication/acme-tax',
        // Moto drops SourceSelectionCriteria, and returns an empty prefix for every filter.
        why: expect.stringMatching(
          /^AWS accepted the write, but these settings do not have the written values: rules\["replikey\/tax\/tax"\]\.prefix, rules\["replikey\/tax\/tax"\]\.sseKmsEncryptedObjects; either the endpoint drops them/,
        ),
      },
    ]);
  });

  it('then plans only those settings, with old and new values', async () => {
    const { code, stdout } = await pass(emulator, '--dry-run', '--detailed-exitcode', '--output', 'text');
    expect(code).toBe(2);
    expect(stdout).toContain('Plan: 0 to create, 1 to update, 12 unchanged.');
    expect(stdout).toContain('~ rules["replikey/tax/tax"].sseKmsEncryptedObjects: false → true');
  });

  it('prune: finds the orphans of a removed spec through its role', async () => {
    const { stdout } = await pass(
      { ...emulator, spec: 'examples/cross-region.yaml' },
      '--dry-run',
      '--prune',
      '--account',
      '123456789012',
    );
    expect(JSON.parse(stdout).notes).toEqual([
      expect.objectContaining({
        id: 'iam.role/replikey-acme-tax',
        message: expect.stringMatching(/^replikey keeps its orphans: it did not set deletion: Remove/),
        pairs: ['tax'],
      }),
    ]);
  });

  it('a second run writes once, not in a loop, and reports the same settings', async () => {
    const second = await pass(emulator, '--once', '--wait', '1');
    expect(second.code).toBe(1);
    expect(second.writes).toBe(1);
    expect(second.failures).toMatchObject([
      { id: 's3.replication/acme-tax', why: expect.stringContaining('do not have the written values') },
    ]);
  });
});
