import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/seeds.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Most tests wait for a server or for a child: every core is worth a worker.
    maxWorkers: '100%',
    // The SDK warns on Node 20 at the first client; users never see it (src/aws/sdk-clients.ts), nor should a test log.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true', NO_COLOR: '1' },
  },
});
