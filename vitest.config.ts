import { availableParallelism } from 'node:os';
import path from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { fastTests } from './scripts/fast-tests.mjs';

const fast = fastTests(import.meta.dirname);

/** Files that take longest, by the begin of their path. A run that starts them last waits for them with one core. */
const LONGEST = [
  'transitions/matrix',
  'clients/clients',
  'flows/crash',
  'transitions/property',
  'kubernetes/process',
  'faults/',
  'flows/prune-crash',
].map((name) => path.join(import.meta.dirname, 'test', name));

/** Starts the longest files first, also in a new checkout, where vitest knows no durations and sorts by size. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLongest = ({ moduleId }: TestSpecification) => LONGEST.some((name) => moduleId.startsWith(name));
    const rank = (file: TestSpecification) => (isLongest(file) ? 0 : 1);
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    // Both projects together are all tests; scripts/fast-tests.mjs decides which of them are fast.
    projects: [
      {
        extends: true,
        test: { name: 'fast', include: fast, setupFiles: ['test/support/fast-setup.ts'] },
      },
      {
        extends: true,
        test: { name: 'slow', include: ['test/**/*.test.ts'], exclude: fast },
      },
    ],
    setupFiles: ['test/support/seeds.ts', 'test/support/shared-process.ts'],
    // Files share processes: an import of the whole program takes a second. test/support/shared-process.ts keeps files independent.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Many tests wait for a child process, an interval or a timeout: one more worker than cores uses the cores meanwhile.
    maxWorkers: availableParallelism() + 1,
    env: {
      // The SDK warns on Node 20 at the first client; users never see it (src/aws/sdk-clients.ts), nor should a test log.
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
      NO_COLOR: '1',
      // A machine that sets it adds the parsing of its certificates to each client: 15 to 30 ms.
      AWS_CA_BUNDLE: '',
    },
    coverage: { include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
  },
});
