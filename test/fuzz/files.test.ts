import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import type { Io } from '../../src/cli/command-model.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import { collectReplicationFacts } from '../../src/facts/collect.ts';
import { locationsOf } from '../../src/facts/locations.ts';
import { kinds } from '../../src/kinds/index.ts';
import { collectSnapshot } from '../../src/snapshot/collect.ts';
import { createRecordingClients } from '../../src/snapshot/record.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { fuzzRuns, mutatedBytes, mutatedJson, pollutedProperties } from '../support/mutations.ts';
import { TEST_SECRET } from '../support/secrets.ts';

let testEnvironment: TestEnv;
let folder: string;
const originals: Record<'facts' | 'recording' | 'plan', unknown> = { facts: {}, recording: {}, plan: {} };

interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command in this process. */
async function runInProcess(args: string[]): Promise<CommandResult> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const output = { stdout: '', stderr: '' };
  stdout.on('data', (chunk) => {
    output.stdout += chunk;
  });
  stderr.on('data', (chunk) => {
    output.stderr += chunk;
  });
  const { env } = process;
  const io = { stdin: new PassThrough(), stdout, stderr, env, on: () => {}, off: () => {}, exit: () => {} };
  const code = await runCommandLine([...args, '--log-level', 'error'], io as unknown as Io);
  return { code, ...output };
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-fuzz-'));
  testEnvironment = await testEnv();
  await testEnvironment.reconcile();
  // The SDK looks for credentials in the environment of the process.
  vi.stubEnv('AWS_ENDPOINT_URL', testEnvironment.sandbox.endpoint);
  vi.stubEnv('AWS_ACCESS_KEY_ID', '111122223333');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', TEST_SECRET);
  vi.stubEnv('AWS_REGION', 'us-east-1');
  await writeFile(path.join(folder, 'spec.yaml'), TAX_SPEC);
  originals.facts = await collectReplicationFacts(
    testEnvironment.client,
    ['acme-tax'],
    locationsOf({ pairs: [], accounts: [] }, 'us-east-1'),
  );
  const connection = {
    endpoint: testEnvironment.sandbox.endpoint,
    credentials: { accessKeyId: '111122223333', secretAccessKey: TEST_SECRET },
  };
  const clients = createRecordingClients(createSdkClients([], connection));
  const client = createAwsClient({ clients, accounts: [], region: 'us-east-1', disableBatching: true });
  await collectSnapshot(testEnvironment.specs, kinds, client);
  clients.destroy();
  originals.recording = clients.snapshot(new Date());
  const planFile = path.join(folder, 'plan.json');
  expect(await runInProcess(['plan', path.join(folder, 'spec.yaml'), '--out', planFile])).toMatchObject({
    code: 0,
  });
  originals.plan = JSON.parse(await readFile(planFile, 'utf8'));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await testEnvironment[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const WORDS = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ':',
  ',',
  '\\',
  '\\ud800',
  '\u0000',
  '\ufeff',
  'null',
  '1e999',
  '"__proto__":{},',
];

/** Commands that read a file, and their exit codes for a valid file. */
const READERS: [what: keyof typeof originals, args: (file: string) => string[], exitCodes: number[]][] = [
  ['facts', (file) => ['doctor', '--observed', file], [0, 1]],
  ['recording', (file) => ['plan', path.join(folder, 'spec.yaml'), '--observed', file], [0, 1]],
  ['plan', (file) => ['apply', file], [0, 1, 3, 65]],
];

describe.each(READERS)('%s file', (what, args, exitCodes) => {
  /** Checks that the command accepts or rejects the file, without an internal error and without a write. */
  async function checkFile(bytes: string | Uint8Array): Promise<void> {
    const file = path.join(folder, 'mutated.json');
    await writeFile(file, bytes);
    testEnvironment.sandbox.log.reset();
    const { code, stderr, stdout } = await runInProcess(args(file));
    expect(stderr).not.toContain('bug in replikey');
    if (!exitCodes.includes(code))
      expect({ code, stderr }).toMatchObject({ code: 64, stderr: expect.stringMatching(/\S/) });
    expect(`${stdout}${stderr}`.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
    expect(testEnvironment.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
    expect(pollutedProperties()).toEqual([]);
  }

  test('is accepted without a mutation', async () => {
    await checkFile(JSON.stringify(originals[what]));
  });

  const byForm = fuzzRuns(40);
  test('is accepted or rejected after mutations of its JSON', byForm.test, async () => {
    await fc.assert(fc.asyncProperty(mutatedJson([originals[what]]), checkFile), byForm.property);
  });

  const byBytes = fuzzRuns(20);
  test('is accepted or rejected after mutations of its bytes', byBytes.test, async () => {
    const bytes = mutatedBytes([JSON.stringify(originals[what])], WORDS);
    await fc.assert(fc.asyncProperty(bytes, checkFile), byBytes.property);
  });
});
