import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createClients } from '../../src/aws/clients.ts';
import { createDoor, type Door } from '../../src/aws/door.ts';
import { kinds } from '../../src/kinds/index.ts';
import { type Outcome, type PassOptions, reconcile } from '../../src/reconcile.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/server.ts';
import { loadSpecs } from '../../src/spec/load.ts';
import { formatProblems } from '../../src/spec/report.ts';
import type { Specs } from '../../src/spec/types.ts';
import { type CanaryResult, canaries } from '../../src/steps/canary.ts';
import { SECRET } from './secrets.ts';

/** A sandbox, specs, and the reconciler between them, over HTTP as in life. */
export interface World extends AsyncDisposable {
  sandbox: Sandbox;
  specs: Specs;
  door: Door;
  reconcile(options?: Partial<PassOptions>): Promise<Outcome>;
  /** A pass with other specs, for the same accounts. */
  with(yaml: string, options?: Partial<PassOptions>): Promise<Outcome>;
  canaries(): Promise<CanaryResult[]>;
}

export const TAX = `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: tax }
spec:
  source: { bucket: acme-tax, region: us-east-1, key: alias/acme-tax }
  destination: { bucket: acme-tax-replica, region: us-west-2, key: alias/acme-tax-replica }
  rules:
    - prefix: Tax/
`;

/** Two of them, for pairs that name their accounts. */
export const ACCOUNTS = `apiVersion: replikey.dev/v1
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

/** The same pair, from one to the other. */
export const ACROSS = TAX.replace('region: us-east-1,', 'region: us-east-1, account: main,').replace(
  'region: us-west-2,',
  'region: us-west-2, account: backup,',
);

export async function aWorld(yaml: string = TAX, options: SandboxOptions = {}): Promise<World> {
  const sandbox = await startSandbox(options);
  const specs = await specsOf(yaml);
  const clients = createClients(specs.accounts, {
    endpoint: sandbox.endpoint,
    credentials: { accessKeyId: '111122223333', secretAccessKey: SECRET },
    cloudTrail: () => import('../../src/aws/cloudtrail.ts'),
  });
  const door = createDoor({ clients, accounts: specs.accounts, region: 'us-east-1' });
  const defaults = { kinds, door, allow: [], dryRun: false, waitMs: 5_000 };
  return {
    sandbox,
    specs,
    door,
    reconcile: (more = {}) => reconcile(specs, { ...defaults, ...more }),
    with: async (other, more = {}) => reconcile(await specsOf(other), { ...defaults, ...more }),
    canaries: async () =>
      (
        await Promise.all(
          specs.pairs.map((pair) => canaries(pair, { door, pairs: specs.pairs, timeoutMs: 5_000 })),
        )
      ).flat(),
    async [Symbol.asyncDispose]() {
      clients.destroy();
      await sandbox.close();
    },
  };
}

export async function specsOf(yaml: string): Promise<Specs> {
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
