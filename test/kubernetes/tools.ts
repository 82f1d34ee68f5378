import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
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

/**
 * Returns the errors of resources, one list for each, as kube-apiserver reports them for a create request with strict
 * field validation.
 *
 * @throws Error if the custom resource definitions are invalid, or if a rule exceeds the cost that the API server allows.
 */
export async function validateResources(resources: readonly unknown[]): Promise<string[][]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-validator-'));
  try {
    const file = path.join(folder, 'crd.yaml');
    await writeFile(file, renderCustomResourceDefinitions());
    const { status, stdout, stderr } = spawnSync(findTool('validator') ?? 'validator', [file], {
      input: resources.map((resource) => `${JSON.stringify(resource)}\n`).join(''),
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    if (status !== 0) throw new Error(`the validator failed: ${stderr}`);
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
  } finally {
    await rm(folder, { recursive: true });
  }
}
