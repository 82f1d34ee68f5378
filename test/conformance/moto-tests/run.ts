import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type PythonEnvironment, pythonEnvironment } from '../../support/python.ts';
import { startAdapter } from './adapter.ts';
import { nondeterministic, type Selection } from './selection.ts';

/** Result of one test of moto. */
export interface Result {
  /** Such as `test_kms/test_kms.py::test_describe_key[KeyId]`. */
  id: string;
  outcome: 'passed' | 'failed' | 'skipped';
  /** The message of the failure, or why the test skips itself; empty for a passed test. */
  reason: string;
  /** The project verified the test against AWS. */
  verified: boolean;
  /** Operations that the sandbox answered with 501, such as `kms:Sign`. */
  notImplemented: string[];
}

/** Returns the environment of moto's tests. `missing` is the reason why they cannot run. */
export function motoTestsEnvironment(): PythonEnvironment & { tests: string } {
  const environment = pythonEnvironment('moto');
  // test/emulators/setup.sh unpacks moto's tests there.
  const tests = path.resolve(environment.program('.'), '../source');
  const missing =
    environment.missing ?? (existsSync(tests) ? undefined : 'the source distribution of moto is missing');
  return { ...environment, tests, ...(missing === undefined ? {} : { missing }) };
}

/** Runs moto's tests in two processes, each with its own sandbox. Throws if a selected test does not exist. */
export async function runMotoTests(selections: Selection[]): Promise<Result[]> {
  const isS3 = ({ file }: Selection) => file.startsWith('test_s3/');
  const results = await Promise.all([
    runPytest(selections.filter(isS3)),
    runPytest(selections.filter((selection) => !isS3(selection))),
  ]);
  return results.flat();
}

async function runPytest(selections: Selection[]): Promise<Result[]> {
  const { program, tests } = motoTestsEnvironment();
  await using adapter = await startAdapter();
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-moto-tests-'));
  try {
    const report = path.join(folder, 'report.jsonl');
    const ids = selections.flatMap(({ file, tests: names }) =>
      names === undefined ? [`tests/${file}`] : names.map((name) => `tests/${file}::${name}`),
    );
    const options = [
      '-p',
      'report',
      '-p',
      'no:cacheprovider',
      '-W',
      'ignore',
      '--tb=line',
      '--quiet',
      '--quiet',
    ];
    const deselected = Object.keys(nondeterministic).map((id) => `--deselect=tests/${id}`);
    const child = spawn(program('python'), ['-m', 'pytest', ...options, ...deselected, ...ids], {
      cwd: tests,
      env: {
        PATH: process.env.PATH ?? '',
        HOME: folder,
        PYTHONPATH: import.meta.dirname,
        TEST_SERVER_MODE: 'true',
        TEST_SERVER_MODE_ENDPOINT: adapter.endpoint,
        REPORT_FILE: report,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-4000);
      });
    const [code] = await once(child, 'exit');
    // 0: all tests passed, 1: some failed. Other codes: pytest did not run all of them.
    if (code !== 0 && code !== 1) throw new Error(`pytest exited with ${code}:\n${output}`);
    return (await readFile(report, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Result);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
