import { existsSync } from 'node:fs';
import path from 'node:path';

const ENVIRONMENTS = path.resolve(import.meta.dirname, '../../.cache/python');

export interface PythonEnvironment {
  /** Path of one of its programs. */
  program(name: string): string;
  /** Why tests must do without it; absent where it is installed. */
  missing?: string;
}

/** One of the environments that test/emulators/setup.sh makes. That it is missing is printed, once a test file. */
export function pythonEnvironment(name: 'awscli' | 'moto' | 'localstack'): PythonEnvironment {
  const home = path.join(ENVIRONMENTS, name);
  const program = (file: string) => path.join(home, 'bin', file);
  // Written last, so that what was installed by half does not count.
  if (existsSync(path.join(home, 'requirements.txt'))) return { program };
  const missing = `${name} is not installed; test/emulators/setup.sh ${name} installs it, or says why it cannot`;
  process.stderr.write(`skipped: ${missing}\n`);
  return { program, missing };
}
