import { readFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** Returns the version of a Python package that test/emulators/setup.sh installs. `environment`: default, the same name. */
export function pinnedVersion(name: string, environment = name): string {
  const file = path.join(ROOT, 'test/emulators/requirements', `${environment}.txt`);
  const match = new RegExp(`^${name}==(.+)$`, 'm').exec(readFileSync(file, 'utf8'));
  if (match?.[1] === undefined) throw new Error(`${file} does not pin ${name}`);
  return match[1];
}

/** Returns the version of an npm package of the development dependencies. */
export function npmVersion(name: string): string {
  const { devDependencies } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  return devDependencies[name];
}

/** Returns the version of a Go module of the Go driver. */
export function goVersion(name: string): string {
  const text = readFileSync(path.join(import.meta.dirname, 'drivers/go/go.mod'), 'utf8');
  const line = text.split('\n').find((candidate) => candidate.trim().startsWith(`${name} `));
  if (line === undefined) throw new Error(`go.mod does not require ${name}`);
  return line.trim().split(' ')[1] ?? '';
}
