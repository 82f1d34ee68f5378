import { defineConfig } from 'vitest/config';
import { fastTests } from './scripts/fast-tests.mjs';

const fast = fastTests(import.meta.dirname);

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
    setupFiles: ['test/support/seeds.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Most tests wait for a server or for a child process: use every core.
    maxWorkers: '100%',
    // The SDK warns on Node 20 at the first client; users never see it (src/aws/sdk-clients.ts), nor should a test log.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true', NO_COLOR: '1' },
    coverage: { include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
  },
});
