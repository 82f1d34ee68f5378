import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pythonEnvironment } from '../support/python.ts';
import { pass } from './pass.ts';
import { type Emulator, startEmulator } from './server.ts';

const localstack = pythonEnvironment('localstack');

describe.skipIf(localstack.missing)(
  `specs/tax.yaml on LocalStack${localstack.missing ? `: ${localstack.missing}` : ''}`,
  () => {
    let emulator: Emulator;

    beforeAll(async () => {
      emulator = await startEmulator({
        program: localstack.program('python'),
        args: () => ['-m', 'localstack.runtime.main'],
        env: (port) => ({
          GATEWAY_LISTEN: `127.0.0.1:${port}`,
          SERVICES: 's3,iam,kms,sts',
          // Disables the DNS server, the certificate download and telemetry.
          DNS_ADDRESS: '0',
          SKIP_SSL_CERT_DOWNLOAD: '1',
          DISABLE_EVENTS: '1',
        }),
        health: '/_localstack/health',
      });
    }, 120_000);
    afterAll(() => emulator?.[Symbol.asyncDispose]());

    it('converges, and a second run plans and writes nothing', async () => {
      expect((await pass(emulator, '--dry-run', '--detailed-exitcode')).code).toBe(2);

      const first = await pass(emulator, '--once');
      expect(first.failures).toEqual([]);
      expect(first.results).toEqual({ applied: 13 });
      expect(first.code).toBe(0);

      const second = await pass(emulator, '--once');
      expect(second).toMatchObject({ code: 0, results: {}, writes: 0 });
      expect((await pass(emulator, '--dry-run', '--detailed-exitcode')).code).toBe(0);
    });

    it('verify: reports that LocalStack does not replicate, and removes its canaries', async () => {
      const { code, stdout } = await pass(emulator, 'verify', '--timeout', '2');
      expect(code).toBe(1);
      const { canaries } = JSON.parse(stdout);
      expect(canaries).toHaveLength(2);
      for (const canary of canaries) {
        expect(canary).toMatchObject({ why: expect.stringMatching(/replication status/) });
        expect(canary).not.toHaveProperty('left');
      }
    });
  },
);
