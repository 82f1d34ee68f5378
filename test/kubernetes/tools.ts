import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { renderCustomResourceDefinitions } from '../../src/kubernetes/crd.ts';

const FOLDER = path.resolve(import.meta.dirname, '../../.cache/kubernetes');

/** Returns the path of a program that test/kubernetes/setup.sh installed, or its name if it is on the PATH. */
export function findTool(name: string): string | undefined {
  const installed = path.join(FOLDER, name);
  if (existsSync(installed)) return installed;
  return spawnSync(name, ['version', '--help']).error ? undefined : name;
}

/** Returns the reason to skip the tests that need a program, or undefined. */
export const toolSkipReason = (name: string): string | undefined =>
  findTool(name) === undefined ? `${name} is missing, which test/kubernetes/setup.sh installs` : undefined;

/** The validation code of kube-apiserver, in a process of its own. */
export interface Validator extends AsyncDisposable {
  /** Returns the errors of a resource, as kube-apiserver reports them for a create request with strict field validation. */
  errorsOf(resource: unknown): Promise<string[]>;
}

/**
 * Starts the validator. A call fails if the custom resource definitions are invalid, or if a rule exceeds the cost that
 * kube-apiserver allows.
 */
export async function startValidator(): Promise<Validator> {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-validator-'));
  const file = path.join(folder, 'crd.yaml');
  await writeFile(file, renderCustomResourceDefinitions());
  const child = spawn(findTool('validator') ?? '', [file]);
  let stderr = '';
  child.stderr.on('data', (text: Buffer) => {
    stderr += text;
  });
  // After a failure, writes fail as well. The exit reports the reason.
  child.stdin.on('error', () => {});
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    async errorsOf(resource) {
      child.stdin.write(`${JSON.stringify(resource)}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`the validator failed: ${stderr}`);
      return JSON.parse(value);
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await rm(folder, { recursive: true });
    },
  };
}

/** Returns the errors of several resources, one list for each. */
export async function validateResources(resources: readonly unknown[]): Promise<string[][]> {
  await using validator = await startValidator();
  const results: string[][] = [];
  for (const resource of resources) results.push(await validator.errorsOf(resource));
  return results;
}
