import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type AwsClient, createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { type CanaryResult, runCanaries } from '../../src/canary/canary.ts';
import { kinds } from '../../src/kinds/index.ts';
import type { Outcome, PassOptions } from '../../src/reconcile/pass.ts';
import { reconcile } from '../../src/reconcile/reconcile.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/server.ts';
import { formatProblems } from '../../src/spec/format-problems.ts';
import { loadSpecs } from '../../src/spec/load.ts';
import type { Specs } from '../../src/spec/types.ts';
import { TEST_SECRET } from './secrets.ts';

/** A sandbox, specs, and the reconciler between them, over HTTP. */
export interface TestEnv extends AsyncDisposable {
  sandbox: Sandbox;
  specs: Specs;
  client: AwsClient;
  /** The clients of the SDK, for another client of AWS. */
  clients: ReturnType<typeof createSdkClients>;
  reconcile(options?: Partial<PassOptions>): Promise<Outcome>;
  /** Makes a pass with other specs for the same accounts. */
  reconcileWith(yaml: string, options?: Partial<PassOptions>): Promise<Outcome>;
  canaries(): Promise<CanaryResult[]>;
}

export const TAX_SPEC = `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: tax }
spec:
  source: { bucket: acme-tax, region: us-east-1, key: alias/acme-tax }
  destination: { bucket: acme-tax-replica, region: us-west-2, key: alias/acme-tax-replica }
  rules:
    - prefix: Tax/
`;

/** An instant after all objects of a test, for specs that no command compares with the clock. */
export const AFTER_ALL_OBJECTS = '2100-01-01T00:00:00Z';

/** Returns an instant after the objects of the next minutes. A spec may be 5 minutes ahead of the clock. */
export const instantSoon = (): string => new Date(Date.now() + 4 * 60_000).toISOString().replace(/\.\d+/, '');

/** Account documents for pairs that name their accounts. */
export const ACCOUNT_SPECS = `apiVersion: replikey.dev/v1
kind: Account
metadata: { name: main }
spec: { id: "111122223333" }
---
apiVersion: replikey.dev/v1
kind: Account
metadata: { name: backup }
spec: { id: "444455556666" }
---
`;

/** The pair of TAX_SPEC across two accounts. */
export const CROSS_ACCOUNT_SPEC = TAX_SPEC.replace(
  'region: us-east-1,',
  'region: us-east-1, account: main,',
).replace('region: us-west-2,', 'region: us-west-2, account: backup,');

export async function testEnv(yaml: string = TAX_SPEC, options: SandboxOptions = {}): Promise<TestEnv> {
  const sandbox = await startSandbox(options);
  const specs = await parseSpecs(yaml);
  const clients = createSdkClients(specs.accounts, {
    endpoint: sandbox.endpoint,
    credentials: { accessKeyId: '111122223333', secretAccessKey: TEST_SECRET },
  });
  const client = createAwsClient({ clients, accounts: specs.accounts, region: 'us-east-1' });
  const defaults = { kinds, aws: client, allowedRisks: [], dryRun: false, propagationTimeoutMs: 5_000 };
  return {
    sandbox,
    specs,
    client,
    clients,
    reconcile: (overrides = {}) => reconcile(specs, { ...defaults, ...overrides }),
    reconcileWith: async (otherYaml, overrides = {}) =>
      reconcile(await parseSpecs(otherYaml), { ...defaults, ...overrides }),
    canaries: async () =>
      (
        await Promise.all(
          specs.pairs.map((pair) =>
            runCanaries(pair, { aws: client, specs, allowedRisks: [], timeoutMs: 5_000 }),
          ),
        )
      ).flat(),
    async [Symbol.asyncDispose]() {
      clients.destroy();
      await sandbox.close();
    },
  };
}

export async function parseSpecs(yaml: string): Promise<Specs> {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-test-'));
  try {
    await writeFile(path.join(folder, 'spec.yaml'), yaml);
    const { specs, problems } = await loadSpecs([folder]);
    if (!specs) throw new Error(formatProblems(problems));
    return specs;
  } finally {
    await rm(folder, { recursive: true });
  }
}
