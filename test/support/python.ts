import { existsSync } from 'node:fs';
import path from 'node:path';

const ENVIRONMENTS = path.resolve(import.meta.dirname, '../../.cache/python');

export interface PythonEnvironment {
  /** Returns the path of a program. */
  program(name: string): string;
  /** The reason why tests are skipped; absent if the environment is installed. */
  missing?: string;
}

/** Returns an environment that test/emulators/setup.sh creates. Prints a notice if it is missing, once per test file. */
export function pythonEnvironment(
  name: 'awscli' | 'boto3' | 'cfn-lint' | 'minio' | 'moto' | 'localstack',
): PythonEnvironment {
  const home = path.join(ENVIRONMENTS, name);
  const program = (file: string) => path.join(home, 'bin', file);
  // Written last, so that an incomplete installation does not count.
  if (existsSync(path.join(home, 'requirements.txt'))) return { program };
  const missing = `${name} is not installed; test/emulators/setup.sh ${name} installs it, or prints why it cannot`;
  process.stderr.write(`skipped: ${missing}\n`);
  return { program, missing };
}
